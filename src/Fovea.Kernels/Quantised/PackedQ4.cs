using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>
/// A matrix W [N,K] in Q4_0, its rows laid out anew by eights, so that one instruction multiplies numbers of all eight: per 32 columns eight halves, the rows' scales, and then four times four bytes of every row. As large as before.
/// Products are of W and x rounded to 8 bits, with a scale per 32 numbers, summed as integers: a row of x gives the same bits whatever rows stand beside it.
/// </summary>
public sealed unsafe class PackedQ4
{
    const int Rows = 8, Bytes = 18 * Rows;
    // Eights of rows per task: four streams of tens of kilobytes each.
    const int Grain = 1 << 18;
    readonly byte[] packed; readonly int n, k;
    int Blocks => k / 32;
    int Groups => (n + Rows - 1) / Rows;

    /// <summary>Copies n rows of k weights. K must fill whole blocks; missing rows of the last eight are zeros.</summary>
    public PackedQ4(ReadOnlySpan<byte> weights, int n, int k)
    {
        Guard.AtLeast(n, 1); Guard.AtLeast(k, 1);
        if (k % 32 != 0) throw new ArgumentException($"{Q4_0.Name}: rows of {k} weights do not fill blocks of 32");
        long row = Formats.RowBytes<Q4_0>(k);
        if (weights.Length < n * row) throw new ArgumentException($"{Q4_0.Name}: {weights.Length} bytes, {n} rows of {k} weights need {n * row}");
        (this.n, this.k) = (n, k);
        packed = GC.AllocateUninitializedArray<byte>(checked((int)((long)Groups * Blocks * Bytes)), pinned: true);
        fixed (byte* from = weights, to = packed) Threads.For(Groups, 8, new Copy(from, to, n, Blocks));
    }

    /// <summary>Whether a matrix of this size can be held: arrays end at 2 GiB.</summary>
    public static bool Holds(int n, int k) => k % 32 == 0 && ((long)n + Rows - 1) / Rows * (k / 32) * Bytes <= Array.MaxLength;

    readonly struct Copy(byte* from, byte* to, int n, int blocks) : IRows
    {
        public void Run(int first, int last)
        {
            for (int g = first; g < last; g++)
                for (int r = 0; r < Rows; r++)
                {
                    byte* at = to + (nint)g * blocks * Bytes, row = from + ((nint)g * Rows + r) * blocks * 18;
                    for (int b = 0; b < blocks; b++, at += Bytes, row += 18)
                    {
                        bool there = g * Rows + r < n;
                        ((ushort*)at)[r] = there ? *(ushort*)row : (ushort)0;
                        for (int c = 0; c < 4; c++) ((int*)(at + 16))[c * Rows + r] = there ? *(int*)(row + 2 + 4 * c) : 0;
                    }
                }
        }
    }

    /// <summary>y [M,N] = x [M,K] · Wᵀ; y is overwritten.</summary>
    public void MatMul(ReadOnlySpan<float> x, int m, Span<float> y)
    {
        Guard.AtLeast(m, 0); Guard.Holds(x, (long)m * k); Guard.Holds(y, (long)m * n);
        if (m == 0) return;
        using var scratch = Scratch.Open();
        var q = (sbyte*)scratch.Take(((long)m * k + 3) / 4); float* scales = scratch.Take((long)m * Blocks); int* minus = scratch.TakeInts((long)m * Blocks);
        fixed (float* from = x, to = y) fixed (byte* w = packed)
        {
            Threads.For(m, 8, new Rounding(from, q, scales, minus, Blocks));
            int grain = Math.Max(4, Math.Min(Grain / k / Rows, Groups / 16) / 4 * 4);
            Threads.For(Groups, grain, new Product(w, n, Blocks, q, scales, minus, m, to));
        }
        Work.Add((long)m * n * k);
    }

    readonly struct Rounding(float* x, sbyte* q, float* scales, int* minus, int blocks) : IRows
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            float* at = x + (nint)from * blocks * 32; sbyte* y = q + (nint)from * blocks * 32;
            for (int b = from * blocks; b < to * blocks; b++, at += 32, y += 32)
            {
                Vector256<float> s = Vector256.Load(at), t = Vector256.Load(at + 8), u = Vector256.Load(at + 16), v = Vector256.Load(at + 24);
                float most = Lanes256.MaxAcross(Vector256.Max(Vector256.Max(Vector256.Abs(s), Vector256.Abs(t)), Vector256.Max(Vector256.Abs(u), Vector256.Abs(v)))), sum = Vector256.Sum(s + t + (u + v));
                var inverse = Vector256.Create(most is > 0 and < float.PositiveInfinity ? 127 / most : 0);
                Vector256<short> low = Formats.Narrow(s * inverse, t * inverse), high = Formats.Narrow(u * inverse, v * inverse);
                Vector256.Store(Vector256.Narrow(low, high), y);
                // What is not finite stays so: the scale carries it into every sum. Numbers 0 to 15 stand for −8 to 7.
                scales[b] = most / 127 + 0 * sum; minus[b] = -8 * Vector256.Sum(Formats.Pairs(low + high, Vector256<short>.One));
            }
        }
    }

    readonly struct Product(byte* w, int n, int blocks, sbyte* x, float* scales, int* minus, int m, float* y) : IRows
    {
        public void Run(int from, int to)
        {
            int i = 0;
            for (int g = from; g < to && m >= 4; g++) for (i = 0; i + 4 <= m; i += 4) Four(g, i);
            for (; i < m; i++) One(from, to, i);
        }

        // Eights a quarter of the task apart: memory is read in four long streams.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void One(int from, int to, int i)
        {
            int quarter = (to - from) / 4; nint bytes = (nint)blocks * Bytes, apart = quarter * bytes;
            for (int g = from; g < from + quarter; g++)
            {
                byte* a = w + g * bytes, b = a + apart, c = b + apart, d = c + apart; Vector256<float> s = default, t = s, u = s, v = s; sbyte* z = x + (nint)i * blocks * 32; float* scale = scales + (nint)i * blocks; int* less = minus + (nint)i * blocks;
                for (int j = 0; j < blocks; j++, a += Bytes, b += Bytes, c += Bytes, d += Bytes, z += 32, scale++, less++)
                {
                    s = Add(a, z, scale, less, s); t = Add(b, z, scale, less, t); u = Add(c, z, scale, less, u); v = Add(d, z, scale, less, v);
                }
                Put(g, i, s); Put(g + quarter, i, t); Put(g + 2 * quarter, i, u); Put(g + 3 * quarter, i, v);
            }
            for (int g = from + 4 * quarter; g < to; g++)
            {
                byte* a = w + g * bytes; Vector256<float> s = default; sbyte* z = x + (nint)i * blocks * 32; float* scale = scales + (nint)i * blocks; int* less = minus + (nint)i * blocks;
                for (int j = 0; j < blocks; j++, a += Bytes, z += 32, scale++, less++) s = Add(a, z, scale, less, s);
                Put(g, i, s);
            }
        }

        // Four rows of x for what one eight of rows is unpacked.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Four(int g, int i)
        {
            byte* a = w + g * (nint)blocks * Bytes; nint next = (nint)blocks * 32; sbyte* z = x + i * next; float* scale = scales + (nint)i * blocks; int* less = minus + (nint)i * blocks; Vector256<float> s = default, t = s, u = s, v = s;
            for (int j = 0; j < blocks; j++, a += Bytes, z += 32, scale++, less++)
            {
                // Eight numbers of each row at a time, so that all numbers and sums fit into the registers.
                sbyte* z1 = z + next, z2 = z1 + next, z3 = z2 + next;
                Vector256<byte> q = Vector256.Load(a + 16), l = Low(q), h = High(q);
                Vector256<short> p0 = Neighbours.Sums(l, Same(z)), p1 = Neighbours.Sums(l, Same(z1)), p2 = Neighbours.Sums(l, Same(z2)), p3 = Neighbours.Sums(l, Same(z3));
                p0 += Neighbours.Sums(h, Same(z + 16)); p1 += Neighbours.Sums(h, Same(z1 + 16)); p2 += Neighbours.Sums(h, Same(z2 + 16)); p3 += Neighbours.Sums(h, Same(z3 + 16));
                for (int c = 1; c < 4; c++)
                {
                    q = Vector256.Load(a + 16 + 32 * c); l = Low(q); h = High(q);
                    p0 += Neighbours.Sums(l, Same(z + 4 * c)); p1 += Neighbours.Sums(l, Same(z1 + 4 * c)); p2 += Neighbours.Sums(l, Same(z2 + 4 * c)); p3 += Neighbours.Sums(l, Same(z3 + 4 * c));
                    p0 += Neighbours.Sums(h, Same(z + 4 * c + 16)); p1 += Neighbours.Sums(h, Same(z1 + 4 * c + 16)); p2 += Neighbours.Sums(h, Same(z2 + 4 * c + 16)); p3 += Neighbours.Sums(h, Same(z3 + 4 * c + 16));
                }
                var d = Scales(a);
                s = Scaled(p0, less, d, scale, s); t = Scaled(p1, less + blocks, d, scale + blocks, t); u = Scaled(p2, less + 2 * blocks, d, scale + 2 * blocks, u); v = Scaled(p3, less + 3 * blocks, d, scale + 3 * blocks, v);
            }
            Put(g, i, s); Put(g, i + 1, t); Put(g, i + 2, u); Put(g, i + 3, v);
        }

        void Put(int g, int i, Vector256<float> sums)
        {
            float* to = y + (nint)i * n + g * Rows;
            if (n - g * Rows >= Rows) Vector256.Store(sums, to); else for (int r = 0; r < n - g * Rows; r++) to[r] = sums[r];
        }

        // Each number is used as soon as it is unpacked: more do not fit into the registers.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<float> Add(byte* a, sbyte* x, float* scale, int* minus, Vector256<float> sum)
        {
            Vector256<byte> q0 = Vector256.Load(a + 16), q1 = Vector256.Load(a + 48), q2 = Vector256.Load(a + 80), q3 = Vector256.Load(a + 112);
            var p = Neighbours.Sums(Low(q0), Same(x)) + Neighbours.Sums(High(q0), Same(x + 16));
            p += Neighbours.Sums(Low(q1), Same(x + 4)) + Neighbours.Sums(High(q1), Same(x + 20));
            p += Neighbours.Sums(Low(q2), Same(x + 8)) + Neighbours.Sums(High(q2), Same(x + 24));
            p += Neighbours.Sums(Low(q3), Same(x + 12)) + Neighbours.Sums(High(q3), Same(x + 28));
            return Scaled(p, minus, Scales(a), scale, sum);
        }
        // Values, not results by reference: those would pass through memory.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<byte> Low(Vector256<byte> q) => q & Vector256.Create((byte)15);
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<byte> High(Vector256<byte> q) => (q.AsUInt16() >> 4).AsByte() & Vector256.Create((byte)15);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<float> Scales(byte* a) => (Formats.Words(a) << 13 & Vector256.Create(unchecked((int)0x8fffe000))).AsSingle() * Vector256.Create(Formats.HalfScale);

        // p: sums of eight products of at most 15 · 127 each, twice; 16 bits hold them.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<float> Scaled(Vector256<short> p, int* minus, Vector256<float> d, float* scale, Vector256<float> sum) =>
            Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(Neighbours.Sums(p, Vector256<short>.One) + Vector256.Create(*minus)), d * Vector256.Create(*scale), sum);
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<sbyte> Same(sbyte* x) => Vector256.Create(*(int*)x).AsSByte();
    }
}
