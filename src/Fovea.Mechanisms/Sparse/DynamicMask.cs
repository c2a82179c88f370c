using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The highest ranked tokens so far of each batch row and key head, in the order of the text: keys with their bias [D+1], values, and ranks.</summary>
public sealed class KeptKv(int rows, int keep) : LayerState
{
    internal int Count { get; private set; }
    internal Real[][] Keys = new Real[rows][], Values = new Real[rows][], Ranks = new Real[rows][];
    public override long Bytes => Keys.Concat(Values).Concat(Ranks).Sum(x => (long)(x?.Length ?? 0)) * sizeof(Real);
    /// <summary>Entries per key head.</summary>
    public int Entries => Count;

    /// <summary>Keeps the best of keys [R,M,D], values [R,M,E] and ranks [R·M].</summary>
    internal void Keep(Tensor k, Tensor v, ReadOnlySpan<Real> ranks)
    {
        var (_, m, d) = k.Shape; int e = v.Shape[2]; Count = Math.Min(m, keep);
        for (int r = 0; r < rows; r++)
        {
            Real[] rank = ranks.Slice(r * m, m).ToArray(); int row = r;
            int[] best = [.. Enumerable.Range(0, m).OrderByDescending(j => rank[j]).ThenBy(j => j).Take(keep).Order()];
            Ranks[r] = [.. best.Select(j => rank[j])];
            Keys[r] = [.. best.SelectMany(j => k.Span.Slice((row * m + j) * d, d).ToArray())]; Values[r] = [.. best.SelectMany(j => v.Span.Slice((row * m + j) * e, e).ToArray())];
        }
    }
}

/// <summary>
/// Dynamic mask attention (§3): the values say which tokens are worth keeping. With v_j of all key heads side by side, δ_j = A ∘ softplus(v_j W_Δ), one number per key head, is rank and additive bias at once; query i sees the
/// <paramref name="keep"/> tokens with the largest δ_j among j ≤ i (per prefix; the released code ranks the whole row, see <paramref name="wholeRow"/>), o_i = softmax_j(q_i·k_j/√D + δ_j) V. The choice
/// carries no gradient, the bias does. Queries and keys are RMS-normalised per head before positions. As δ_j never changes, a token that has left never returns, and the cache holds <paramref name="keep"/> entries per key head.
/// The fused kernel skips blocks of keys that nobody in a block of queries keeps. The paper's exp(A·softplus(vW)) is the released code's exponent here. Left out: keeping whole blocks where most of their tokens are kept.
/// </summary>
/// <param name="wholeRow">True: the largest of the whole text, by which later tokens evict earlier ones and causality is lost.</param>
[From("dma", "§3")]
[Traits(Traits.Causal | Traits.Incremental | Traits.Exact | Traits.Sparse | Traits.ConstantState)]
public class DynamicMaskAttention(AttentionConfig c, Weights w, int keep = 64, bool wholeRow = false) : HeadAttention(c, w)
{
    readonly int keep = c.Causal && keep > 0 ? keep : throw new ArgumentException($"a dynamic mask looks back only and keeps {keep} tokens; it needs Causal = true and at least one");
    readonly Tensor q = w["q_norm"].Get("weight", [c.HeadDim], Init.Ones), k = w["k_norm"].Get("weight", [c.HeadDim], Init.Ones), a = w.Get("a", [c.Groups], Init.Normal02);
    readonly Linear dt = new(w["dt_proj"], c.Groups * c.HeadDim, c.Groups);

    protected override Heads Prepare(Heads h) => h with { Q = h.Q.RmsNorm(q, (Real)1e-6), K = h.K.RmsNorm(k, (Real)1e-6) };

    /// <summary>δ [B,G,N] of values v [B,G,N,E].</summary>
    public Tensor Delta(Tensor v) => (dt.Forward(v.MergeHeads()).Softplus() * a).Permute(0, 2, 1);

    /// <summary>What tokens are kept by, [B·G·N]; query 0 stands at start. The default is δ itself.</summary>
    protected virtual Real[] Ranks(Tensor delta, int start) => delta.Span.ToArray();

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self) throw new ArgumentException("a dynamic mask keeps tokens of the layer's own input only");
        h = Positioned(h, pass);
        var (b, heads, n, d) = h.Q.Shape; int g = Config.Groups, rows = b * g, e = h.V.Shape[3]; var delta = pass.At(Part.Gate, Delta(h.V)); Real[] ranks = Ranks(delta, h.Start);
        // The bias is one more channel of the keys, so that its gradient is theirs.
        Tensor qs = Tensor.Concat(-1, h.Q, Tensor.Full([b, heads, n, 1], Real.Sqrt(d))), ks = Tensor.Concat(-1, h.K, delta.Reshape([b, g, n, 1])).Reshape([rows, n, d + 1]), vs = h.V.Reshape([rows, n, e]);
        if (pass.Memory is { } memory)
        {
            if (wholeRow) throw new NotSupportedException("the largest of the whole text are not known while it is read; decode with wholeRow = false");
            var kv = memory.Get(this, () => new KeptKv(rows, keep)); int past = kv.Count;
            if (past > 0)
            {
                ks = Tensor.Concat(1, Tensor.From([.. kv.Keys.SelectMany(x => x)], [rows, past, d + 1]), ks); vs = Tensor.Concat(1, Tensor.From([.. kv.Values.SelectMany(x => x)], [rows, past, e]), vs);
                ranks = [.. Enumerable.Range(0, rows).SelectMany(r => kv.Ranks[r].Concat(ranks.AsSpan(r * n, n).ToArray()))];
            }
            kv.Keep(ks, vs, ranks);
        }
        var alive = KeepSets.Of(ranks, rows, n, keep, !wholeRow);
        if (pass.Memory is null && (pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern))) return Plain(h, delta, alive, pass);
        // One long text per head of a group: lifetimes differ from batch row to batch row and from key head to key head.
        int group = heads / g, m = ks.Shape[1];
        var flat = qs.Reshape([rows, group, n, d + 1]).Permute(1, 0, 2, 3).Reshape([1, group, rows * n, d + 1]);
        var o = Softmax.Fused<Plain, Lifetimes, SoftmaxWeights>(flat, ks.Reshape([1, 1, rows * m, d + 1]), vs.Reshape([1, 1, rows * m, e]), new(), alive, new(1 / Real.Sqrt(d), Blocks: KeepSets.Lists(alive, rows * n, group)));
        return o.Reshape([group, rows, n, e]).Permute(1, 0, 2, 3).Reshape([b, heads, n, e]);
    }

    Tensor Plain(Heads h, Tensor delta, Lifetimes alive, Pass pass)
    {
        var (b, heads, n, d) = h.Q.Shape; int g = Config.Groups; var mask = Tensor.Full([b, g, n, n], Real.NegativeInfinity);
        for (int r = 0; r < b * g; r++) for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) if (alive.Allows(r * n + i, r * n + j)) mask.Span[(r * n + i) * n + j] = 0;
        var scores = pass.At(Part.Scores, h.Q.MatMulT(PerHead(h.K)) * (1 / Real.Sqrt(d)) + PerHead(mask + delta.Reshape([b, g, 1, n])));
        return pass.At(Part.Pattern, scores.Softmax()).MatMul(PerHead(h.V));
    }
}
