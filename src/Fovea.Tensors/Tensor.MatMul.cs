using Fovea.Kernels;
namespace Fovea;

// Products. Leading axes are batches.
public sealed partial class Tensor
{
    /// <summary>x [..., k] · wᵀ with w [n, k] → [..., n]: the product of a linear layer.</summary>
    public Tensor MatMulT(Tensor w)
    {
        if (w.Shape.Rank > 2) return Product(w, transposed: true);
        if (w.Shape.Rank != 2 || w.Shape[1] != Shape[-1]) throw new ShapeException($"x · wᵀ: x is {Shape}, w is {w.Shape}, expected w [n, {Shape[-1]}]");
        int k = Shape[-1], m = k == 0 ? 0 : Shape.Size / k, n = w.Shape[0];
        var x = this; var y = Empty(Shape.With(-1, n));
        Gemm.NT(Span, w.Span, y.Span, m, k, n);
        return Record(y, [x, w], y =>
        {
            if (x.RequiresGrad) Gemm.AddNN(y.Grad, w.Span, x.Grad, m, n, k);
            if (w.RequiresGrad) Gemm.AddTN(y.Grad, x.Span, w.Grad, m, n, k);
        });
    }

    /// <summary>a [..., m, k] · b [..., k, n] → [..., m, n]; the leading axes agree, or b is a plain matrix [k, n].</summary>
    public Tensor MatMul(Tensor b)
    {
        if (b.Shape.Rank > 2) return Product(b, transposed: false);
        if (b.Shape.Rank != 2 || b.Shape[0] != Shape[-1]) throw new ShapeException($"a · b: a is {Shape}, b is {b.Shape}, expected b [{Shape[-1]}, n]");
        int k = Shape[-1], m = k == 0 ? 0 : Shape.Size / k, n = b.Shape[1];
        var a = this; var y = Empty(Shape.With(-1, n));
        Gemm.NN(Span, b.Span, y.Span, m, k, n);
        return Record(y, [a, b], y =>
        {
            if (a.RequiresGrad) Gemm.AddNT(y.Grad, b.Span, a.Grad, m, n, k);
            if (b.RequiresGrad) Gemm.AddTN(a.Span, y.Grad, b.Grad, m, k, n);
        });
    }

    // a [..., m, k] with b [..., k, n], or with b [..., n, k] transposed.
    Tensor Product(Tensor b, bool transposed)
    {
        var a = this;
        int rank = Shape.Rank, k = Shape[-1], m = Shape[-2], n = b.Shape[transposed ? -2 : -1];
        if (b.Shape.Rank != rank || b.Shape[transposed ? -1 : -2] != k || b.Shape.With(-1, 0).With(-2, 0) != Shape.With(-1, 0).With(-2, 0))
            throw new ShapeException($"a · b{(transposed ? "ᵀ" : "")}: a is {Shape}, b is {b.Shape}");
        int batch = 1;
        for (int i = 0; i < rank - 2; i++) batch *= Shape[i];
        var y = Empty(Shape.With(-1, n));
        if (transposed) Gemm.NT(Span, b.Span, y.Span, m, k, n, batch); else Gemm.NN(Span, b.Span, y.Span, m, k, n, batch);
        return Record(y, [a, b], y =>
        {
            if (transposed)
            {
                if (a.RequiresGrad) Gemm.AddNN(y.Grad, b.Span, a.Grad, m, n, k, batch);
                if (b.RequiresGrad) Gemm.AddTN(y.Grad, a.Span, b.Grad, m, n, k, batch);
            }
            else
            {
                if (a.RequiresGrad) Gemm.AddNT(y.Grad, b.Span, a.Grad, m, n, k, batch);
                if (b.RequiresGrad) Gemm.AddTN(a.Span, y.Grad, b.Grad, m, k, n, batch);
            }
        });
    }
}
