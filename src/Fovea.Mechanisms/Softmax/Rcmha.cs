using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The past of a layer that convolves queries, keys and values: their last projections, convolved keys and values, and the vectors of distances so far.</summary>
public sealed class ConvolvedKv(int queries, int keys) : LayerState
{
    internal ConvState Q { get; } = new(queries);
    internal ConvState K { get; } = new(keys);
    internal ConvState V { get; } = new(keys);
    internal GrowingKv Past { get; } = new();
    internal Tensor? Table { get; set; }
    public override long Bytes => Q.Bytes + K.Bytes + V.Bytes + Past.Bytes;
}

/// <summary>
/// Relative convolutional attention: queries, keys and values of each head pass a causal depthwise convolution along the text, one filter per channel, which starts as the identity and noise; scores are those of Transformer-XL,
/// S_ij = ((q̂_i + β)·k̂_j + (q̂_i + γ)·r_{i−j})/√D, with biases β, γ per head and r_δ = W_R·(sines and cosines of δ). Fused, the second bias becomes one more channel of the table of distances, (γ − β)·r_δ, so that one kernel call
/// does it; plain, the products with distances are aligned by the relative shift. The paper leaves the length of the filter and the source of r open; here they are three tokens and projected sines. Positions of the configuration are ignored.
/// </summary>
/// <param name="kernel">Tokens that a filter spans.</param>
/// <param name="convolve">False: relative scores alone (RMHA).</param>
/// <param name="relative">False: convolutions alone (MDHA); positions then come from the embeddings.</param>
[From("rcmha")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class RcmhaAttention : HeadAttention
{
    readonly int kernel; readonly (Tensor Taps, Tensor Bias)? q, k, v; readonly Tensor? content, position; readonly Linear? distances;

    public RcmhaAttention(AttentionConfig c, Weights w, int kernel = 3, bool convolve = true, bool relative = true) : base(c with { Position = null }, w)
    {
        this.kernel = c.Causal && kernel > 0 ? kernel : throw new ArgumentException($"filters of {kernel} tokens that look back; it needs Causal = true");
        (Tensor, Tensor) Filter(string name, int channels) => (w[name].Get("weight", [channels, kernel], t =>
        {
            w[name].Rng.Normal(t.Span, (Real)0.02);
            for (int i = kernel - 1; i < t.Shape.Size; i += kernel) t.Span[i] += 1;
        }), w[name].Get("bias", [channels], Init.Zeros));
        if (convolve) (q, k, v) = (Filter("q_conv", c.Dim), Filter("k_conv", c.Groups * c.HeadDim), Filter("v_conv", c.Groups * c.HeadDim));
        if (!relative) return;
        content = w.Get("content_bias", [c.Heads, 1, c.HeadDim], Init.Zeros); position = w.Get("position_bias", [c.Heads, 1, c.HeadDim], Init.Zeros); distances = new(w["r_proj"], c.Dim, c.Dim);
    }

    /// <summary>r_δ [H,L,D] with distance δ in row L − 1 − δ.</summary>
    Tensor Table(int length)
    {
        var angles = Tensor.Empty([length, Config.Dim]);
        for (int i = 0; i < angles.Shape.Size; i++)
        {
            int c = i % Config.Dim; double angle = (length - 1 - i / Config.Dim) * Math.Pow(10000, -2.0 * (c / 2) / Config.Dim);
            angles.Span[i] = (Real)(c % 2 == 0 ? Math.Sin(angle) : Math.Cos(angle));
        }
        return distances!.Forward(angles).Reshape([length, Config.Heads, Config.HeadDim]).Permute(1, 0, 2);
    }

    Tensor Convolved(Tensor x, (Tensor Taps, Tensor Bias)? filter, ConvState? state, bool plain) => filter is not { } f ? x
        : (plain && state is null ? ShortConvolution.Plain(x.MergeHeads(), f.Taps, f.Bias) : ShortConvolution.Fused(x.MergeHeads(), f.Taps, f.Bias, state)).SplitHeads(x.Shape[1]);

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self) throw new ArgumentException("convolutions and distances read the layer's own input only");
        int b = h.Q.Shape[0]; bool plain = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern);
        var kv = pass.Memory?.Get(this, () => new ConvolvedKv(ShortConvolution.Size(b, Config.Dim, kernel), ShortConvolution.Size(b, Config.Groups * Config.HeadDim, kernel)));
        h = h with { Q = Convolved(h.Q, q, kv?.Q, plain), K = Convolved(h.K, k, kv?.K, plain), V = Convolved(h.V, v, kv?.V, plain) };
        if (kv is not null) { kv.Past.Append(h.K, h.V, h.Start); h = h with { K = kv.Past.Keys.Slice(2, 0, kv.Past.Count), V = kv.Past.Values.Slice(2, 0, kv.Past.Count) }; }
        int keys = h.K.Shape[2];
        if (distances is null)
        {
            var call = new Softmax.Call(Start: h.Start);
            return plain ? Softmax.Plain<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), call, pass) : Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), call);
        }
        if (kv is null) return plain ? Skewed(h, Table(keys), pass) : Fused(h, Table(keys));
        if (kv.Table is null || kv.Table.Shape[1] < keys) { var made = Table(2 * keys); kv.Table = Tensor.Over(made.Span.ToArray(), made.Shape); }
        return Fused(h, kv.Table);
    }

    Tensor Fused(Heads h, Tensor table)
    {
        var (b, heads, n, d) = h.Q.Shape; var (_, g, m, _) = h.K.Shape;
        Tensor bias = (table * (position! - content!)).Sum(-1), q = Tensor.Concat(-1, h.Q + content!, Tensor.Full([b, heads, n, 1], 1)) * Real.Sqrt((d + 1) / (Real)d);
        return RelativeAttention.Fused(q, Tensor.Concat(-1, h.K, Tensor.Zeros([b, g, m, 1])), h.V, Tensor.Concat(-1, table, bias), h.Start);
    }

    // Whole texts: products with all distances, aligned with the keys by the shift.
    Tensor Skewed(Heads h, Tensor table, Pass pass)
    {
        var (b, heads, n, d) = h.Q.Shape; var mask = Tensor.Zeros([n, n]);
        for (int i = 0; i < n; i++) mask.Span.Slice(i * n + i + 1, n - i - 1).Fill(Real.NegativeInfinity);
        var relative = RelativeShift.Skew((h.Q + position!).MatMulT(table.Expand([b, heads, n, d])));
        var scores = pass.At(Part.Scores, ((h.Q + content!).MatMulT(PerHead(h.K)) + relative) * (1 / Real.Sqrt(d)) + mask);
        return pass.At(Part.Pattern, scores.Softmax()).MatMul(PerHead(h.V));
    }
}
