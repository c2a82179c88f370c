using System.Diagnostics;
using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>What this machine can do at best, measured: the number that a kernel's speed is a fraction of.</summary>
public static unsafe class Limits
{
    /// <summary>Multiply-adds per second, each counted as two operations, of <see cref="Threads.Max"/> threads that do nothing else; the best of several tries within so many seconds.</summary>
    public static double PeakFlops(double seconds)
    {
        const int rounds = 200_000; int tasks = Threads.Max; double best = 0;
        // Each task counts its own work: how wide the registers are is known only inside.
        var counts = stackalloc long[tasks];
        for (long start = Stopwatch.GetTimestamp(); best == 0 || Stopwatch.GetElapsedTime(start).TotalSeconds < seconds;)
        {
            long from = Stopwatch.GetTimestamp();
            Threads.For(tasks, 1, new MultiplyAdds(counts, rounds));
            double t = Stopwatch.GetElapsedTime(from).TotalSeconds; long all = 0;
            for (int i = 0; i < tasks; i++) all += counts[i];
            best = Math.Max(best, 2 * all / t);
        }
        return best;
    }

    /// <summary>Bytes per second that <see cref="Threads.Max"/> threads read from memory, out of a block far larger than the caches; the best of several tries within so many seconds.</summary>
    public static double ReadBytesPerSecond(double seconds)
    {
        const int block = 1 << 18, blocks = 256;
        // Managed arrays start anywhere; loads that cross cache lines would make the limit lower than it is.
        var memory = GC.AllocateUninitializedArray<Real>(blocks * block + 64 / sizeof(Real));
        Array.Fill(memory, (Real)1);
        double best = 0;
        fixed (Real* origin = memory)
        {
            Real* p = (Real*)(((nint)origin + 63) & ~(nint)63);
            for (long start = Stopwatch.GetTimestamp(); best == 0 || Stopwatch.GetElapsedTime(start).TotalSeconds < seconds;)
            {
                long from = Stopwatch.GetTimestamp();
                Threads.For(blocks, 1, new Reads(p, block));
                best = Math.Max(best, (double)blocks * block * sizeof(Real) / Stopwatch.GetElapsedTime(from).TotalSeconds);
            }
        }
        return best;
    }

    readonly struct MultiplyAdds(long* counts, int rounds) : IRows
    {
        public void Run(int from, int to) { for (int i = from; i < to; i++) { var body = new MultiplyAdd(counts + i, rounds); Wide.Run(ref body); } }
    }

    /// <summary>Twelve sums that do not wait for each other, as many as hide the latency of the multiply-add units.</summary>
    readonly struct MultiplyAdd(long* count, int rounds) : IWide
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            V a = TLanes.Set((Real)0.5), b = TLanes.Set((Real)0.25);
            V s0 = a, s1 = a, s2 = a, s3 = a, s4 = a, s5 = a, s6 = a, s7 = a, s8 = a, s9 = a, s10 = a, s11 = a;
            for (int i = 0; i < rounds; i++)
            {
                s0 = TLanes.Fma(s0, a, b); s1 = TLanes.Fma(s1, a, b); s2 = TLanes.Fma(s2, a, b); s3 = TLanes.Fma(s3, a, b);
                s4 = TLanes.Fma(s4, a, b); s5 = TLanes.Fma(s5, a, b); s6 = TLanes.Fma(s6, a, b); s7 = TLanes.Fma(s7, a, b);
                s8 = TLanes.Fma(s8, a, b); s9 = TLanes.Fma(s9, a, b); s10 = TLanes.Fma(s10, a, b); s11 = TLanes.Fma(s11, a, b);
            }
            V sum = TLanes.Add(TLanes.Add(TLanes.Add(s0, s1), TLanes.Add(s2, s3)), TLanes.Add(TLanes.Add(s4, s5), TLanes.Add(s6, s7)));
            sum = TLanes.Add(sum, TLanes.Add(TLanes.Add(s8, s9), TLanes.Add(s10, s11)));
            // The sums settle at 1/2; using them keeps the loop from being removed.
            *count = TLanes.Sum(sum) > 0 ? 12L * rounds * TLanes.Count : 0;
        }
    }

    readonly struct Reads(Real* memory, int block) : IRows
    {
        public void Run(int from, int to) { for (int i = from; i < to; i++) { var body = new Read(memory + (long)i * block, block); Wide.Run(ref body); } }
    }

    readonly struct Read(Real* p, int n) : IWide
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            // Four places at once keep more lines on their way than one.
            V s0 = TLanes.Set(0), s1 = s0, s2 = s0, s3 = s0; int c = TLanes.Count, m = n / 4;
            for (int i = 0; i + 2 * c <= m; i += 2 * c)
            {
                s0 = TLanes.Add(s0, TLanes.Load(p + i)); s1 = TLanes.Add(s1, TLanes.Load(p + m + i));
                s2 = TLanes.Add(s2, TLanes.Load(p + 2 * m + i)); s3 = TLanes.Add(s3, TLanes.Load(p + 3 * m + i));
                s0 = TLanes.Add(s0, TLanes.Load(p + i + c)); s1 = TLanes.Add(s1, TLanes.Load(p + m + i + c));
                s2 = TLanes.Add(s2, TLanes.Load(p + 2 * m + i + c)); s3 = TLanes.Add(s3, TLanes.Load(p + 3 * m + i + c));
            }
            if (TLanes.Sum(TLanes.Add(TLanes.Add(s0, s1), TLanes.Add(s2, s3))) < 0) throw new InvalidOperationException("a sum of ones is negative");
        }
    }
}
