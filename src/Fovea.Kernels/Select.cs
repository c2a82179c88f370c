using System.Numerics.Tensors;
namespace Fovea.Kernels;

public static class Select
{
    public static void Gather(ReadOnlySpan<Real> x, int rows, int cols, ReadOnlySpan<int> indices, Span<Real> y)
    { for (int i = 0; i < indices.Length; i++) x.Slice(indices[i] * cols, cols).CopyTo(y[(i * cols)..]); }
    public static void ScatterAdd(ReadOnlySpan<Real> y, int cols, ReadOnlySpan<int> indices, Span<Real> dx)
    { for (int i = 0; i < indices.Length; i++) { var d = dx.Slice(indices[i] * cols, cols); TensorPrimitives.Add(d, y.Slice(i * cols, cols), d); } }
    public static void CumSum(ReadOnlySpan<Real> x, Span<Real> y, int rows, int cols)
    { for (int r = 0; r < rows; r++) { Real s = 0; for (int j = 0; j < cols; j++) y[r * cols + j] = s += x[r * cols + j]; } }
    public static void CumSumReverse(ReadOnlySpan<Real> x, Span<Real> y, int rows, int cols)
    { for (int r = 0; r < rows; r++) { Real s = 0; for (int j = cols - 1; j >= 0; j--) y[r * cols + j] = s += x[r * cols + j]; } }
}
