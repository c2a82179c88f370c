using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The last inputs of a causal convolution [B,K−1,C], oldest first; zeros at first.</summary>
public sealed class ConvState(int size) : LayerState
{
    public Real[] Last { get; } = new Real[size];
    public override long Bytes => (long)Last.Length * sizeof(Real);
}

/// <summary>A causal depthwise convolution over a few tokens, y_t = bias + Σ_j taps_j x_{t − K + 1 + j}, as a recorded operation with the state of a layer.</summary>
public static class ShortConvolution
{
    /// <summary>x [B,N,C], taps [C,K], bias [C] or null → [B,N,C], going on from what the layer has seen.</summary>
    public static Tensor Run(object layer, Tensor x, Tensor taps, Tensor? bias, Pass pass)
    {
        var (b, n, c) = x.Shape; int kernel = taps.Shape[1];
        if (pass.Reference && pass.Memory is null) return Plain(x, taps, bias);
        var state = pass.Memory?.Get(layer, () => new ConvState(b * (kernel - 1) * c)).Last ?? [];
        if (pass.Memory is not null && state.Length != b * (kernel - 1) * c) throw new ShapeException($"the memory of this layer holds {state.Length} numbers, this call needs {b * (kernel - 1) * c}; did the batch size change?");
        var y = Tensor.Empty(x.Shape);
        CausalConv.Forward(x.Span, taps.Span, bias is null ? default : bias.Span, y.Span, state, b, n, c, kernel);
        return Tensor.Record(y, bias is null ? [x, taps] : [x, taps, bias], y => CausalConv.Backward(x.Span, taps.Span, y.Grad, x.Grad, taps.Grad, bias is null ? default : bias.Grad, b, n, c, kernel));
    }

    static Tensor Plain(Tensor x, Tensor taps, Tensor? bias)
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
