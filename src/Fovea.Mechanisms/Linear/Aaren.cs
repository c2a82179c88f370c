using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The running softmax of every head of a layer: maximum, sum and weighted sum of values, E + 2 numbers each.</summary>
public sealed class PrefixState : LayerState
{
    public Real[] S { get; }
    public PrefixState(int rows, int valueDim) => PrefixSoftmax.Clear(S = new Real[rows * PrefixSoftmax.State(valueDim)], valueDim);
    public override long Bytes => (long)S.Length * sizeof(Real);
}

/// <summary>
/// Attention as a recurrent network: the query is one learned vector of the layer, projected to heads, and o_k = Attention(q, x_1 … x_k), so the scores s_j = q·k_j/√D do not depend on k and all
/// prefixes are one scan over (maximum, sum, weighted sum); token by token the state is constant (aaren, §3). Positions enter with the embeddings, if at all.
/// </summary>
[From("aaren", "§3.2–3.3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class AarenAttention : Attention
{
    readonly AttentionConfig c; readonly Tensor query; readonly Linear q, k, v, o;

    public AarenAttention(AttentionConfig c, Weights w)
    {
        if (!c.Causal) throw new ArgumentException("a prefix looks back only; it needs Causal = true");
        this.c = c.Checked(); int kv = c.Groups * c.HeadDim;
        query = w.Get("query", [1, c.Dim], Init.Normal02);
        q = new(w["q_proj"], c.Dim, c.Dim); k = new(w["k_proj"], c.Dim, kv); v = new(w["v_proj"], c.Dim, kv); o = new(w["o_proj"], c.Dim, c.Dim);
    }

    public override Tensor Forward(Tensor x, Tensor context, Pass pass)
    {
        Check.Shape(x, [-1, -1, c.Dim]);
        if (!ReferenceEquals(x, context)) throw new ArgumentException("the prefixes of a sequence are its own; a context cannot be read");
        var (b, n, _) = x.Shape; int g = c.Groups, group = c.Heads / g;
        // Heads of a group share keys: q [G,H/G,D] against k [B,G,N,D] → [B,H,N]
        var keys = pass.At(Part.Key, k.Forward(x).SplitHeads(g)); var asks = pass.At(Part.Query, q.Forward(query)).Reshape([1, g, group, c.HeadDim]);
        var s = asks.Expand([b, g, group, c.HeadDim]).MatMulT(keys).Reshape([b, c.Heads, n]) * (1 / Real.Sqrt(c.HeadDim));
        var values = pass.At(Part.Value, v.Forward(x).SplitHeads(g));
        if (group > 1) values = values.Reshape([b, g, 1, n, c.HeadDim]).Expand([b, g, group, n, c.HeadDim]).Reshape([b, c.Heads, n, c.HeadDim]);
        var y = pass.At(Part.Z, pass.Reference && pass.Memory is null ? Plain(s, values) : Prefixes(this, s, values, pass));
        pass.Memory?.Advance(this, n);
        return pass.At(Part.AttnOut, o.Forward(y.MergeHeads()));
    }

    /// <summary>Scores s [B,H,N], v [B,H,N,E] → softmax averages over all prefixes [B,H,N,E], going on from what the layer has seen.</summary>
    public static Tensor Prefixes(object layer, Tensor s, Tensor v, Pass pass)
    {
        var (b, h, n, e) = v.Shape; Check.Shape(s, [b, h, n]); int rows = b * h;
        var state = (pass.Memory?.Get(layer, () => new PrefixState(rows, e)) ?? new(rows, e)).S;
        if (state.Length != rows * PrefixSoftmax.State(e)) throw new ShapeException($"the memory of this layer holds {state.Length} numbers, this call needs {rows * PrefixSoftmax.State(e)}; did the batch size change?");
        Tensor o = Tensor.Empty(v.Shape), lse = Tensor.Empty(s.Shape).Exactly();
        PrefixSoftmax.Forward(rows, n, e, s.Span, v.Span, state, o.Span, lse.Span);
        return Tensor.Record(o, [s, v], o => PrefixSoftmax.Backward(rows, n, e, s.Span, v.Span, o.Span, lse.Span, o.Grad, s.Grad, v.Grad));
    }

    /// <summary>The same with N rows of one softmax.</summary>
    public static Tensor Plain(Tensor s, Tensor v)
    {
        var (b, h, n, _) = v.Shape; var mask = Tensor.Full([n, n], Real.NegativeInfinity);
        for (int i = 0; i < n; i++) mask.Span.Slice(i * n, i + 1).Clear();
        return (s.Reshape([b, h, 1, n]).Expand([b, h, n, n]) + mask).Softmax().MatMul(v);
    }
}
