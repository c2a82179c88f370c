using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>Element-wise arithmetic in which the second operand repeats.</summary>
internal static unsafe class Repeat
{
    /// <summary>A short operand is written out to about this many numbers, so that inner loops are long.</summary>
    const int Long = 1024;

    public interface IPair { static abstract void Of(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y); }
    public readonly struct Plus : IPair { public static void Of(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => TensorPrimitives.Add(a, b, y); }
    public readonly struct Minus : IPair { public static void Of(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => TensorPrimitives.Subtract(a, b, y); }
    public readonly struct Times : IPair { public static void Of(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => TensorPrimitives.Multiply(a, b, y); }
    public readonly struct Over : IPair { public static void Of(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => TensorPrimitives.Divide(a, b, y); }
    public readonly struct TimesPlus : IPair { public static void Of(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => TensorPrimitives.MultiplyAdd(a, b, y, y); }

    public static void Apply<TPair>(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) where TPair : struct, IPair
    {
        Guard.Fits(a, y);
        if (a.IsEmpty) return;
        if (b.IsEmpty || a.Length % b.Length != 0) throw new ArgumentException($"b holds {b.Length} numbers, which does not divide the {a.Length} of a");
        using var scratch = Scratch.Open();
        fixed (Real* pa = a, pb = b, py = y)
        {
            Real* operand = pb; int period = b.Length;
            if (b.Length < Long && b.Length < a.Length)
            {
                period = b.Length * Math.Min(a.Length / b.Length, (Long + b.Length - 1) / b.Length);
                operand = scratch.Take(period);
                for (int i = 0; i < period; i += b.Length) b.CopyTo(new Span<Real>(operand + i, b.Length));
            }
            Threads.For(a.Length, Map.Grain, new Rows<TPair>(pa, operand, py, period));
        }
    }

    readonly struct Rows<TPair>(Real* a, Real* b, Real* y, int period) : IRows where TPair : struct, IPair
    {
        public void Run(int from, int to)
        {
            for (int i = from; i < to;)
            {
                int at = i % period, n = Math.Min(to - i, period - at);
                TPair.Of(new(a + i, n), new(b + at, n), new(y + i, n));
                i += n;
            }
        }
    }
}
