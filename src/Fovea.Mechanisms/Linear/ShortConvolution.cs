using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The last inputs of a causal convolution [B,K−1,C], oldest first; zeros at first.</summary>
public sealed class ConvState(int size) : LayerState
{
    public Real[] Last { get; } = new Real[size];
    public override long Bytes => (long)Last.Length * sizeof(Real);
}

/// <summary>Causal depthwise convolution along a text, y_t = b + Σ_j taps_j x_{t − K + 1 + j}: fused, with or without what came before, and plain. x [B,N,C], taps [C,K], bias [C] or null.</summary>
[From("based", "§5.1")]
public static class ShortConvolution
{
    /// <summary>Going on from what the layer has seen.</summary>
    public static Tensor Run(object layer, Tensor x, Tensor taps, Tensor? bias, Pass pass) => pass.Reference && pass.Memory is null ? Plain(x, taps, bias)
        : Fused(x, taps, bias, pass.Memory?.Get(layer, () => new ConvState(Size(x.Shape[0], x.Shape[2], taps.Shape[1]))));

    /// <summary>state gives the memory of this layer, which is made for the batch size of its first call; null: nothing came before.</summary>
    public static Tensor Fused(Tensor x, Tensor taps, Tensor? bias, ConvState? state)
    {
        var (b, n, c) = x.Shape; int kernel = taps.Shape[1]; Check.Shape(taps, [c, kernel]);
        if (state is not null && state.Last.Length != Size(b, c, kernel)) throw new ShapeException($"the memory of this layer holds {state.Last.Length} numbers, this call needs {Size(b, c, kernel)}; did the batch size change?");
        var y = Tensor.Empty(x.Shape);
        CausalConv.Forward(x.Span, taps.Span, bias is null ? default : bias.Span, y.Span, state is null ? default : state.Last, b, n, c, kernel);
        return Tensor.Record(y, bias is null ? [x, taps] : [x, taps, bias], y => CausalConv.Backward(x.Span, taps.Span, y.Grad, x.Grad, taps.Grad, bias is null ? default : bias.Grad, b, n, c, kernel));
    }

    /// <summary>After a past [B,K−1,C] through which gradients flow → y [B,N,C] and the past of the next token.</summary>
    public static (Tensor Y, Tensor Past) After(Tensor past, Tensor x, Tensor taps)
    {
        var all = Tensor.Concat(1, past, x); int n = all.Shape[1], before = taps.Shape[1] - 1;
        return (Fused(all, taps, null, null).Rows(before, n), all.Rows(n - before, n));
    }

    /// <summary>Numbers of the state.</summary>
    public static int Size(int batch, int channels, int kernel) => batch * (kernel - 1) * channels;

    public static Tensor Plain(Tensor x, Tensor taps, Tensor? bias)
    {
        var (b, n, c) = x.Shape; int kernel = taps.Shape[1]; var sum = Tensor.Zeros(x.Shape);
        for (int j = 0; j < kernel; j++)
        {
            int back = Math.Min(kernel - 1 - j, n); var shifted = back == 0 ? x : Tensor.Concat(1, Tensor.Zeros([b, back, c]), x.Rows(0, n - back));
            sum += shifted * taps.Slice(1, j, j + 1).Reshape([c]);
        }
        return bias is null ? sum : sum + bias;
    }
}
