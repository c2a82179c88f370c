using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Tokens in clusters that attend only among themselves. Tokens are rows of a flat tensor [R,·], whatever heads and batch rows they belong to; each cluster lists its members, those that come first in the text first. A member sees up
/// to <paramref name="window"/> members before it, and itself only if there are none. A token may be in several clusters, whose results are averaged, or in none, which gives zeros.
/// </summary>
[From("routing-transformer", "§4")]
public sealed class TokenClusters(int[][] members, int window)
{
    public IReadOnlyList<int[]> Members => members;

    /// <summary>q [R,D], k [S,D], v [S,E] of so many heads and batch rows, which take equal shares of the clusters; queries are the last R of the S rows, earlier ones are keys only → [R,E].</summary>
    public Tensor Fused(Tensor q, Tensor k, Tensor v, int heads)
    {
        var (rows, d) = q.Shape; var (all, e) = v.Shape; Check.Shape(k, [all, d]);
        if (members.Length % heads != 0 || all < rows) throw new ArgumentException($"{members.Length} clusters for {heads} heads, {rows} queries and {all} keys");
        var start = new int[members.Length + 1]; var share = new Real[rows];
        for (int c = 0; c < members.Length; c++)
        {
            start[c + 1] = start[c] + members[c].Length;
            foreach (int r in members[c]) if (r >= all - rows) share[r - all + rows]++;
        }
        for (int r = 0; r < rows; r++) if (share[r] > 0) share[r] = 1 / share[r];
        var lists = new ClusterLists([.. Enumerable.Range(0, heads + 1).Select(x => members.Length / heads * x)], start, [.. members.SelectMany(m => m)], window, all - rows); var o = Tensor.Empty([rows, e]);
        ClusterFlash.Forward(lists, d, e, q.Span, k.Span, v.Span, share, o.Span);
        return Tensor.Record(o, [q, k, v], o => ClusterFlash.Backward(lists, d, e, q.Span, k.Span, v.Span, share, o.Grad, q.Grad, k.Grad, v.Grad));
    }

    /// <summary>The weights [G,N,N] that this stands for, from scores [G,N,N] of G·N tokens: one masked softmax per cluster, averaged. The definition.</summary>
    public Tensor Weights(Tensor scores)
    {
        var (g, n, _) = scores.Shape; var sum = Tensor.Zeros(scores.Shape); var share = Tensor.Zeros([g, n, 1]);
        for (int done = 0; done < members.Length;)
        {
            // One cluster of each head and batch row at a time.
            var mask = Tensor.Full(scores.Shape, Real.NegativeInfinity); var taken = new bool[g];
            for (; done < members.Length; done++)
            {
                int[] cluster = members[done];
                if (cluster.Length == 0) continue;
                if (taken[cluster[0] / n]) break;
                taken[cluster[0] / n] = true;
                for (int t = 0; t < cluster.Length; t++)
                {
                    for (int u = Math.Max(0, t - window); u < Math.Max(t, 1); u++) mask.Span[cluster[t] * n + cluster[u] % n] = 0;
                    share.Span[cluster[t]]++;
                }
            }
            sum += (scores + mask).Softmax();
        }
        for (int r = 0; r < g * n; r++) if (share.Span[r] > 0) share.Span[r] = 1 / share.Span[r];
        return sum * share;
    }
}
