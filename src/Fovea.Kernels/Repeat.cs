using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Element-wise arithmetic in which the second operand repeats.</summary>
internal static unsafe class Repeat
{
    /// <summary>A short operand is written out to about this many numbers, so that inner loops are long.</summary>
    const int Long = 1024;

    /// <summary>What becomes of y, from a, b and y itself.</summary>
    public interface IPair { static abstract V Of<TLanes, V>(V a, V b, V y) where TLanes : struct, ILanes<V> where V : struct; }
    public readonly struct Plus : IPair { [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V a, V b, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Add(a, b); }
    public readonly struct Minus : IPair { [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V a, V b, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Sub(a, b); }
    public readonly struct Times : IPair { [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V a, V b, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Mul(a, b); }
    public readonly struct Over : IPair { [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V a, V b, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Div(a, b); }
    public readonly struct TimesPlus : IPair { [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V a, V b, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Fma(a, b, y); }

    public static void Apply<TPair>(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y, Width width = Width.Widest) where TPair : struct, IPair
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
            WideRows.For(a.Length, Map.Grain, new Rows<TPair>(pa, operand, py, period), width);
        }
    }

    readonly struct Rows<TPair>(Real* a, Real* b, Real* y, int period) : IWideRows where TPair : struct, IPair
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            for (int i = from; i < to;)
            {
                int at = i % period, n = Math.Min(to - i, period - at), done = Part<TLanes, V>(a + i, b + at, y + i, 0, n);
                if (done < n) Part<Lanes1, Real>(a + i, b + at, y + i, done, n);
                i += n;
            }
        }
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static int Part<TLanes, V>(Real* a, Real* b, Real* y, int i, int n) where TLanes : struct, ILanes<V> where V : struct
        {
            for (int w = TLanes.Count; i <= n - w; i += w) TLanes.Store(y + i, TPair.Of<TLanes, V>(TLanes.Load(a + i), TLanes.Load(b + i), TLanes.Load(y + i)));
            return i;
        }
    }
}
