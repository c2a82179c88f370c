using Fovea.Kernels;
using TP = System.Numerics.Tensors.TensorPrimitives;
namespace Fovea;

// Arithmetic. In a ∘ b the shape of b equals that of a, is a suffix of it, or has 1 where a has more; then b is repeated and its gradient summed.
public sealed partial class Tensor
{
    public static Tensor operator +(Tensor a, Tensor b)
    {
        if (!Fit(ref a, ref b, "+")) return b + a;
        var y = Empty(a.Shape); Map.Add(a.Span, b.Span, y.Span);
        return Record(y, [a, b], y =>
        {
            if (a.RequiresGrad) Map.AddTo(y.Grad, a.Grad);
            if (b.RequiresGrad) Map.SumTo(y.Grad, b.Grad);
        });
    }
    public static Tensor operator -(Tensor a, Tensor b)
    {
        if (!Fit(ref a, ref b, "-")) return -b + a;
        var y = Empty(a.Shape); Map.Sub(a.Span, b.Span, y.Span);
        return Record(y, [a, b], y =>
        {
            if (a.RequiresGrad) Map.AddTo(y.Grad, a.Grad);
            if (b.RequiresGrad) { var minus = -y.GradTensor(); Map.SumTo(minus.Span, b.Grad); }
        });
    }
    public static Tensor operator *(Tensor a, Tensor b)
    {
        if (!Fit(ref a, ref b, "*")) return b * a;
        var y = Empty(a.Shape); Map.Mul(a.Span, b.Span, y.Span);
        return Record(y, [a, b], y =>
        {
            if (a.RequiresGrad) Map.MulAdd(y.Grad, b.Span, a.Grad);
            if (b.RequiresGrad) Map.MulSumTo(y.Grad, a.Span, b.Grad);
        });
    }
    public static Tensor operator /(Tensor a, Tensor b)
    {
        if (!Fit(ref a, ref b, "/")) a = a.Expand(b.Shape);
        var y = Empty(a.Shape); Map.Div(a.Span, b.Span, y.Span);
        return Record(y, [a, b], y =>
        {
            var g = Empty(y.Shape); Map.Div(y.Grad, b.Span, g.Span);            // dy / b
            if (a.RequiresGrad) Map.AddTo(g.Span, a.Grad);
            if (b.RequiresGrad) { TP.Negate<Real>(g.Span, g.Span); Map.MulSumTo(g.Span, y.Span, b.Grad); }
        });
    }
    public static Tensor operator *(Tensor a, Real s)
    {
        var y = Empty(a.Shape); TP.Multiply(a.Span, s, y.Span);
        return Record(y, [a], y => Map.AddScaled(y.Grad, s, a.Grad));
    }
    public static Tensor operator +(Tensor a, Real s)
    {
        var y = Empty(a.Shape); TP.Add(a.Span, s, y.Span);
        return Record(y, [a], y => Map.AddTo(y.Grad, a.Grad));
    }
    public static Tensor operator *(Real s, Tensor a) => a * s;
    public static Tensor operator +(Real s, Tensor a) => a + s;
    public static Tensor operator -(Tensor a, Real s) => a + (-s);
    public static Tensor operator -(Real s, Tensor a) => -a + s;
    public static Tensor operator /(Tensor a, Real s) => a * (1 / s);
    public static Tensor operator -(Tensor a) => a * -1;

    // The gradient as a tensor of its own, for backward formulas written with operators; not recorded.
    Tensor GradTensor() => From(Grad, Shape);

    // Brings b to a shape that the kernels repeat by themselves; false if a is the one to repeat (the caller swaps).
    static bool Fit(ref Tensor a, ref Tensor b, string op)
    {
        var (x, y) = (a.Shape, b.Shape);
        if (x.Rank < y.Rank || x.Rank == y.Rank && x.Size < y.Size) return Fits(y, x) ? false : throw Misfit(x, y, op);
        if (x.AsSpan.EndsWith(y.AsSpan)) return true;
        if (!Fits(x, y)) throw Misfit(x, y, op);
        b = b.Expand(x);
        return true;
    }
    static ShapeException Misfit(Shape a, Shape b, string op) => new($"a {op} b: b {b} does not repeat to a {a}");
    static bool Fits(Shape big, Shape small)
    {
        for (int i = 1; i <= small.Rank; i++) if (small[-i] != big[-i] && small[-i] != 1) return false;
        return true;
    }

    /// <summary>Repeats along axes of size 1 (missing leading axes count as 1) until the shape is <paramref name="target"/>.</summary>
    public Tensor Expand(Shape target)
    {
        if (target == Shape) return this;
        if (Shape.Rank > target.Rank || !Fits(target, Shape)) throw new ShapeException($"{Shape} does not repeat to {target}");
        Span<int> d = stackalloc int[Shape.MaxRank]; d.Fill(1);
        Shape.AsSpan.CopyTo(d[(target.Rank - Shape.Rank)..]);
        var dims = Shape.Of(d[..target.Rank]);
        var x = this; var y = Empty(target);
        Moves.Expand(Span, dims.AsSpan, y.Span, target.AsSpan);
        return Record(y, [x], y => Moves.AddReduced(x.Grad, dims.AsSpan, y.Grad, target.AsSpan));
    }

    /// <summary>Sum of all elements, a tensor of shape [].</summary>
    public Tensor Sum()
    {
        var x = this; var y = Empty([]); y.Span[0] = TP.Sum<Real>(Span);
        return Record(y, [x], y => TP.Add(x.Grad, y.Grad[0], x.Grad));
    }
    /// <summary>Mean of all elements, a tensor of shape [].</summary>
    public Tensor Mean() => Sum() * (1 / (Real)Shape.Size);

    /// <summary>Sum over one axis, which stays with size 1.</summary>
    public Tensor Sum(int axis)
    {
        var x = this; var small = Shape.With(axis, 1);
        var y = Zeros(small); Moves.AddReduced(y.Span, small.AsSpan, Span, Shape.AsSpan);
        return Record(y, [x], y => { var g = Empty(x.Shape); Moves.Expand(y.Grad, small.AsSpan, g.Span, x.Shape.AsSpan); Map.AddTo(g.Span, x.Grad); });
    }
    /// <summary>Mean over one axis, which stays with size 1.</summary>
    public Tensor Mean(int axis) => Sum(axis) * (1 / (Real)Shape[axis]);
}
