using Fovea.Kernels;
namespace Fovea;

// Element-wise functions.
public sealed partial class Tensor
{
    /// <summary>op applied to every element; the way to use an operator of your own.</summary>
    public Tensor Apply<TOp>() where TOp : struct, IUnary
    {
        var x = this; var y = Empty(Shape);
        Map.Apply<TOp>(Span, y.Span);
        return Record(y, [x], y => Map.Backward<TOp>(x.Span, y.Span, y.Grad, x.Grad));
    }
    public Tensor Sigmoid() => Apply<Sigmoid>();
    public Tensor Tanh() => Apply<Tanh>();
    /// <summary>x σ(x)</summary>
    public Tensor Silu() => Apply<Silu>();
    /// <summary>x Φ(x) in its tanh form.</summary>
    public Tensor Gelu() => Apply<Gelu>();
    /// <summary>x Φ(x) with the error function.</summary>
    public Tensor GeluErf() => Apply<GeluErf>();
    public Tensor Relu() => Apply<Relu>();
    /// <summary>log(1 + e^x)</summary>
    public Tensor Softplus() => Apply<Softplus>();
    public Tensor Exp() => Apply<Exp>();
    public Tensor Log() => Apply<Log>();
    public Tensor Sqrt() => Apply<Sqrt>();
    public Tensor Square() => Apply<Square>();
    public Tensor Abs() => Apply<Abs>();
    public Tensor Sin() => Apply<Sin>();
    public Tensor Cos() => Apply<Cos>();
    /// <summary>elu(x) + 1: e^x below zero, x + 1 above; the feature map of plain linear attention.</summary>
    public Tensor EluPlusOne() => Apply<EluPlusOne>();

    /// <summary>silu(gate) · up, both of one shape.</summary>
    public static Tensor SwiGlu(Tensor gate, Tensor up)
    {
        Check.Shape(up, gate.Shape);
        var y = Empty(gate.Shape);
        Map.SwiGlu(gate.Span, up.Span, y.Span);
        return Record(y, [gate, up], y => Map.SwiGluBackward(gate.Span, up.Span, y.Grad, gate.Grad, up.Grad));
    }

    /// <summary>Sets each element to zero with probability rate and scales the rest by 1/(1 − rate). The key alone decides which.</summary>
    public Tensor Dropout(Rng rng, double rate)
    {
        if (rate is < 0 or >= 1) throw new ArgumentOutOfRangeException(nameof(rate), rate, "a dropout rate is at least 0 and below 1");
        if (rate == 0) return this;
        var mask = Empty(Shape);
        var m = mask.Span; Real keep = (Real)(1 / (1 - rate));
        for (int i = 0; i < m.Length; i++) m[i] = rng.Uniform(i) < rate ? 0 : keep;
        return this * mask;
    }
}
