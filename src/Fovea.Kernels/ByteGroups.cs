using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>
/// Numbers in bytes with a range per group: x [Outer,Groups,Inner], where group g of every outer row has offset low[g] and width range[g]. A code u stands for u·range/255 + low; what lies outside of the range is cut to it.
/// </summary>
public static unsafe class ByteGroups
{
    /// <summary>low and range [Groups] are overwritten with minimum and maximum − minimum; not finite if a number is not.</summary>
    public static void Ranges(ReadOnlySpan<Real> x, int outer, int groups, int inner, Span<Real> low, Span<Real> range)
    {
        Holds(x.Length, outer, groups, inner); Guard.Holds(low, groups); Guard.Holds(range, groups);
        low[..groups].Fill(Real.PositiveInfinity); range[..groups].Fill(Real.NegativeInfinity);
        for (int r = 0; r < outer * groups; r++)
        {
            var row = x.Slice(r * inner, inner); int g = r % groups;
            low[g] = Real.Min(low[g], TensorPrimitives.Min<Real>(row)); range[g] = Real.Max(range[g], TensorPrimitives.Max<Real>(row));
        }
        for (int g = 0; g < groups; g++) range[g] -= low[g];
    }

    /// <summary>codes are overwritten. With a key the fraction is rounded up with its own probability, so that the mean over keys is the number itself; without, to the nearest.</summary>
    public static void Encode(ReadOnlySpan<Real> x, int outer, int groups, int inner, ReadOnlySpan<Real> low, ReadOnlySpan<Real> range, ulong? key, Span<byte> codes)
    {
        Holds(x.Length, outer, groups, inner); Holds(codes.Length, outer, groups, inner); Guard.Holds(low, groups); Guard.Holds(range, groups);
        fixed (Real* px = x, pl = low, pr = range) fixed (byte* pc = codes) Threads.For(outer * groups, Math.Max(1, (1 << 14) / Math.Max(1, inner)), new Encoding(px, pl, pr, pc, groups, inner, key));
    }

    /// <summary>x is overwritten.</summary>
    public static void Decode(ReadOnlySpan<byte> codes, int outer, int groups, int inner, ReadOnlySpan<Real> low, ReadOnlySpan<Real> range, Span<Real> x)
    {
        Holds(x.Length, outer, groups, inner); Holds(codes.Length, outer, groups, inner); Guard.Holds(low, groups); Guard.Holds(range, groups);
        fixed (Real* px = x, pl = low, pr = range) fixed (byte* pc = codes) Threads.For(outer * groups, Math.Max(1, (1 << 14) / Math.Max(1, inner)), new Decoding(px, pl, pr, pc, groups, inner));
    }

    static void Holds(int length, int outer, int groups, int inner)
    {
        Guard.AtLeast(outer, 0); Guard.AtLeast(groups, 1); Guard.AtLeast(inner, 0);
        if (length < (long)outer * groups * inner) throw new ArgumentException($"{length} numbers, expected [{outer}, {groups}, {inner}]");
    }

    readonly struct Encoding(Real* x, Real* low, Real* range, byte* codes, int groups, int inner, ulong? key) : IRows
    {
        public void Run(int from, int to)
        {
            uint salt = key is { } k ? (uint)k ^ (uint)(k >> 32) : 0;
            for (int r = from; r < to; r++)
            {
                Real l = low[r % groups], step = range[r % groups] > 0 ? 255 / range[r % groups] : 0; long at = (long)r * inner;
                for (int i = 0; i < inner; i++)
                {
                    Real up = (Real)0.5;
                    if (key is not null)
                    {
                        // A hash of the place: 24 bits as a number in [0, 1).
                        uint h = ((uint)(at + i) * 0x9e3779b9u) ^ salt;
                        h = (h ^ (h >> 16)) * 0x7feb352du; h = (h ^ (h >> 15)) * 0x846ca68bu; h ^= h >> 16;
                        up = (h >> 8) * (Real)(1.0 / (1 << 24));
                    }
                    codes[at + i] = (byte)(int)Real.Clamp((x[at + i] - l) * step + up, 0, 255);
                }
            }
        }
    }

    readonly struct Decoding(Real* x, Real* low, Real* range, byte* codes, int groups, int inner) : IRows
    {
        public void Run(int from, int to)
        {
            for (int r = from; r < to; r++)
            {
                Real l = low[r % groups], step = range[r % groups] / 255; long at = (long)r * inner;
                for (int i = 0; i < inner; i++) x[at + i] = codes[at + i] * step + l;
            }
        }
    }
}
