using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The last inputs of a causal convolution [B,K−1,C], oldest first; zeros at first.</summary>
public sealed class ConvState(int size) : LayerState
{
    public Real[] Last { get; } = new Real[size];
    public override long Bytes => (long)Last.Length * sizeof(Real);
}

/// <summary>
/// Short gated convolution, the third layer kind of Based (§4, §5): a linear layer to expand · C channels, a causal depthwise convolution over
/// kernel tokens on one half of them, times the other half, and a linear layer back. The paper leaves the wiring open; this is the one of its text. It has no heads and no
/// positions, and looks back only.
/// </summary>
[From("based", "§5.1")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class BaseConv : Attention
{
    readonly Linear up, down; readonly Tensor taps; readonly int width, kernel, channels;

    public BaseConv(AttentionConfig c, Weights w, int kernel = 3, int expand = 4)
    {
        if (!c.Causal) throw new ArgumentException("a causal convolution looks back only; it needs Causal = true");
        if (kernel < 1 || expand < 1 || expand * c.Dim % 2 != 0) throw new ArgumentException($"kernel {kernel} and expansion {expand} must be at least 1, and {expand} · {c.Dim} channels even");
        (this.kernel, channels, width) = (kernel, c.Dim, expand * c.Dim / 2);
        up = new(w["up"], c.Dim, 2 * width); down = new(w["down"], width, c.Dim);
        taps = w.Get("conv", [width, kernel]);
    }

    public override Tensor Forward(Tensor x, Tensor context, Pass pass)
    {
        Check.Shape(x, [-1, -1, channels]);
        if (!ReferenceEquals(x, context)) throw new ArgumentException("a convolution reads its own input only");
        var u = up.Forward(x);
        return pass.At(Part.AttnOut, down.Forward(Convolve(u.Slice(-1, 0, width), pass) * pass.At(Part.Gate, u.Slice(-1, width, 2 * width))));
    }

    // y_t = Σ_j taps_j x_{t − K + 1 + j}
    Tensor Convolve(Tensor x, Pass pass)
    {
        var (b, n, c) = x.Shape;
        if (pass.Reference && pass.Memory is null) return Plain(x);
        var state = pass.Memory?.Get(this, () => new ConvState(b * (kernel - 1) * c)).Last ?? [];
        if (pass.Memory is not null && state.Length != b * (kernel - 1) * c) throw new ShapeException($"the memory of this layer holds {state.Length} numbers, this call needs {b * (kernel - 1) * c}; did the batch size change?");
        var y = Tensor.Empty(x.Shape);
        CausalConv.Forward(x.Span, taps.Span, default, y.Span, state, b, n, c, kernel);
        return Tensor.Record(y, [x, taps], y => CausalConv.Backward(x.Span, taps.Span, y.Grad, x.Grad, taps.Grad, default, b, n, c, kernel));
    }

    Tensor Plain(Tensor x)
    {
        var (b, n, c) = x.Shape; var sum = Tensor.Zeros(x.Shape);
        for (int j = 0; j < kernel; j++)
        {
            int back = Math.Min(kernel - 1 - j, n); var shifted = back == 0 ? x : Tensor.Concat(1, Tensor.Zeros([b, back, c]), x.Rows(0, n - back));
            sum += shifted * taps.Slice(1, j, j + 1).Reshape([c]);
        }
        return sum;
    }
}
