using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>Rotation of pairs of channels by an angle per row: channel c goes with channel c + half (the layout of GPT-NeoX and Llama files of Hugging Face).</summary>
public static unsafe class Rotary
{
    /// <summary>
    /// x [rows,dim] → y: for c below half, y_c = x_c cos − x_{c+half} sin and y_{c+half} = x_{c+half} cos + x_c sin; channels from 2·half on are copied.
    /// Row r uses row index[r % length] of the tables cos and sin [*,half]. With inverse the angle is negated and the result is added into y: the backward pass.
    /// </summary>
    public static void Apply(ReadOnlySpan<Real> x, Span<Real> y, ReadOnlySpan<Real> cos, ReadOnlySpan<Real> sin, ReadOnlySpan<int> index, int rows, int dim, int half, bool inverse = false)
    {
        Guard.Holds(x, (long)rows * dim); Guard.Holds(y, (long)rows * dim);
        foreach (int i in index) if (i < 0 || (long)(i + 1) * half > cos.Length || (long)(i + 1) * half > sin.Length) throw new ArgumentOutOfRangeException(nameof(index), i, "outside the tables");
        fixed (Real* px = x, py = y, pc = cos, ps = sin) fixed (int* pi = index)
            Threads.For(rows, Math.Max(1, 32768 / Math.Max(1, dim)), new Body(px, py, pc, ps, pi, index.Length, dim, half, inverse));
    }

    /// <summary>As Apply in place for rows of one task, row r by index[r], on this thread.</summary>
    internal static void Turn<TLanes, V>(Real* x, Real* cos, Real* sin, int* index, int rows, int dim, int half) where TLanes : struct, ILanes<V> where V : struct =>
        new RowsOf { X = x, Y = x, Cos = cos, Sin = sin, Index = index, Length = rows, Dim = dim, Half = half, To = rows }.Run<TLanes, V>();

    readonly struct Body(Real* x, Real* y, Real* cos, Real* sin, int* index, int length, int dim, int half, bool inverse) : IRows
    {
        public void Run(int from, int to)
        {
            var body = new RowsOf { X = x, Y = y, Cos = cos, Sin = sin, Index = index, Length = length, Dim = dim, Half = half, Inverse = inverse, From = from, To = to };
            Wide.Run(ref body);
        }
    }

    struct RowsOf : IWide
    {
        public Real* X, Y, Cos, Sin; public int* Index; public int Length, Dim, Half, From, To; public bool Inverse;

        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            int w = TLanes.Count;
            Real sign = Inverse ? -1 : 1;
            for (int r = From; r < To; r++)
            {
                Real* a = X + (long)r * Dim, b = a + Half, ya = Y + (long)r * Dim, yb = ya + Half;
                Real* c = Cos + (long)Index[r % Length] * Half, s = Sin + (long)Index[r % Length] * Half;
                int i = 0;
                V flip = TLanes.Set(sign);
                for (; i + w <= Half; i += w)
                {
                    V va = TLanes.Load(a + i), vb = TLanes.Load(b + i), vc = TLanes.Load(c + i), vs = TLanes.Mul(TLanes.Load(s + i), flip);
                    V first = TLanes.Sub(TLanes.Mul(va, vc), TLanes.Mul(vb, vs)), second = TLanes.Fma(va, vs, TLanes.Mul(vb, vc));
                    if (Inverse) { first = TLanes.Add(first, TLanes.Load(ya + i)); second = TLanes.Add(second, TLanes.Load(yb + i)); }
                    TLanes.Store(ya + i, first); TLanes.Store(yb + i, second);
                }
                for (; i < Half; i++)
                {
                    Real va = a[i], vb = b[i], vs = s[i] * sign, first = va * c[i] - vb * vs, second = vb * c[i] + va * vs;
                    if (Inverse) { ya[i] += first; yb[i] += second; } else { ya[i] = first; yb[i] = second; }
                }
                int rest = Dim - 2 * Half;
                if (rest == 0) continue;
                var from = new ReadOnlySpan<Real>(a + 2 * Half, rest); var to = new Span<Real>(ya + 2 * Half, rest);
                if (Inverse) TensorPrimitives.Add(to, from, to); else from.CopyTo(to);
            }
        }
    }
}
