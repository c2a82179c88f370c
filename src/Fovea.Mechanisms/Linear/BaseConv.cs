namespace Fovea.Mechanisms;

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

    Tensor Convolve(Tensor x, Pass pass) => pass.Reference && pass.Memory is null ? ShortConvolution.Plain(x, taps, null)
        : ShortConvolution.Fused(x, taps, null, pass.Memory?.Get(this, () => new ConvState(ShortConvolution.Size(x.Shape[0], width, kernel))));
}
