using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>
/// How float32 numbers are kept in fewer bytes: a row is a sequence of blocks of <see cref="Block"/> numbers, each <see cref="BlockBytes"/> long, little-endian.
/// Kernels are generic over formats and decode inside their loops; nothing is decoded ahead.
/// </summary>
public unsafe interface INumberFormat
{
    static abstract string Name { get; }
    static abstract int Block { get; }
    static abstract int BlockBytes { get; }
    /// <summary>Writes one block as Block floats.</summary>
    static abstract void Decode(byte* from, float* to);
    /// <summary>y [M,N] = x [M,K] · Wᵀ row by row of x, in the way that suits the format: <see cref="Quantised.Floats"/> or <see cref="Quantised.Integers"/>.</summary>
    static abstract void Few(byte* weights, int n, int k, float* x, int m, float* y);
    /// <summary>The same for many rows of x, if the format has a way of its own; false if weights are to be decoded.</summary>
    static virtual bool Many(byte* weights, int n, int k, float* x, int m, float* y) => false;
    /// <summary>Whether rows of so many numbers are multiplied as they are, by the next two; where not, callers decode and the two are not called.</summary>
    static virtual bool Direct(int dim) => false;
    private const string NotDirect = "rows of this format are decoded before they are multiplied";
    /// <summary>to[r·step + j] += row[j]·x[r] for rows of dim numbers, on this thread.</summary>
    static virtual void Dots(RowRuns rows, int dim, float* x, int count, float* to, nint step) => throw new NotSupportedException(NotDirect);
    /// <summary>to[r] += Σ_j p[r·step + j]·row[j].</summary>
    static virtual void Sweep(RowRuns rows, int dim, float* p, nint step, float* to, int count) => throw new NotSupportedException(NotDirect);
}

/// <summary>Rows side by side, or in pages of <see cref="PagedRows.PageRows"/>: what they are multiplied with is made ready once for all of them. A struct, valid while the rows are.</summary>
public readonly unsafe struct RowRuns
{
    readonly byte* start; readonly byte** pages; readonly int first; readonly nint row;
    /// <summary>count rows of rowBytes each from start on.</summary>
    public RowRuns(byte* start, int count, nint rowBytes) { this.start = start; Count = count; row = rowBytes; }
    /// <summary>Rows first … first + count − 1 of those in the pages.</summary>
    public RowRuns(byte** pages, int first, int count, nint rowBytes) { this.pages = pages; this.first = first; Count = count; row = rowBytes; }

    public int Count { get; }
    /// <summary>The row with this index, and how many from it on lie side by side.</summary>
    public byte* At(int index, out int some)
    {
        if (pages == null) { some = Count - index; return start + index * row; }
        int at = (first + index) % PagedRows.PageRows;
        some = Math.Min(Count - index, PagedRows.PageRows - at);
        return pages[(first + index) / PagedRows.PageRows] + at * row;
    }
}

/// <summary>A format whose numbers are multiplied as floats.</summary>
public unsafe interface IFloatFormat : INumberFormat
{
    /// <summary>sum + Σ w·x over a block, spread over eight lanes.</summary>
    static abstract Vector256<float> Dot(byte* from, float* x, Vector256<float> sum);
}

/// <summary>
/// A format of 32 (or whole multiples of 32) small integers per scale. The other factor is then rounded to 16-bit integers with a scale per 32 numbers (relative error 1.6e-5 of the
/// largest of them), and the products are summed as integers: half the instructions.
/// </summary>
public unsafe interface IIntegerFormat : INumberFormat
{
    /// <summary>sum + Σ w·x over a block; x as integers, and per 32 of them the scale and the sum of what was rounded.</summary>
    static abstract Vector256<float> Dot(byte* from, short* x, Rounded* scales, Vector256<float> sum);
}

/// <summary>
/// What 32 rounded numbers stand for: number = Scale·integer. HalfScale is Scale·2^112, for a scale that is still the bits of a half; Eighth an eighth of the sum of the numbers,
/// Minus the sum of the integers, negated.
/// </summary>
public struct Rounded
{
    public float Scale, HalfScale, Eighth, Minus;
    /// <summary>The scales of eight in a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe Vector256<float> Scales(Rounded* r) => Vector256.Create(r[0].Scale, r[1].Scale, r[2].Scale, r[3].Scale, r[4].Scale, r[5].Scale, r[6].Scale, r[7].Scale);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe Vector256<float> Eighths(Rounded* r) => Vector256.Create(r[0].Eighth, r[1].Eighth, r[2].Eighth, r[3].Eighth, r[4].Eighth, r[5].Eighth, r[6].Eighth, r[7].Eighth);
}

/// <summary>A format that numbers can also be brought into.</summary>
public unsafe interface IWritableFormat : INumberFormat
{
    /// <summary>Writes Block floats as one block. What is not finite is not representable in most formats; see <see cref="Formats.Encode{TFormat}"/>, which refuses it.</summary>
    static abstract void Encode(float* from, byte* to);
}

/// <summary>Rows of numbers in and out of a format.</summary>
public static unsafe class Formats
{
    /// <summary>Bytes of a row of n numbers; the last block may be partly empty.</summary>
    public static long RowBytes<TFormat>(int n) where TFormat : struct, INumberFormat => (long)((n + TFormat.Block - 1) / TFormat.Block) * TFormat.BlockBytes;

    /// <summary>Writes rows of x [Rows,Columns] into a format; to is overwritten. Numbers that are not finite are an <see cref="ArgumentException"/> that names the first.</summary>
    public static void Encode<TFormat>(ReadOnlySpan<float> x, int columns, Span<byte> to) where TFormat : struct, IWritableFormat
    {
        int rows = Rows<TFormat>(x.Length, columns, to.Length);
        for (int i = 0; i < x.Length; i++) if (!float.IsFinite(x[i])) throw new ArgumentException($"{TFormat.Name}: number {i} is {x[i]}, expected a finite one");
        float* last = stackalloc float[TFormat.Block]; long bytes = RowBytes<TFormat>(columns);
        fixed (float* p = x) fixed (byte* q = to)
            for (int r = 0; r < rows; r++)
            {
                float* row = p + (long)r * columns; byte* at = q + r * bytes; int c = 0;
                for (; c + TFormat.Block <= columns; c += TFormat.Block, at += TFormat.BlockBytes) TFormat.Encode(row + c, at);
                if (c == columns) continue;
                new Span<float>(last, TFormat.Block).Clear(); new Span<float>(row + c, columns - c).CopyTo(new(last, TFormat.Block));
                TFormat.Encode(last, at);
            }
    }

    /// <summary>Reads rows into y [Rows,Columns]; y is overwritten.</summary>
    public static void Decode<TFormat>(ReadOnlySpan<byte> from, int columns, Span<float> y) where TFormat : struct, INumberFormat
    {
        int rows = Rows<TFormat>(y.Length, columns, from.Length); long bytes = RowBytes<TFormat>(columns);
        fixed (byte* p = from) fixed (float* q = y) for (int r = 0; r < rows; r++) DecodeRow<TFormat>(p + r * bytes, q + (long)r * columns, columns);
    }

    /// <summary>
    /// An <see cref="ArgumentException"/> that names the first block with a number that is not finite. Products with integers read the scales of blocks as if they were, so that
    /// bytes of unknown origin want to be checked once, when they are loaded; <see cref="Encode{TFormat}"/> writes nothing else.
    /// </summary>
    public static void Check<TFormat>(ReadOnlySpan<byte> from) where TFormat : struct, INumberFormat
    {
        if (from.Length % TFormat.BlockBytes != 0) throw new ArgumentException($"{TFormat.Name}: {from.Length} bytes are not blocks of {TFormat.BlockBytes}");
        float* numbers = stackalloc float[TFormat.Block];
        fixed (byte* p = from)
            for (long b = 0; b < from.Length / TFormat.BlockBytes; b++)
            {
                TFormat.Decode(p + b * TFormat.BlockBytes, numbers);
                for (int i = 0; i < TFormat.Block; i++) if (!float.IsFinite(numbers[i])) throw new ArgumentException($"{TFormat.Name}: block {b} holds {numbers[i]}, expected finite numbers");
            }
    }

    static int Rows<TFormat>(int numbers, int columns, int bytes) where TFormat : struct, INumberFormat
    {
        Guard.AtLeast(columns, 1);
        if (numbers % columns != 0) throw new ArgumentException($"{TFormat.Name}: {numbers} numbers are not rows of {columns}");
        int rows = numbers / columns; long needed = rows * RowBytes<TFormat>(columns);
        return bytes >= needed ? rows : throw new ArgumentException($"{TFormat.Name}: {bytes} bytes, {rows} rows of {columns} numbers need {needed}");
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void DecodeRow<TFormat>(byte* from, float* to, int columns) where TFormat : struct, INumberFormat
    {
        int c = 0;
        if (TFormat.Block < 32)
            for (; c + 4 * TFormat.Block <= columns; c += 4 * TFormat.Block, from += 4 * TFormat.BlockBytes)
            {
                float* at = to + c;
                TFormat.Decode(from, at); TFormat.Decode(from + TFormat.BlockBytes, at + TFormat.Block); TFormat.Decode(from + 2 * TFormat.BlockBytes, at + 2 * TFormat.Block); TFormat.Decode(from + 3 * TFormat.BlockBytes, at + 3 * TFormat.Block);
            }
        for (; c + TFormat.Block <= columns; c += TFormat.Block, from += TFormat.BlockBytes) TFormat.Decode(from, to + c);
        if (c < columns) Last<TFormat>(from, to + c, columns - c);
    }
    static void Last<TFormat>(byte* from, float* to, int n) where TFormat : struct, INumberFormat
    {
        float* whole = stackalloc float[TFormat.Block];
        TFormat.Decode(from, whole);
        new Span<float>(whole, n).CopyTo(new(to, n));
    }

    // 2^112: brings a half's exponent, read as a float's, to where it belongs; subnormal halves come out right, too.
    internal const float HalfScale = 5.192296858534828e33f;

    /// <summary>A half as a float, without a branch or a call: both would empty the vector registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Half(byte* p)
    {
        int h = *(ushort*)p;
        return BitConverter.Int32BitsToSingle((h & 0x8000) << 16 | (h & 0x7fff) << 13 | ((h & 0x7c00) == 0x7c00 ? 0x7f800000 : 0)) * HalfScale;
    }

    /// <summary>The sum of each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<float> Sums(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d)
    {
        if (!Avx.IsSupported) return Vector128.Create(Vector256.Sum(a), Vector256.Sum(b), Vector256.Sum(c), Vector256.Sum(d));
        Vector256<float> x = Avx.UnpackLow(a, b) + Avx.UnpackHigh(a, b), y = Avx.UnpackLow(c, d) + Avx.UnpackHigh(c, d), z = Avx.Shuffle(x, y, 0x44) + Avx.Shuffle(x, y, 0xee);
        return z.GetLower() + z.GetUpper();
    }

    /// <summary>Eight halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Halves(byte* p)
    {
        var w = Words(p);
        var special = Vector256.Equals(w & Vector256.Create(0x7c00), Vector256.Create(0x7c00)) & Vector256.Create(0x7f800000);
        return ((w << 13 & Vector256.Create(unchecked((int)0x8fffe000))) | special).AsSingle() * Vector256.Create(HalfScale);
    }

    /// <summary>Eight signed 16-bit integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<int> Words(byte* p) => Avx2.IsSupported ? Avx2.ConvertToVector256Int32((short*)p) : Vector256.Create(Vector128.WidenLower(Vector128.Load((short*)p)), Vector128.WidenUpper(Vector128.Load((short*)p)));

    /// <summary>Eight signed bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Bytes(sbyte* p)
    {
        if (Avx2.IsSupported) return Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(p));
        var x = Vector128.WidenLower(Vector128.CreateScalar(*(long*)p).AsSByte());
        return Vector256.ConvertToSingle(Vector256.Create(Vector128.WidenLower(x), Vector128.WidenUpper(x)));
    }

    /// <summary>Σ of a block of signed bytes times x, in eight lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Dot32(sbyte* w, float* x)
    {
        var a = Bytes(w) * Vector256.Load(x); var b = Bytes(w + 8) * Vector256.Load(x + 8);
        a = Vector256.MultiplyAddEstimate(Bytes(w + 16), Vector256.Load(x + 16), a); b = Vector256.MultiplyAddEstimate(Bytes(w + 24), Vector256.Load(x + 24), b);
        return a + b;
    }

    /// <summary>Rounds x [32·blocks] to integers of 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Round(float* x, int blocks, short* to, Rounded* scales)
    {
        for (int b = 0; b < blocks; b++, x += 32, to += 32)
        {
            Vector256<float> u = Vector256.Load(x), v = Vector256.Load(x + 8), w = Vector256.Load(x + 16), z = Vector256.Load(x + 24);
            var largest = Vector256.Max(Vector256.Max(Vector256.Abs(u), Vector256.Abs(v)), Vector256.Max(Vector256.Abs(w), Vector256.Abs(z)));
            float most = Lanes256.MaxAcross(largest), sum = Vector256.Sum(u + v + (w + z));
            // What is not finite stays so: the scale carries it into every sum.
            float scale = most / 32767 + 0 * sum; var inverse = Vector256.Create(most is > 0 and < float.PositiveInfinity ? 32767 / most : 0);
            Vector256<short> low = Narrow(u * inverse, v * inverse), high = Narrow(w * inverse, z * inverse); var one = Vector256<short>.One;
            scales[b] = new() { Scale = scale, HalfScale = scale * HalfScale, Eighth = sum / 8, Minus = -Vector256.Sum(Pairs(low, one) + Pairs(high, one)) };
            Vector256.Store(low, to); Vector256.Store(high, to + 16);
        }
    }

    /// <summary>Σ of pairs of products of 16-bit integers: eight 32-bit sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<int> Pairs(Vector256<short> a, Vector256<short> b) => Neighbours.Sums(a, b);

    /// <summary>Sixteen signed bytes as 16-bit integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<short> Shorts(sbyte* p)
    {
        if (Avx2.IsSupported) return Avx2.ConvertToVector256Int16(p);
        var x = Vector128.Load(p);
        return Vector256.Create(Vector128.WidenLower(x), Vector128.WidenUpper(x));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<short> Shorts(Vector128<sbyte> x) => Avx2.IsSupported ? Avx2.ConvertToVector256Int16(x) : Vector256.Create(Vector128.WidenLower(x), Vector128.WidenUpper(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<short> Shorts(Vector128<byte> x) => Avx2.IsSupported ? Avx2.ConvertToVector256Int16(x) : Vector256.Create(Vector128.WidenLower(x), Vector128.WidenUpper(x)).AsInt16();

    /// <summary>The lower or the upper eight bytes of two registers by turns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<byte> ZipLow(Vector128<byte> x, Vector128<byte> y) => Sse2.IsSupported ? Sse2.UnpackLow(x, y) : (Vector128.WidenLower(x) | Vector128.WidenLower(y) << 8).AsByte();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<byte> ZipHigh(Vector128<byte> x, Vector128<byte> y) => Sse2.IsSupported ? Sse2.UnpackHigh(x, y) : (Vector128.WidenUpper(x) | Vector128.WidenUpper(y) << 8).AsByte();

    /// <summary>The nearest integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<int> Nearest(Vector256<float> x) => Avx.IsSupported ? Avx.ConvertToVector256Int32(x) : Vector256.ConvertToInt32(Vector256.Round(x));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<short> Narrow(Vector256<float> low, Vector256<float> high) => Vector256.Narrow(Nearest(low), Nearest(high));

    /// <summary>Sixteen unsigned bytes as 16-bit integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<short> Shorts(byte* p)
    {
        if (Avx2.IsSupported) return Avx2.ConvertToVector256Int16(p);
        var x = Vector128.Load(p);
        return Vector256.Create(Vector128.WidenLower(x), Vector128.WidenUpper(x)).AsInt16();
    }

    // The half at p in all lanes, its exponent still a half's: 2^112 too small, and finite whatever it is; see Check. Reads four bytes: those of the half times 2^13, the others times 0.
    // Vector arithmetic, since moving numbers over from scalar registers costs more.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Small(byte* p) => (Pairs(Vector256.Create(*(int*)p).AsInt16(), Vector256.Create(1 << 13).AsInt16()) & Vector256.Create(unchecked((int)0x8fffe000))).AsSingle();

    /// <summary>sum + d·scale·products, d being the half at p.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Scaled(Vector256<int> products, byte* p, Rounded* scale, Vector256<float> sum) => Scaled(Vector256.ConvertToSingle(products), p, scale, sum);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Scaled(Vector256<float> products, byte* p, Rounded* scale, Vector256<float> sum) => Vector256.MultiplyAddEstimate(products, Small(p) * Vector256.Create(scale->HalfScale), sum);

    /// <summary>sum + m·(sum of what was rounded), m being the half at p.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Shifted(byte* p, Rounded* scale, Vector256<float> sum) => Vector256.MultiplyAddEstimate(Small(p) * Vector256.Create(HalfScale), Vector256.Create(scale->Eighth), sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Scale32(sbyte* w, float scale, float* to)
    {
        var s = Vector256.Create(scale);
        Vector256.Store(Bytes(w) * s, to); Vector256.Store(Bytes(w + 8) * s, to + 8); Vector256.Store(Bytes(w + 16) * s, to + 16); Vector256.Store(Bytes(w + 24) * s, to + 24);
    }
}
