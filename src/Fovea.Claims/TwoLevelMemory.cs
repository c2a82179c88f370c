using System.Numerics.Tensors;
namespace Fovea.Claims;

/// <summary>
/// Attention on a machine with a slow memory and a fast one of a given size: every number that moves between them is counted, so that the paper's
/// model of input and output (Theorem 2) can be measured. One head, q, k, v [N,D].
/// </summary>
sealed class TwoLevelMemory(int fast)
{
    long held;
    /// <summary>Numbers moved so far.</summary>
    public long Moved { get; private set; }
    /// <summary>The most numbers that fast memory held at once.</summary>
    public long Peak { get; private set; }

    Real[] Take(int n) { held += n; Peak = Math.Max(Peak, held); return new Real[n]; }
    void Free(Real[] a) => held -= a.Length;
    Real[] Load(ReadOnlySpan<Real> slow) { var a = Take(slow.Length); slow.CopyTo(a); Moved += a.Length; return a; }
    void Store(Real[] a, Span<Real> slow) { a.CopyTo(slow); Moved += a.Length; Free(a); }

    /// <summary>Tiles of ⌊M/4D⌋ queries outside, of D/2 keys inside, with an online softmax; o [N,D] is written once.</summary>
    public Real[] Tiled(ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int n, int d)
    {
        var o = new Real[n * d]; int rows = Math.Max(1, fast / (4 * d)), cols = Math.Max(1, d / 2); Real scale = 1 / Real.Sqrt(d);
        for (int i0 = 0; i0 < n; i0 += rows)
        {
            int r = Math.Min(rows, n - i0); var qi = Load(q.Slice(i0 * d, r * d)); Real[] oi = Take(r * d), max = Take(r), sum = Take(r);
            Array.Fill(max, Real.NegativeInfinity);
            for (int j0 = 0; j0 < n; j0 += cols)
            {
                int c = Math.Min(cols, n - j0); Real[] kj = Load(k.Slice(j0 * d, c * d)), vj = Load(v.Slice(j0 * d, c * d)), p = Take(r * c);
                for (int i = 0; i < r; i++)
                {
                    var row = p.AsSpan(i * c, c); var oRow = oi.AsSpan(i * d, d);
                    for (int j = 0; j < c; j++) row[j] = scale * TensorPrimitives.Dot<Real>(qi.AsSpan(i * d, d), kj.AsSpan(j * d, d));
                    Real m = Real.Max(max[i], TensorPrimitives.Max<Real>(row)), old = Real.Exp(max[i] - m);
                    TensorPrimitives.Subtract(row, m, row); TensorPrimitives.Exp<Real>(row, row);
                    (max[i], sum[i]) = (m, old * sum[i] + TensorPrimitives.Sum<Real>(row));
                    TensorPrimitives.Multiply(oRow, old, oRow);
                    for (int j = 0; j < c; j++) TensorPrimitives.MultiplyAdd(vj.AsSpan(j * d, d), row[j], oRow, oRow);
                }
                Free(kj); Free(vj); Free(p);
            }
            for (int i = 0; i < r; i++) TensorPrimitives.Multiply(oi.AsSpan(i * d, d), 1 / sum[i], oi.AsSpan(i * d, d));
            Store(oi, o.AsSpan(i0 * d)); Free(qi); Free(max); Free(sum);
        }
        return o;
    }

    /// <summary>What the standard algorithm moves at least, whatever the size of fast memory: S = QKᵀ is written, read and written by the softmax, and read again (Theorem 2).</summary>
    public static long Standard(int n, int d) => 4L * n * n + 4L * n * d;
}
