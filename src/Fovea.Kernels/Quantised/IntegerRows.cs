using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>An integer format whose blocks are a half, the scale of the block, and 32 numbers.</summary>
public unsafe interface IPackedFormat : IIntegerFormat
{
    /// <summary>What is to be subtracted from the numbers as they are packed.</summary>
    static abstract int Offset { get; }
    /// <summary>The packed numbers of a block.</summary>
    static abstract void Unpack(byte* block, out Vector256<short> low, out Vector256<short> high);
    /// <summary>Numbers i … i+7 and j … j+7 of two blocks, those of the same place side by side; for half 0 and 1, i is 0 and Next and j is i + Apart.</summary>
    static abstract void Pair(byte* first, byte* second, int half, out Vector256<short> atI, out Vector256<short> atJ);
    static abstract int Next { get; }
    static abstract int Apart { get; }
}

/// <summary>
/// Rows in a packed format, whole blocks, times vectors that are rounded to 16-bit integers for all rows of a call: products are summed as integers. Rows are taken to be followed by those of the next call, which are asked for. The sum over keys, too, so that
/// weights times the scales of blocks are rounded, by 1.6e-5 of the largest of them.
/// </summary>
static unsafe partial class IntegerRows<TFormat> where TFormat : struct, IPackedFormat
{
    // 2^56. Halves are read as floats whose exponent is 112 too small; half of that comes in before the sums and half after, so that nothing is too large or too small.
    const float Root = 7.2057594037927936e16f;

    /// <summary>to[r·step + j] += row[j]·x[r] for rows of dim numbers.</summary>
    public static void Dots(RowRuns rows, int dim, float* x, int count, float* to, nint step)
    {
        using var scratch = Scratch.Open();
        int blocks = dim / 32;
        var q = (short*)scratch.Take((long)count * dim / 2); var lanes = scratch.TakeInts((long)count * blocks * 8); float* scales = scratch.Take(count);
        for (int i = 0; i < count; i++) scales[i] = Round(x + (nint)i * dim, blocks, q + (nint)i * dim, lanes + (nint)i * blocks * 8);
        for (int done = 0, n; done < rows.Count; done += n, to += n)
        {
            byte* at = rows.At(done, out n); int r = 0;
            for (; r + 4 <= count; r += 4) Dots4(at, n, blocks, q + (nint)r * dim, scales + r, lanes + (nint)r * blocks * 8, to + r * step, step);
            for (; r < count; r++) Dots1(at, n, blocks, q + (nint)r * dim, scales[r], lanes + (nint)r * blocks * 8, to + r * step);
        }
    }

    /// <summary>Rounds to integers of 16 bits; returns the scale times Root, and in lanes what the offset adds to the sums of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float Round(float* x, int blocks, short* to, int* lanes)
    {
        var most = Vector256<float>.Zero; var sum = most;
        for (int i = 0; i < 32 * blocks; i += 8) { var v = Vector256.Load(x + i); most = Vector256.MaxNative(most, Vector256.Abs(v)); sum += v; }
        float largest = Lanes256.MaxAcross(most); var inverse = Vector256.Create(largest is > 0 and < float.PositiveInfinity ? 32767 / largest : 0);
        for (int b = 0; b < blocks; b++, x += 32, to += 32, lanes += 8)
        {
            var low = Formats.Narrow(Vector256.Load(x) * inverse, Vector256.Load(x + 8) * inverse); var high = Formats.Narrow(Vector256.Load(x + 16) * inverse, Vector256.Load(x + 24) * inverse);
            Vector256.Store(low, to); Vector256.Store(high, to + 16);
            var minus = Vector256.Create((short)-TFormat.Offset);
            Vector256.Store(Formats.Pairs(low, minus) + Formats.Pairs(high, minus), lanes);
        }
        // What is not finite stays so: the scale carries it into every sum.
        return (largest / 32767 + 0 * Vector256.Sum(sum)) * Root;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Add(byte* block, short* x, int* lanes, Vector256<float> sum)
    {
        TFormat.Unpack(block, out var low, out var high);
        var products = Formats.Pairs(low, Vector256.Load(x)) + Formats.Pairs(high, Vector256.Load(x + 16));
        if (TFormat.Offset != 0) products += Vector256.Load(lanes);
        return Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(products), Formats.Small(block), sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Dots1(byte* at, int n, int blocks, short* x, float scale, int* lanes, float* to)
    {
        int m = n / 4; nint row = (nint)blocks * TFormat.BlockBytes;
        for (int j = 0; j < n; j = j < m - 1 ? j + 1 : Math.Max(j + 1, 4 * m))
        {
            // Rows that are left over are taken on their own.
            nint gap = j < m ? m : 0; byte* a = at + j * row, b = a + gap * row, c = b + gap * row, d = c + gap * row; short* y = x; int* z = lanes;
            Vector256<float> s = default, t = s, u = s, v = s;
            Ahead.Row(a + n * row, row); if (gap > 0) { Ahead.Row(b + n * row, row); Ahead.Row(c + n * row, row); Ahead.Row(d + n * row, row); }
            for (int i = 0; i < blocks; i++, a += TFormat.BlockBytes, b += TFormat.BlockBytes, c += TFormat.BlockBytes, d += TFormat.BlockBytes, y += 32, z += 8)
            {
                s = Add(a, y, z, s); t = Add(b, y, z, t); u = Add(c, y, z, u); v = Add(d, y, z, v);
            }
            var sums = Formats.Sums(s, t, u, v) * Vector128.Create(Root) * Vector128.Create(scale);
            to[j] += sums[0];
            if (gap > 0) { to[j + m] += sums[1]; to[j + 2 * m] += sums[2]; to[j + 3 * m] += sums[3]; }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Dots4(byte* at, int n, int blocks, short* x, float* scales, int* lanes, float* to, nint step)
    {
        int m = n / 2; nint row = (nint)blocks * TFormat.BlockBytes, next = 32 * blocks; var scale = Vector128.Load(scales);
        // One row and then one from the second half: two streams, each read in order.
        for (int i = 0; i < n; i++)
        {
            int j = i < 2 * m ? i / 2 + i % 2 * m : i; byte* a = at + j * row; short* x0 = x, x1 = x + next, x2 = x1 + next, x3 = x2 + next;
            Vector256<float> s = default, t = s, u = s, v = s;
            Ahead.Row(a + n * row, row);
            byte* end = a + row;
            for (; a + 3 * TFormat.BlockBytes < end; a += 4 * TFormat.BlockBytes, x0 += 128, x1 += 128, x2 += 128, x3 += 128)
            {
                One(a, x0, x1, x2, x3, ref s, ref t, ref u, ref v); One(a + TFormat.BlockBytes, x0 + 32, x1 + 32, x2 + 32, x3 + 32, ref s, ref t, ref u, ref v);
                One(a + 2 * TFormat.BlockBytes, x0 + 64, x1 + 64, x2 + 64, x3 + 64, ref s, ref t, ref u, ref v); One(a + 3 * TFormat.BlockBytes, x0 + 96, x1 + 96, x2 + 96, x3 + 96, ref s, ref t, ref u, ref v);
            }
            for (; a < end; a += TFormat.BlockBytes, x0 += 32, x1 += 32, x2 += 32, x3 += 32) One(a, x0, x1, x2, x3, ref s, ref t, ref u, ref v);
            var sums = Formats.Sums(s, t, u, v) * Vector128.Create(Root) * scale; float* o = to + j;
            o[0] += sums[0]; o[step] += sums[1]; o[2 * step] += sums[2]; o[3 * step] += sums[3];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void One(byte* a, short* x0, short* x1, short* x2, short* x3, ref Vector256<float> s, ref Vector256<float> t, ref Vector256<float> u, ref Vector256<float> v)
    {
        TFormat.Unpack(a, out var low, out var high);
        if (TFormat.Offset != 0) { low -= Vector256.Create((short)TFormat.Offset); high -= Vector256.Create((short)TFormat.Offset); }
        var d = Formats.Small(a);
        s = Four(low, high, x0, d, s); t = Four(low, high, x1, d, t); u = Four(low, high, x2, d, u); v = Four(low, high, x3, d, v);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Four(Vector256<short> low, Vector256<short> high, short* x, Vector256<float> scale, Vector256<float> sum) =>
        Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(Formats.Pairs(low, Vector256.Load(x)) + Formats.Pairs(high, Vector256.Load(x + 16))), scale, sum);
}
