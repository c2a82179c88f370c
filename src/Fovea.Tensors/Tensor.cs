using Fovea.Kernels;
using TP = System.Numerics.Tensors.TensorPrimitives;
namespace Fovea;

/// <summary>Numbers with a shape. Always contiguous and row-major; immutable by convention once an operation has returned it.</summary>
public class Tensor
{
    Real[]? data; Real[]? grad;
    public Shape Shape { get; }
    public bool RequiresGrad { get; internal set; }

    internal Tensor(Shape shape, Real[] data) { Shape = shape; this.data = data; }

    public Span<Real> Span => (data ?? throw new ObjectDisposedException(nameof(Tensor), $"tensor {Shape} was released with its scope; Scope.Keep it")).AsSpan(0, Shape.Size);
    /// <summary>The gradient, made on first use and zero at first; kernels add into it.</summary>
    public Span<Real> Grad { get { if (grad is null) { grad = Pool.Rent(Shape.Size); Array.Clear(grad); } return grad.AsSpan(0, Shape.Size); } }
    public bool HasGrad => grad is not null;
    public void ZeroGrad() { if (grad is not null) Array.Clear(grad); }
    internal void Release() { if (data is not null) { Pool.Return(data); data = null; } if (grad is not null) { Pool.Return(grad); grad = null; } }

    // ---- making
    /// <summary>Memory is not cleared: the caller writes all of it.</summary>
    public static Tensor Empty(Shape shape)
    {
        var scope = ScopeState.Current;
        if (scope is null) return new(shape, new Real[shape.Size]);
        var t = new Tensor(shape, Pool.Rent(shape.Size));
        scope.Own(t);
        return t;
    }
    public static Tensor Zeros(Shape shape) { var t = Empty(shape); t.Span.Clear(); return t; }
    public static Tensor From(ReadOnlySpan<Real> values, Shape shape) { var t = Empty(shape); values.CopyTo(t.Span); return t; }

    // ---- differentiating
    /// <summary>Declares how an output's gradient flows back. Backward adds into input.Grad of the inputs that require it.</summary>
    public static Tensor Record(Tensor output, ReadOnlySpan<Tensor> inputs, Action<Tensor> backward)
    {
        if (ScopeState.Current?.Tape is not { } tape) return output;
        foreach (var i in inputs) if (i.RequiresGrad) { output.RequiresGrad = true; tape.Add(new(output, backward)); break; }
        return output;
    }
    public void Backward()
    {
        var tape = ScopeState.Current?.Tape ?? throw new InvalidOperationException("Backward needs an open Scope.Train()");
        Grad.Fill(1);
        for (int i = tape.Count - 1; i >= 0; i--) if (tape[i].Output.HasGrad) tape[i].Backward(tape[i].Output);
    }

    // ---- arithmetic (same shape, or b's shape is a suffix of a's)
    public static Tensor operator +(Tensor a, Tensor b)
    {
        Suffix(a, b, "+"); int n = b.Shape.Size;
        var y = Empty(a.Shape);
        for (int i = 0; i < a.Shape.Size; i += n) TP.Add(a.Span.Slice(i, n), b.Span, y.Span.Slice(i, n));
        return Record(y, [a, b], y =>
        {
            if (a.RequiresGrad) TP.Add(a.Grad, y.Grad, a.Grad);
            if (b.RequiresGrad) for (int i = 0; i < y.Shape.Size; i += n) TP.Add(b.Grad, y.Grad.Slice(i, n), b.Grad);
        });
    }
    public static Tensor operator *(Tensor a, Tensor b)
    {
        Suffix(a, b, "*"); int n = b.Shape.Size;
        var y = Empty(a.Shape);
        for (int i = 0; i < a.Shape.Size; i += n) TP.Multiply(a.Span.Slice(i, n), b.Span, y.Span.Slice(i, n));
        return Record(y, [a, b], y =>
        {
            for (int i = 0; i < y.Shape.Size; i += n)
            {
                var g = y.Grad.Slice(i, n);
                if (a.RequiresGrad) TP.MultiplyAdd(g, b.Span, a.Grad.Slice(i, n), a.Grad.Slice(i, n));
                if (b.RequiresGrad) TP.MultiplyAdd(g, a.Span.Slice(i, n), b.Grad, b.Grad);
            }
        });
    }
    public static Tensor operator *(Tensor a, Real s)
    {
        var y = Empty(a.Shape); TP.Multiply(a.Span, s, y.Span);
        return Record(y, [a], y => TP.MultiplyAdd(y.Grad, s, a.Grad, a.Grad));
    }
    /// <summary>x[..., k] · wᵀ where w is [n, k].</summary>
    public Tensor MatMulT(Tensor w)
    {
        Check.Shape(w, [-1, Shape[-1]]);
        int k = Shape[-1], m = Shape.Size / k, n = w.Shape[0]; var x = this;
        var y = Zeros(WithLast(n)); Gemm.AddNT(Span, w.Span, y.Span, m, k, n);
        return Record(y, [x, w], y =>
        {
            if (x.RequiresGrad) Gemm.AddNN(y.Grad, w.Span, x.Grad, m, n, k);
            if (w.RequiresGrad) Gemm.AddTN(y.Grad, x.Span, w.Grad, m, n, k);
        });
    }
    public Tensor Sum() { var x = this; var y = Empty([]); y.Span[0] = TP.Sum<Real>(Span); return Record(y, [x], y => TP.Add(x.Grad, y.Grad[0], x.Grad)); }
    public Tensor Silu()
    {
        var x = this; var y = Empty(Shape); for (int i = 0; i < x.Shape.Size; i++) y.Span[i] = x.Span[i] / (1 + Real.Exp(-x.Span[i]));
        return Record(y, [x], y => { for (int i = 0; i < x.Shape.Size; i++) { Real s = 1 / (1 + Real.Exp(-x.Span[i])); x.Grad[i] += y.Grad[i] * s * (1 + x.Span[i] * (1 - s)); } });
    }
    public Tensor Sigmoid()
    {
        var x = this; var y = Empty(Shape); TP.Sigmoid<Real>(Span, y.Span);
        return Record(y, [x], y => { for (int i = 0; i < x.Shape.Size; i++) x.Grad[i] += y.Grad[i] * y.Span[i] * (1 - y.Span[i]); });
    }

    // ---- shape
    public Tensor Reshape(Shape shape)
    {
        if (shape.Size != Shape.Size) throw new ShapeException($"cannot reshape {Shape} to {shape}");
        var x = this; var y = From(Span, shape);
        return Record(y, [x], y => TP.Add(x.Grad, y.Grad, x.Grad));
    }
    /// <summary>[a, b, c, d] → [a, c, b, d]; its own inverse.</summary>
    public Tensor SwapMiddle()
    {
        var (a, b, c, d) = Shape; var x = this; var y = Empty([a, c, b, d]);
        Move(Span, y.Span, a, b, c, d, add: false);
        return Record(y, [x], y => Move(y.Grad, x.Grad, a, c, b, d, add: true));
        static void Move(ReadOnlySpan<Real> s, Span<Real> t, int a, int b, int c, int d, bool add)
        {
            for (int i = 0; i < a; i++) for (int j = 0; j < b; j++) for (int k = 0; k < c; k++)
            {
                var from = s.Slice(((i * b + j) * c + k) * d, d); var to = t.Slice(((i * c + k) * b + j) * d, d);
                if (add) TP.Add(to, from, to); else from.CopyTo(to);
            }
        }
    }
    /// <summary>[B, N, H·D] → [B, H, N, D]</summary>
    public Tensor SplitHeads(int heads) { var (b, n, c) = Shape; return Reshape([b, n, heads, c / heads]).SwapMiddle(); }
    /// <summary>[B, H, N, D] → [B, N, H·D]</summary>
    public Tensor MergeHeads() { var (b, h, n, d) = Shape; return SwapMiddle().Reshape([b, n, h * d]); }
    /// <summary>Rows from..to of dimension 1 of a [B, N, C] tensor; not recorded.</summary>
    public Tensor Rows(int from, int to)
    {
        var (b, n, c) = Shape; var y = Empty([b, to - from, c]);
        for (int i = 0; i < b; i++) Span.Slice((i * n + from) * c, (to - from) * c).CopyTo(y.Span.Slice(i * (to - from) * c, (to - from) * c));
        return y;
    }

    Shape WithLast(int n) { Span<int> d = stackalloc int[Shape.Rank]; Shape.AsSpan.CopyTo(d); d[^1] = n; return Shape.Of(d); }
    static void Suffix(Tensor a, Tensor b, string op) { if (!a.Shape.AsSpan.EndsWith(b.Shape.AsSpan)) throw new ShapeException($"a {op} b: b {b.Shape} is not a suffix of a {a.Shape}"); }
    public override string ToString() => $"Tensor {Shape}";
}
