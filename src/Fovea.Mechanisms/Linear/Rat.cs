using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Key c stands for chunk c: a query sees the chunks before its own, c &lt; ⌊i/L⌋.</summary>
[From("rat", "§ inter-chunk attention")]
public readonly record struct EarlierChunks(int Length) : IPattern
{
    public bool Allows(int query, int key) => key < query / Length;
    public Cover Tile(int q0, int q1, int k0, int k1) => k0 >= q1 / Length ? Cover.None : k1 < q0 / Length ? Cover.All : Cover.Mixed;
}

/// <summary>
/// Recurrence inside chunks of L tokens, softmax attention across them (rat): with gates g = σ(x W_g + b_g) per channel, ṽ_t = g ṽ_{t−1} + (1−g) v and k̃ likewise, from zero at the start of every chunk; a query
/// attends to the last (k̃, ṽ) of all earlier chunks and to its own (k̃_t, ṽ_t), merged with weight σ(s_own − LSE); then W_o(σ(x W_z) ∘ y). Queries and keys exist per key head (the paper: two) and are repeated over heads; the
/// gates tell repeated keys apart. Positions are those of chunks. While decoding, one entry per chunk is kept and the running one. L = 1 is gated attention, L = N a gated recurrent network.
/// </summary>
[From("rat", "§3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class RatAttention : Attention
{
    readonly AttentionConfig c; readonly Linear q, k, v, z, g, o; readonly int chunk; readonly object running = new();

    /// <param name="chunk">Tokens per chunk L.</param>
    public RatAttention(AttentionConfig c, Weights w, int chunk = 16)
    {
        if (!c.Causal) throw new ArgumentException("a recurrence looks back only; it needs Causal = true");
        if (chunk < 1) throw new ArgumentOutOfRangeException(nameof(chunk), chunk, "a chunk has at least 1 token");
        this.c = c.Checked(); this.chunk = chunk; int shared = c.Groups * c.HeadDim;
        q = new(w["q_proj"], c.Dim, shared); k = new(w["k_proj"], c.Dim, shared);
        v = new(w["v_proj"], c.Dim, c.Dim); z = new(w["z_proj"], c.Dim, c.Dim); g = new(w["g_proj"], c.Dim, c.Dim); o = new(w["o_proj"], c.Dim, c.Dim);
        // Half-lives from one token to a chunk: σ(ln u) = u/(1 + u) with u from 1 to L − 1.
        bias = w.Get("g_bias", [c.Dim], t => { for (int i = 0; i < c.Dim; i++) t.Span[i] = (Real)Math.Log(1 + w.Rng["g_bias"].Uniform(i) * Math.Max(0, chunk - 2)); });
    }
    readonly Tensor bias;

    public override Tensor Forward(Tensor x, Tensor context, Pass pass)
    {
        Check.Shape(x, [-1, -1, c.Dim]);
        if (!ReferenceEquals(x, context)) throw new ArgumentException("a recurrence reads its own input only");
        int n = x.Shape[1], heads = c.Heads, start = pass.Memory?.Start(this) ?? 0;
        var gate = pass.At(Part.Gate, (g.Forward(x) + bias).Sigmoid());
        // 0 where a chunk starts: nothing is carried over.
        var carry = Tensor.Full([n, 1], 1); for (int t = 0; t < n; t++) if ((start + t) % chunk == 0) carry.Span[t] = 0;
        Tensor keep = gate * carry, take = 1 - gate;
        var both = ElementwiseRecurrence.Run(running, Tensor.Concat(-1, keep, keep), Tensor.Concat(-1, take * Repeated(k.Forward(x)), take * v.Forward(x)), pass);
        Tensor ks = pass.At(Part.Key, both.Slice(-1, 0, c.Dim).SplitHeads(heads)), vs = pass.At(Part.Value, both.Slice(-1, c.Dim, 2 * c.Dim).SplitHeads(heads)), qs = pass.At(Part.Query, Repeated(q.Forward(x)).SplitHeads(heads));
        var y = pass.At(Part.Z, Attend(qs, ks, vs, start, pass));
        pass.Memory?.Advance(this, n);
        return pass.At(Part.AttnOut, o.Forward(y.MergeHeads() * z.Forward(x).Sigmoid()));
    }

    Tensor Attend(Tensor q, Tensor k, Tensor v, int start, Pass pass)
    {
        var (b, h, n, d) = q.Shape; Real scale = 1 / Real.Sqrt(d);
        // Its own chunk is at distance 0, so the turns of q and k cancel.
        var own = (q * k).Sum(3).Reshape([b, h, n]) * scale;
        int first = chunk - 1 - start % chunk, closed = n > first ? (n - 1 - first) / chunk + 1 : 0; int[] at = new int[closed], of = new int[n];
        for (int i = 0; i < closed; i++) at[i] = start / chunk + i;
        for (int t = 0; t < n; t++) of[t] = (start + t) / chunk;
        Tensor? lastK = closed > 0 ? Every(k, first) : null, lastV = closed > 0 ? Every(v, first) : null;
        if (c.Position is { } p) { q = pass.At(Part.QueryRot, p.Apply(q, of)); if (lastK is not null) lastK = pass.At(Part.KeyRot, p.Apply(lastK, at)); }
        int count = closed;
        if (pass.Memory is { } memory)
        {
            var kv = memory.Kv(this, () => new GrowingKv());
            for (int i = 0; i < closed; i++) kv.Append(lastK!.Slice(2, i, i + 1), lastV!.Slice(2, i, i + 1), at[i]);
            (lastK, lastV, count) = kv.Count > 0 ? (kv.Keys, kv.Values, kv.Count) : (null, null, 0);
        }
        if (lastK is null || lastV is null) return v;
        var pattern = new EarlierChunks(chunk);
        if (pass.Reference && pass.Memory is null || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern)) return Plain(q, lastK.Slice(2, 0, count), lastV.Slice(2, 0, count), v, own, pattern, start, pass);
        var (y, lse) = Softmax.FusedWithLse<Plain, EarlierChunks, SoftmaxWeights>(q, lastK, lastV, new(), pattern, new(Start: start, Keys: count));
        return y + (v - y) * (own - lse).Sigmoid().Reshape([b, h, n, 1]);
    }

    // One softmax over earlier chunks and the own entry.
    static Tensor Plain(Tensor q, Tensor k, Tensor v, Tensor vOwn, Tensor own, EarlierChunks pattern, int start, Pass pass)
    {
        var (b, h, n, d) = q.Shape; int m = k.Shape[2]; var mask = Tensor.Zeros([n, m]);
        for (int i = 0; i < n; i++) for (int j = 0; j < m; j++) if (!pattern.Allows(start + i, j)) mask.Span[i * m + j] = Real.NegativeInfinity;
        var scores = pass.At(Part.Scores, Tensor.Concat(-1, q.MatMulT(k) * (1 / Real.Sqrt(d)) + mask, own.Reshape([b, h, n, 1])));
        var w = pass.At(Part.Pattern, scores.Softmax());
        return w.Slice(-1, 0, m).MatMul(v) + w.Slice(-1, m, m + 1) * vOwn;
    }

    // Rows first, first + L, … of [B,H,N,D].
    Tensor Every(Tensor x, int first)
    {
        var (b, h, n, d) = x.Shape; int whole = (n - first - 1) / chunk, rest = first + whole * chunk; var last = x.Slice(2, rest, rest + 1);
        return whole == 0 ? last : Tensor.Concat(2, x.Slice(2, first, rest).Reshape([b, h, whole, chunk, d]).Slice(3, 0, 1).Reshape([b, h, whole, d]), last);
    }

    // [B,N,G·D] → [B,N,H·D]
    Tensor Repeated(Tensor x)
    {
        int groups = c.Groups, times = c.Heads / groups; var (b, n, _) = x.Shape;
        return times == 1 ? x : x.Reshape([b, n, groups, 1, c.HeadDim]).Expand([b, n, groups, times, c.HeadDim]).Reshape([b, n, c.Dim]);
    }
}
