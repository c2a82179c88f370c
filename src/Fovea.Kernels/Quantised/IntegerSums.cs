using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

static unsafe partial class IntegerRows<TFormat>
{
    // Pairs of rows whose products are summed as integers: 128 rows of 8 bits times 16 bits stay far below 32.
    const int Pairs = 64;

    /// <summary>to[r] += Σ_j p[r·step + j]·row[j] for rows of dim numbers. Of a run, row j is paired with row j + ⌈n/2⌉: two streams, each read in order.</summary>
    public static void Sweep(RowRuns rows, int dim, float* p, nint step, float* to, int count)
    {
        using var scratch = Scratch.Open();
        int blocks = dim / 32; nint row = (nint)blocks * TFormat.BlockBytes;
        var halves = (short*)scratch.TakeInts((long)Pairs * blocks); float* weights = scratch.Take(2 * Pairs); var words = scratch.TakeInts(4L * blocks * Pairs);
        float* scales = scratch.Take(4L * blocks); var offsets = scratch.TakeInts(4L * blocks);
        for (int done = 0, n; done < rows.Count; done += n, p += n)
        {
            byte* at = rows.At(done, out n); int m = (n + 1) / 2;
            for (int first = 0; first < m; first += Pairs)
            {
                // The last pair of an odd number lacks its second.
                int pairs = Math.Min(Pairs, m - first), second = Math.Min(pairs, n - m - first); byte* x = at + first * row, y = x + m * row;
                new Span<short>(halves, 2 * Pairs * blocks).Clear();
                Scales(x, pairs, blocks, halves); Scales(y, second, blocks, halves + Pairs);
                for (int r = 0; r < count;)
                {
                    int some = count - r >= 4 ? 4 : 1; float* o = to + (nint)r * dim;
                    for (int h = 0; h < some; h++) Weigh(p + (r + h) * step + first, pairs, p + (r + h) * step + m + first, second, blocks, halves, weights, words + (nint)h * blocks * Pairs, scales + h * blocks, offsets + h * blocks);
                    if (second < pairs) { Sums(x, y, second, blocks, words, scales, offsets, o, some); Sums(x + second * row, x + second * row, 1, blocks, words + second, scales, null, o, some); }
                    else Sums(x, y, pairs, blocks, words, scales, offsets, o, some);
                    r += some;
                }
            }
        }
    }

    static void Sums(byte* x, byte* y, int pairs, int blocks, int* words, float* scales, int* offsets, float* to, int count)
    {
        if (count == 4) Sums4(x, y, pairs, blocks, words, scales, offsets, to); else Sums1(x, y, pairs, blocks, words, scales, offsets, to);
    }

    // halves[b][2][Pairs]: the scales of block b of rows, as they are.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Scales(byte* at, int n, int blocks, short* halves)
    {
        nint row = (nint)blocks * TFormat.BlockBytes;
        for (int b = 0; b < blocks; b++, at += TFormat.BlockBytes, halves += 2 * Pairs)
        {
            byte* p = at; int j = 0;
            for (; j + 4 <= n; j += 4, p += 4 * row) { short* to = halves + j; to[0] = *(short*)p; to[1] = *(short*)(p + row); to[2] = *(short*)(p + 2 * row); to[3] = *(short*)(p + 3 * row); }
            for (; j < n; j++, p += row) halves[j] = *(short*)p;
        }
    }

    // words[b][Pairs]: the weights of pairs of rows times the scales of their blocks, two 16-bit integers; the scale of those integers by Root, and what the offset adds to the sums.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Weigh(float* p, int n, float* q, int m, int blocks, short* halves, float* weights, int* words, float* scales, int* offsets)
    {
        int width = (n + 7) & ~7; float* other = weights + Pairs; var all = Vector256<float>.Zero;
        FlashRows.Scale<Lanes256, Vector256<float>>(p, Root, weights, n, width); FlashRows.Scale<Lanes256, Vector256<float>>(q, Root, other, m, width);
        for (int j = 0; j < width; j += 8) all += Vector256.Load(weights + j) + Vector256.Load(other + j);
        // What is not finite stays so: the scale carries it into every sum.
        float bad = 0 * Vector256.Sum(all);
        for (int b = 0; b < blocks; b++, halves += 2 * Pairs, words += Pairs)
        {
            Vector256<float> x = default, y = x;
            for (int j = 0; j < width; j += 8)
            {
                x = Vector256.MaxNative(x, Vector256.Abs(Vector256.Load(weights + j) * Small(halves + j))); y = Vector256.MaxNative(y, Vector256.Abs(Vector256.Load(other + j) * Small(halves + Pairs + j)));
            }
            float largest = Lanes256.MaxAcross(Vector256.MaxNative(x, y)); var inverse = Vector256.Create(largest is > 0 and < float.PositiveInfinity ? 32767 / largest : 0);
            var total = Vector256<int>.Zero;
            for (int j = 0; j < width; j += 8)
            {
                var u = Formats.Nearest(Vector256.Load(weights + j) * Small(halves + j) * inverse); var v = Formats.Nearest(Vector256.Load(other + j) * Small(halves + Pairs + j) * inverse);
                if (TFormat.Offset != 0) total += u + v;
                Vector256.Store(u & Vector256.Create(0xffff) | v << 16, words + j);
            }
            scales[b] = (largest / 32767 + bad) * Root; offsets[b] = -TFormat.Offset * Vector256.Sum(total);
        }
    }

    // Eight halves by Root².
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Small(short* halves) => (Formats.Words((byte*)halves) << 13 & Vector256.Create(unchecked((int)0x8fffe000))).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Add(Vector256<int> sums, Vector256<float> scale, float* to) => Vector256.Store(Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(sums), scale, Vector256.Load(to)), to);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Sums1(byte* first, byte* second, int pairs, int blocks, int* words, float* scales, int* offsets, float* to)
    {
        nint row = (nint)blocks * TFormat.BlockBytes; int i = TFormat.Next, a = TFormat.Apart;
        for (int b = 0; b < blocks; b++, first += TFormat.BlockBytes, second += TFormat.BlockBytes, words += Pairs, to += 32)
        {
            byte* x = first, y = second; int* w = words, end = w + pairs;
            Vector256<int> s = Vector256.Create(offsets is null ? 0 : offsets[b]), t = s, u = s, v = s;
            for (; w < end; w++, x += row, y += row)
            {
                var p = Vector256.Create(*w).AsInt16();
                TFormat.Pair(x, y, 0, out var c, out var d); s += Formats.Pairs(c, p); t += Formats.Pairs(d, p);
                TFormat.Pair(x, y, 1, out c, out d); u += Formats.Pairs(c, p); v += Formats.Pairs(d, p);
            }
            var scale = Vector256.Create(scales[b]);
            Add(s, scale, to); Add(t, scale, to + a); Add(u, scale, to + i); Add(v, scale, to + i + a);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Sums4(byte* first, byte* second, int pairs, int blocks, int* words, float* scales, int* offsets, float* to)
    {
        nint row = (nint)blocks * TFormat.BlockBytes, next = (nint)blocks * Pairs, dim = 32 * blocks;
        for (int part = 0; part < 2 * blocks; part++)
        {
            int b = part / 2, half = part % 2; byte* x = first + b * TFormat.BlockBytes, y = second + b * TFormat.BlockBytes;
            int* w = words + (nint)b * Pairs, end = w + pairs, w2 = w + 2 * next; int* c0 = offsets is null ? null : offsets + b;
            Vector256<int> s0 = default, s1 = s0, s2 = s0, s3 = s0;
            if (c0 is not null) { s0 = Vector256.Create(c0[0]); s1 = Vector256.Create(c0[blocks]); s2 = Vector256.Create(c0[2 * blocks]); s3 = Vector256.Create(c0[3 * blocks]); }
            Vector256<int> t0 = s0, t1 = s1, t2 = s2, t3 = s3;
            for (; w < end; w++, w2++, x += row, y += row)
            {
                TFormat.Pair(x, y, half, out var c, out var d);
                var p = Vector256.Create(*w).AsInt16(); s0 += Formats.Pairs(c, p); t0 += Formats.Pairs(d, p);
                p = Vector256.Create(w[next]).AsInt16(); s1 += Formats.Pairs(c, p); t1 += Formats.Pairs(d, p);
                p = Vector256.Create(*w2).AsInt16(); s2 += Formats.Pairs(c, p); t2 += Formats.Pairs(d, p);
                p = Vector256.Create(w2[next]).AsInt16(); s3 += Formats.Pairs(c, p); t3 += Formats.Pairs(d, p);
            }
            float* o = to + 32 * b + half * TFormat.Next, z = scales + b; int apart = TFormat.Apart; Vector256<float> f = Vector256.Create(z[0]), g = Vector256.Create(z[blocks]), h = Vector256.Create(z[2 * blocks]), k = Vector256.Create(z[3 * blocks]);
            Add(s0, f, o); Add(t0, f, o + apart); o += dim; Add(s1, g, o); Add(t1, g, o + apart); o += dim; Add(s2, h, o); Add(t2, h, o + apart); o += dim; Add(s3, k, o); Add(t3, k, o + apart);
        }
    }
}
