using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The past of a routing layer: the local heads' own block and the one before, and the last members of every cluster.</summary>
public sealed class RoutingKv(int block, int window) : LayerState
{
    internal RuleKv Local { get; } = new((position, next) => next / block - position / block < 2);
    // (b·H + h)·K + c → its last members, keys and values side by side.
    internal Dictionary<int, List<Real[]>> Clusters { get; } = [];
    public override long Bytes => Local.Bytes + Clusters.Values.Sum(c => c.Sum(m => (long)m.Length)) * sizeof(Real);

    internal void Add(int cluster, Real[] member)
    {
        if (!Clusters.TryGetValue(cluster, out var list)) Clusters[cluster] = list = [];
        list.Add(member);
        if (list.Count > window) list.RemoveAt(0);
    }
}

/// <summary>
/// Routing attention (§4): some heads are local, a token seeing its own block and the one before; in the others queries, layer-normalised without gain, are the keys too, and a token attends to what stands near it in meaning: it
/// belongs to the cluster whose centroid is nearest and sees the last few earlier members, itself only if there are none. That is strictly causal, decodes as it trains, and is the default here.
/// The paper's form (balanced) lets each centroid take the N/K tokens nearest to it, so that later tokens decide who is in a cluster, though their values never leak; a token is then in several
/// clusters or in none. Centroids follow the queries (see <see cref="Centroids"/>). Positions turn local heads only. Left out: the optional commitment loss.
/// </summary>
[From("routing-transformer", "§4")]
[Traits(Traits.Causal | Traits.Incremental | Traits.Exact | Traits.Sparse | Traits.Linear)]
public class RoutingAttention : HeadAttention
{
    readonly int clusters, window, block, local, routed; readonly bool balanced; readonly Centroids centroids;

    /// <param name="clusters">Clusters K per head.</param>
    /// <param name="window">Earlier members of its cluster that a token sees, at most.</param>
    /// <param name="block">Tokens per block of the local heads.</param>
    /// <param name="routed">How many of the heads are routed, the last ones; half of them if null.</param>
    /// <param name="balanced">True: each centroid takes its N/K nearest tokens. Such a layer does not decode.</param>
    /// <param name="momentum">λ of the centroids; 0.999 if null.</param>
    public RoutingAttention(AttentionConfig c, Weights w, int clusters = 8, int window = 16, int block = 16, int? routed = null, bool balanced = false, double? momentum = null) : base(c, w)
    {
        if (!c.Causal || c.Groups != c.Heads) throw new ArgumentException("routing attention looks back only, and its keys are its queries; it needs Causal = true and as many key heads as heads");
        (this.clusters, this.window, this.block, this.balanced, this.routed) = (clusters, window, block, balanced, routed ?? (c.Heads + 1) / 2);
        local = c.Heads - this.routed;
        if (clusters < 1 || window < 1 || block < 1 || this.routed < 1 || local < 0) throw new ArgumentException($"{clusters} clusters, windows of {window}, blocks of {block} tokens and {this.routed} of {c.Heads} heads");
        centroids = new(w["routing"], this.routed, clusters, c.HeadDim, momentum ?? 0.999);
    }

    /// <summary>The clusters of tokens x [B,H,N,D], the first of which stands at start; those of one head and batch row [K] after the other.</summary>
    public virtual int[][] Assign(Tensor x, int start)
    {
        var (b, h, n, _) = x.Shape;
        if (balanced)
        {
            var s = centroids.Scores(x).Transpose(); int most = Math.Max(1, (n + clusters - 1) / clusters), rows = b * h * clusters; var values = new Real[rows * most]; var indices = new int[rows * most];
            Select.TopK(s.Span, rows, n, most, values, indices);
            return [.. Enumerable.Range(0, rows).Select(r => indices[(r * most)..((r + 1) * most)].Order().Select(i => r / clusters * n + i).ToArray())];
        }
        var members = Enumerable.Range(0, b * h * clusters).Select(_ => new List<int>()).ToArray(); int[] nearest = centroids.Nearest(x);
        for (int r = 0; r < nearest.Length; r++) members[r / n * clusters + nearest[r]].Add(r);
        return [.. members.Select(m => m.ToArray())];
    }

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self) throw new ArgumentException("routing attention reads its own input only");
        var (b, heads, n, d) = h.Q.Shape; int e = h.V.Shape[3];
        var x = h.Q.Slice(1, local, heads).LayerNorm(null, null, (Real)1e-5); var v = h.V.Slice(1, local, heads);
        if (pass.Training) centroids.Learn(x, pass);
        var near = local > 0 ? Positioned(h with { Q = h.Q.Slice(1, 0, local), K = h.K.Slice(1, 0, local) }, pass) : h;
        int[][] members = Assign(x, h.Start);
        if (pass.Memory is { } memory) return Step(memory.Get(this, () => new RoutingKv(block, window)), near, x, v, members);
        if (pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern)) return Plain(near, x, h.V, new(members, balanced ? n : window), pass);
        var far = new TokenClusters(members, balanced ? n : window).Fused(Flat(x), Flat(x), Flat(v), b * routed).Reshape([b, routed, n, e]);
        return local == 0 ? far : Tensor.Concat(1, Softmax.Fused<Plain, OwnAndPrevious, SoftmaxWeights>(near.Q, near.K, h.V.Slice(1, 0, local), new(), new(block), new()), far);
    }
    static Tensor Flat(Tensor x) => x.Reshape([x.Shape.Size / x.Shape[3], x.Shape[3]]);

    Tensor Step(RoutingKv kv, Heads near, Tensor x, Tensor v, int[][] members)
    {
        if (balanced) throw new NotSupportedException("balanced clusters depend on the whole text; decode with balanced = false");
        var (b, _, n, d) = x.Shape; int e = v.Shape[3], past = kv.Clusters.Values.Sum(c => c.Count), row = 0; Tensor keys = Tensor.Empty([past, d]), values = Tensor.Empty([past, e]); var joined = new int[members.Length][];
        for (int c = 0; c < members.Length; c++)
        {
            var old = kv.Clusters.GetValueOrDefault(c) ?? []; joined[c] = [.. Enumerable.Range(row, old.Count), .. members[c].Select(r => past + r)];
            foreach (var m in old) { m.AsSpan(0, d).CopyTo(keys.Span[(row * d)..]); m.AsSpan(d).CopyTo(values.Span[(row++ * e)..]); }
        }
        Tensor fx = Flat(x), fv = Flat(v);
        var far = new TokenClusters(joined, window).Fused(fx, past == 0 ? fx : Tensor.Concat(0, keys, fx), past == 0 ? fv : Tensor.Concat(0, values, fv), b * routed).Reshape([b, routed, n, e]);
        for (int c = 0; c < members.Length; c++) foreach (int r in members[c]) kv.Add(c, [.. fx.Span.Slice(r * d, d), .. fv.Span.Slice(r * e, e)]);
        if (local == 0) return far;
        kv.Local.Append(near.K, near.V.Slice(1, 0, local), near.Start);
        var o = Softmax.Fused<Plain, OwnAndPrevious, SoftmaxWeights>(near.Q, kv.Local.Keys, kv.Local.Values, new(), new(block), new(Start: near.Start, Positions: kv.Local.Positions.ToArray(), Keys: kv.Local.Count));
        kv.Local.Settle();
        return Tensor.Concat(1, o, far);
    }

    Tensor Plain(Heads near, Tensor x, Tensor v, TokenClusters far, Pass pass)
    {
        var (b, heads, n, d) = v.Shape; Tensor Both(Tensor a) => local == 0 ? x : Tensor.Concat(1, a, x);
        Tensor causal = Tensor.Zeros([n, n]), blocks = Tensor.Zeros([n, n]); var pattern = new OwnAndPrevious(block);
        for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) { if (j > i) causal.Span[i * n + j] = Real.NegativeInfinity; if (!pattern.Allows(i, j)) blocks.Span[i * n + j] = Real.NegativeInfinity; }
        var scores = pass.At(Part.Scores, Both(near.Q).MatMulT(Both(near.K)) * (1 / Real.Sqrt(x.Shape[3])) + causal);
        var p = far.Weights(scores.Slice(1, local, heads).Reshape([b * routed, n, n])).Reshape([b, routed, n, n]);
        if (local > 0) p = Tensor.Concat(1, (scores.Slice(1, 0, local) + blocks).Softmax(), p);
        return pass.At(Part.Pattern, p).MatMul(v);
    }
}
