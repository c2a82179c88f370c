using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>Dense products on row-major spans. <c>Add…</c> adds into c, the others overwrite it. With batch &gt; 1 the matrices lie one after the other.</summary>
public static unsafe class Gemm
{
    /// <summary>c[m,n] += a[m,k] · b[k,n], for each of batch.</summary>
    public static void AddNN(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1)
    {
        for (int x = 0; x < batch; x++) for (int i = 0; i < m; i++)
        {
            var row = c.Slice((x * m + i) * n, n);
            for (int j = 0; j < k; j++) TensorPrimitives.MultiplyAdd(b.Slice((x * k + j) * n, n), a[(x * m + i) * k + j], row, row);
        }
        Work.Add((long)batch * m * k * n);
    }

    /// <summary>c[m,n] += a[m,k] · b[n,k]ᵀ, for each of batch.</summary>
    public static void AddNT(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1)
    {
        for (int x = 0; x < batch; x++) for (int i = 0; i < m; i++) for (int j = 0; j < n; j++)
            c[(x * m + i) * n + j] += TensorPrimitives.Dot(a.Slice((x * m + i) * k, k), b.Slice((x * n + j) * k, k));
        Work.Add((long)batch * m * k * n);
    }

    /// <summary>c[k,n] += a[m,k]ᵀ · b[m,n], for each of batch.</summary>
    public static void AddTN(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1)
    {
        for (int x = 0; x < batch; x++) for (int i = 0; i < m; i++) for (int j = 0; j < k; j++)
        {
            var row = c.Slice((x * k + j) * n, n);
            TensorPrimitives.MultiplyAdd(b.Slice((x * m + i) * n, n), a[(x * m + i) * k + j], row, row);
        }
        Work.Add((long)batch * m * k * n);
    }

    /// <summary>c[m,n] = a[m,k] · b[k,n]</summary>
    public static void NN(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) { c[..(batch * m * n)].Clear(); AddNN(a, b, c, m, k, n, batch); }
    /// <summary>c[m,n] = a[m,k] · b[n,k]ᵀ</summary>
    public static void NT(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) { c[..(batch * m * n)].Clear(); AddNT(a, b, c, m, k, n, batch); }
    /// <summary>c[k,n] = a[m,k]ᵀ · b[m,n]</summary>
    public static void TN(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) { c[..(batch * k * n)].Clear(); AddTN(a, b, c, m, k, n, batch); }
}
