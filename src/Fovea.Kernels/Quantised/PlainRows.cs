using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>A format of single numbers, eight to a block.</summary>
public unsafe interface IPlainFormat : IFloatFormat
{
    /// <summary>The root of what loaded numbers are too small by: once it is a factor of what they are multiplied with, and once of the sum.</summary>
    static abstract float Root { get; }
    /// <summary>Eight numbers by Root². What is not finite may come out finite; <see cref="Watch"/> notices it.</summary>
    static abstract Vector256<float> Load(byte* p);
    /// <summary>Notes whether any of sixteen numbers is one that loading makes finite.</summary>
    static abstract Vector256<ushort> Watch(byte* p, Vector256<ushort> noted);
    static abstract bool Noted(Vector256<ushort> noted);
}

/// <summary>Rows in a plain format, a multiple of sixteen numbers each, times vectors. Rows that are read at once lie apart, as in <see cref="RowProduct"/>.</summary>
static unsafe class PlainRows<TFormat> where TFormat : struct, IPlainFormat
{
    /// <summary>to[r·step + j] += row[j]·x[r] for rows of dim numbers.</summary>
    public static void Dots(RowRuns rows, int dim, float* x, int count, float* to, nint step)
    {
        using var scratch = Scratch.Open();
        float* y = x;
        if (TFormat.Root != 1) { y = scratch.Take((long)count * dim); FlashRows.Scale<Lanes256, Vector256<float>>(x, TFormat.Root, y, count * dim, count * dim); }
        for (int done = 0, n; done < rows.Count; done += n, to += n)
        {
            byte* at = rows.At(done, out n); int r = 0; bool noted = false;
            for (; r + 4 <= count; r += 4) noted |= Dots4(at, n, dim, y + (nint)r * dim, to + r * step, step);
            for (; r < count; r++) noted |= Dots1(at, n, dim, y + (nint)r * dim, to + r * step);
            if (noted) for (r = 0; r < count; r++) Mend(at, n, dim, x + (nint)r * dim, 1, 0, to + r * step, 0, 1);
        }
    }

    /// <summary>to[r] += Σ_j p[r·step + j]·row[j].</summary>
    public static void Sweep(RowRuns rows, int dim, float* p, nint step, float* to, int count)
    {
        using var scratch = Scratch.Open();
        float* sums = to, w = p; nint next = step;
        if (TFormat.Root != 1)
        {
            sums = scratch.Take((long)count * dim); w = scratch.Take((long)count * rows.Count); next = rows.Count;
            new Span<float>(sums, count * dim).Clear();
            for (int r = 0; r < count; r++) FlashRows.Scale<Lanes256, Vector256<float>>(p + r * step, TFormat.Root, w + r * next, rows.Count, rows.Count);
        }
        bool noted = false;
        for (int done = 0, n; done < rows.Count; done += n)
        {
            byte* at = rows.At(done, out n); int r = 0;
            for (; r + 4 <= count; r += 4) noted |= Sweep4(at, n, dim, w + done + r * next, next, sums + (nint)r * dim);
            for (; r < count; r++) noted |= Sweep1(at, n, dim, w + done + r * next, sums + (nint)r * dim);
        }
        if (TFormat.Root != 1) RowProduct.Plus<Lanes256, Vector256<float>>(to, TFormat.Root, sums, count * dim);
        if (!noted) return;
        for (int done = 0, n; done < rows.Count; done += n) { byte* at = rows.At(done, out n); for (int r = 0; r < count; r++) Mend(at, n, dim, p + done + r * step, 0, 1, to + (nint)r * dim, 1, 0); }
    }

    // Adds what was hidden: a sum that it belongs to becomes infinite or NaN, whatever else is in it.
    static void Mend(byte* at, int n, int dim, float* x, int xPlace, int xRow, float* to, int toPlace, int toRow)
    {
        float* row = stackalloc float[8];
        for (int j = 0; j < n; j++)
            for (int i = 0; i < dim; i++)
            {
                if (i % 8 == 0) TFormat.Decode(at + ((nint)j * dim + i) / 8 * TFormat.BlockBytes, row);
                if (!float.IsFinite(row[i % 8])) to[i * toPlace + j * toRow] += x[i * xPlace + j * xRow] * row[i % 8];
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static bool Dots1(byte* at, int n, int dim, float* x, float* to)
    {
        int m = n / 4; nint row = (nint)(dim / 8) * TFormat.BlockBytes; var noted = Vector256<ushort>.Zero;
        for (int j = 0; j < m; j++)
        {
            byte* a = at + j * row, b = a + m * row, c = b + m * row;
            var sums = Four(a, b, c, c + m * row, dim, x, ref noted);
            to[j] += sums[0]; to[j + m] += sums[1]; to[j + 2 * m] += sums[2]; to[j + 3 * m] += sums[3];
        }
        for (int j = 4 * m; j < n; j++) { byte* a = at + j * row; to[j] += Four(a, a, a, a, dim, x, ref noted)[0]; }
        return TFormat.Noted(noted);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> Four(byte* a, byte* b, byte* c, byte* d, int dim, float* x, ref Vector256<ushort> all)
    {
        nint eight = TFormat.BlockBytes; var noted = all;
        Vector256<float> s0 = default, s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
        for (float* end = x + dim; x < end; x += 16, a += 2 * eight, b += 2 * eight, c += 2 * eight, d += 2 * eight)
        {
            Vector256<float> u = Vector256.Load(x), v = Vector256.Load(x + 8);
            noted = TFormat.Watch(a, noted); s0 = Vector256.MultiplyAddEstimate(u, TFormat.Load(a), s0); t0 = Vector256.MultiplyAddEstimate(v, TFormat.Load(a + eight), t0);
            noted = TFormat.Watch(b, noted); s1 = Vector256.MultiplyAddEstimate(u, TFormat.Load(b), s1); t1 = Vector256.MultiplyAddEstimate(v, TFormat.Load(b + eight), t1);
            noted = TFormat.Watch(c, noted); s2 = Vector256.MultiplyAddEstimate(u, TFormat.Load(c), s2); t2 = Vector256.MultiplyAddEstimate(v, TFormat.Load(c + eight), t2);
            noted = TFormat.Watch(d, noted); s3 = Vector256.MultiplyAddEstimate(u, TFormat.Load(d), s3); t3 = Vector256.MultiplyAddEstimate(v, TFormat.Load(d + eight), t3);
        }
        all = noted;
        return Formats.Sums(s0 + t0, s1 + t1, s2 + t2, s3 + t3) * Vector128.Create(TFormat.Root);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static bool Dots4(byte* at, int n, int dim, float* x, float* to, nint step)
    {
        int m = n / 2; nint row = (nint)(dim / 8) * TFormat.BlockBytes, two = 2 * TFormat.BlockBytes; var noted = Vector256<ushort>.Zero;
        for (int j = 0; j < m; j++)
        {
            byte* a = at + j * row, b = a + m * row; float* x0 = x, x1 = x + dim, x2 = x1 + dim, x3 = x2 + dim, end = x + dim;
            Vector256<float> s0 = default, s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
            for (; x0 < end; x0 += 16, x1 += 16, x2 += 16, x3 += 16, a += two, b += two)
            {
                noted = TFormat.Watch(b, TFormat.Watch(a, noted));
                Vector256<float> u = TFormat.Load(a), v = TFormat.Load(b), y = Vector256.Load(x0);
                s0 = Vector256.MultiplyAddEstimate(u, y, s0); t0 = Vector256.MultiplyAddEstimate(v, y, t0); y = Vector256.Load(x1);
                s1 = Vector256.MultiplyAddEstimate(u, y, s1); t1 = Vector256.MultiplyAddEstimate(v, y, t1); y = Vector256.Load(x2);
                s2 = Vector256.MultiplyAddEstimate(u, y, s2); t2 = Vector256.MultiplyAddEstimate(v, y, t2); y = Vector256.Load(x3);
                s3 = Vector256.MultiplyAddEstimate(u, y, s3); t3 = Vector256.MultiplyAddEstimate(v, y, t3);
                u = TFormat.Load(a + TFormat.BlockBytes); v = TFormat.Load(b + TFormat.BlockBytes); y = Vector256.Load(x0 + 8);
                s0 = Vector256.MultiplyAddEstimate(u, y, s0); t0 = Vector256.MultiplyAddEstimate(v, y, t0); y = Vector256.Load(x1 + 8);
                s1 = Vector256.MultiplyAddEstimate(u, y, s1); t1 = Vector256.MultiplyAddEstimate(v, y, t1); y = Vector256.Load(x2 + 8);
                s2 = Vector256.MultiplyAddEstimate(u, y, s2); t2 = Vector256.MultiplyAddEstimate(v, y, t2); y = Vector256.Load(x3 + 8);
                s3 = Vector256.MultiplyAddEstimate(u, y, s3); t3 = Vector256.MultiplyAddEstimate(v, y, t3);
            }
            var root = Vector128.Create(TFormat.Root); Vector128<float> f = Formats.Sums(s0, s1, s2, s3) * root, g = Formats.Sums(t0, t1, t2, t3) * root; float* o = to + j;
            o[0] += f[0]; o[m] += g[0]; o += step; o[0] += f[1]; o[m] += g[1]; o += step; o[0] += f[2]; o[m] += g[2]; o += step; o[0] += f[3]; o[m] += g[3];
        }
        bool odd = n % 2 != 0 && (Dots1(at + 2 * m * row, 1, dim, x, to + 2 * m) | Dots1(at + 2 * m * row, 1, dim, x + dim, to + step + 2 * m) | Dots1(at + 2 * m * row, 1, dim, x + 2 * dim, to + 2 * step + 2 * m) | Dots1(at + 2 * m * row, 1, dim, x + 3 * dim, to + 3 * step + 2 * m));
        return odd | TFormat.Noted(noted);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static bool Sweep1(byte* at, int n, int dim, float* p, float* to)
    {
        int m = n / 4; nint row = (nint)(dim / 8) * TFormat.BlockBytes, eight = TFormat.BlockBytes; var noted = Vector256<ushort>.Zero;
        for (int j = 0; j < n; j = j < m - 1 ? j + 1 : Math.Max(j + 1, 4 * m))
        {
            // Rows that are left over are taken on their own, three times with nothing.
            bool four = j < m; byte* a = at + j * row, b = four ? a + m * row : a, c = four ? b + m * row : a, d = four ? c + m * row : a;
            Vector256<float> w = Vector256.Create(p[j]), x = default, y = x, z = x;
            if (four) { x = Vector256.Create(p[j + m]); y = Vector256.Create(p[j + 2 * m]); z = Vector256.Create(p[j + 3 * m]); }
            float* o = to;
            for (float* end = to + dim; o < end; o += 16, a += 2 * eight, b += 2 * eight, c += 2 * eight, d += 2 * eight)
            {
                noted = TFormat.Watch(d, TFormat.Watch(c, TFormat.Watch(b, TFormat.Watch(a, noted))));
                Vector256<float> s = Vector256.MultiplyAddEstimate(w, TFormat.Load(a), Vector256.Load(o)), t = Vector256.MultiplyAddEstimate(w, TFormat.Load(a + eight), Vector256.Load(o + 8));
                s = Vector256.MultiplyAddEstimate(x, TFormat.Load(b), s); t = Vector256.MultiplyAddEstimate(x, TFormat.Load(b + eight), t);
                s = Vector256.MultiplyAddEstimate(y, TFormat.Load(c), s); t = Vector256.MultiplyAddEstimate(y, TFormat.Load(c + eight), t);
                s = Vector256.MultiplyAddEstimate(z, TFormat.Load(d), s); t = Vector256.MultiplyAddEstimate(z, TFormat.Load(d + eight), t);
                Vector256.Store(s, o); Vector256.Store(t, o + 8);
            }
        }
        return TFormat.Noted(noted);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static bool Sweep4(byte* at, int n, int dim, float* p, nint step, float* to)
    {
        int m = Math.Max(1, n / 4), fours = n / 4; nint row = (nint)(dim / 8) * TFormat.BlockBytes; var noted = Vector256<ushort>.Zero; float* p1 = p + step, p2 = p1 + step, p3 = p2 + step;
        for (int first = 0; first < n; first = first < m - 1 ? first + 1 : Math.Max(first + 1, 4 * fours))
        {
            int end = first < fours ? first + 3 * m + 1 : first + 1;
            for (int i = 0; i < dim; i += 16)
            {
                float* o0 = to + i, o1 = o0 + dim, o2 = o1 + dim, o3 = o2 + dim; byte* a = at + first * row + i / 8 * TFormat.BlockBytes;
                Vector256<float> s0 = Vector256.Load(o0), s1 = Vector256.Load(o1), s2 = Vector256.Load(o2), s3 = Vector256.Load(o3), t0 = Vector256.Load(o0 + 8), t1 = Vector256.Load(o1 + 8), t2 = Vector256.Load(o2 + 8), t3 = Vector256.Load(o3 + 8);
                for (int j = first; j < end; j += m, a += m * row)
                {
                    noted = TFormat.Watch(a, noted);
                    Vector256<float> u = TFormat.Load(a), v = TFormat.Load(a + TFormat.BlockBytes), y = Vector256.Create(p[j]);
                    s0 = Vector256.MultiplyAddEstimate(u, y, s0); t0 = Vector256.MultiplyAddEstimate(v, y, t0); y = Vector256.Create(p1[j]);
                    s1 = Vector256.MultiplyAddEstimate(u, y, s1); t1 = Vector256.MultiplyAddEstimate(v, y, t1); y = Vector256.Create(p2[j]);
                    s2 = Vector256.MultiplyAddEstimate(u, y, s2); t2 = Vector256.MultiplyAddEstimate(v, y, t2); y = Vector256.Create(p3[j]);
                    s3 = Vector256.MultiplyAddEstimate(u, y, s3); t3 = Vector256.MultiplyAddEstimate(v, y, t3);
                }
                Vector256.Store(s0, o0); Vector256.Store(s1, o1); Vector256.Store(s2, o2); Vector256.Store(s3, o3); Vector256.Store(t0, o0 + 8); Vector256.Store(t1, o1 + 8); Vector256.Store(t2, o2 + 8); Vector256.Store(t3, o3 + 8);
            }
        }
        return TFormat.Noted(noted);
    }
}
