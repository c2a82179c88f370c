using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>y = x Wᵀ with W [N,K] and x in 8-bit integers, symmetric with one scale each, and 32-bit sums; the scale of x is fixed beforehand and larger numbers are cut. For inference: nothing is recorded.</summary>
public sealed class Int8Product
{
    readonly sbyte[] weights; readonly Real weightScale, inputScale; readonly int n, k; readonly bool hadamard;

    /// <param name="largest">The largest magnitude of x that is represented.</param>
    /// <param name="hadamard">x is transformed to Hx first and W is stored as W Hᵀ, which changes nothing but where numbers are rounded; largest counts for Hx.</param>
    public Int8Product(Tensor w, double largest, bool hadamard = false)
    {
        (n, k) = w.Shape; this.hadamard = hadamard;
        Real[] rows = w.Span.ToArray();
        if (hadamard) Rotation.Transform(rows, n, k);
        weightScale = Scale(System.Numerics.Tensors.TensorPrimitives.MaxMagnitude<Real>(rows)); inputScale = Scale((Real)largest);
        IntegerGemm.Round(rows, weightScale, weights = new sbyte[rows.Length]);
    }
    static Real Scale(Real largest) => Math.Abs(largest) is > 0 and var m ? m / 127 : 1;

    /// <summary>Bytes of the weights and both scales.</summary>
    public long Bytes => weights.Length + 2 * sizeof(Real);

    /// <summary>x [...,K] → [...,N].</summary>
    public Tensor Forward(Tensor x)
    {
        int m = x.Shape.Size / k; var y = Tensor.Empty(x.Shape.With(-1, n)); var q = new sbyte[x.Shape.Size]; var sums = new int[m * n];
        if (x.Shape[-1] != k) throw new ShapeException($"x is {x.Shape}, expected [..., {k}]");
        if (hadamard) { x = Tensor.From(x.Span, x.Shape); Rotation.Transform(x.Span, m, k); }
        IntegerGemm.Round(x.Span, inputScale, q);
        IntegerGemm.NT(q, weights, sums, m, k, n);
        Real scale = inputScale * weightScale;
        var to = y.Span;
        for (int i = 0; i < sums.Length; i++) to[i] = scale * sums[i];
        return y;
    }
}

/// <summary>The orthonormal Walsh–Hadamard transform of rows of any even length n: of blocks as long as the largest power of two that divides n. Its own inverse.</summary>
public static class Rotation
{
    public static void Transform(Span<Real> x, int rows, int n) { int block = n & -n; Hadamard.Transform(x, rows * (n / block), block); }
}
