using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Attention whose logits belong to positions and not to pairs (§3, "Non-approximate"): l_s = silu(q_s)·k_s/√D, and token t averages the values of s ≤ t with softmax over those l_s. All prefixes are one scan, and token by token the
/// state is a running maximum, sum and weighted sum. Positions of the configuration turn q and k, which changes nothing, as both stand at one place; so they are left out.
/// </summary>
[From("deconstructing-attention", "§3, Non-approximate")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class NonApproximateAttention : HeadAttention
{
    public NonApproximateAttention(AttentionConfig c, Weights w) : base(c, w) { if (!c.Causal) throw new ArgumentException("a prefix looks back only; it needs Causal = true"); }

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self) throw new ArgumentException("the prefixes of a sequence are its own; a context cannot be read");
        var (b, heads, n, d) = h.Q.Shape;
        Tensor s = (h.Q.Silu() * PerHead(h.K)).Sum(3).Reshape([b, heads, n]) * (1 / Real.Sqrt(d)), v = PerHead(h.V);
        return pass.Reference && pass.Memory is null ? AarenAttention.Plain(s, v) : AarenAttention.Prefixes(this, s, v, pass);
    }
}

/// <summary>
/// Causal softmax attention whose weights come from one stream and whose values from another (§3, RndEmbQK, FixedSeqQK, StaticEmbQK): q, k = source·W, v = x·W. If the source has one row for a batch of values, the weights are the same for all
/// rows and are computed once. Parameters are those of ordinary attention.
/// </summary>
[From("deconstructing-attention", "§3, RndEmbQK, FixedSeqQK, StaticEmbQK")]
public sealed class MapAttention(AttentionConfig c, Weights w)
{
    readonly Linear q = new(w["q_proj"], c.Dim, c.Dim), k = new(w["k_proj"], c.Dim, c.Dim), v = new(w["v_proj"], c.Dim, c.Dim), o = new(w["o_proj"], c.Dim, c.Dim);

    (Tensor Q, Tensor K) Heads(Tensor source)
    {
        Tensor a = q.Forward(source).SplitHeads(c.Heads), b = k.Forward(source).SplitHeads(c.Heads);
        if (c.Position is null) return (a, b);
        int[] at = [.. Enumerable.Range(0, source.Shape[1])];
        return (c.Position.Apply(a, at), c.Position.ApplyToKeys(b, at));
    }

    /// <summary>The weights [B,H,N,N] that a source [B,N,C] makes.</summary>
    public Tensor Maps(Tensor source)
    {
        var (a, b) = Heads(source); int n = a.Shape[2]; var mask = Tensor.Full([n, n], Real.NegativeInfinity);
        for (int i = 0; i < n; i++) mask.Span.Slice(i * n, i + 1).Clear();
        return (a.MatMulT(b) * (1 / Real.Sqrt(a.Shape[3])) + mask).Softmax();
    }

    /// <summary>source [B,N,C] or [1,N,C], x [B,N,C] → [B,N,C].</summary>
    public Tensor Forward(Tensor source, Tensor x)
    {
        var (rows, n, _) = x.Shape; Check.Shape(x, [-1, -1, c.Dim]); Check.Shape(source, [source.Shape[0] == 1 ? 1 : rows, n, c.Dim]);
        var (a, b) = Heads(source); var values = v.Forward(x).SplitHeads(c.Heads); int e = c.HeadDim;
        if (source.Shape[0] == rows) return o.Forward(Softmax.Fused<Plain, Causal, SoftmaxWeights>(a, b, values, new(), new(), new()).MergeHeads());
        // One set of weights: the rows stand side by side as channels of the values.
        var side = values.Permute(1, 2, 0, 3).Reshape([1, c.Heads, n, rows * e]);
        var y = Softmax.Fused<Plain, Causal, SoftmaxWeights>(a, b, side, new(), new(), new()).Reshape([c.Heads, n, rows, e]);
        return o.Forward(y.Permute(2, 1, 0, 3).Reshape([rows, n, c.Dim]));
    }
}
