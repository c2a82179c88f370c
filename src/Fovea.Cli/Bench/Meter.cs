using System.Diagnostics;
namespace Fovea.Cli;

/// <summary>
/// Times calls and collects rows. One thread is timed in processor time of this process, which waiting for a busy core does not lengthen; several threads in
/// time on the wall, since waiting for each other is theirs to answer for.
/// </summary>
sealed class Meter(bool quick, string benchmark, int threads, Limit limit, List<Timing> rows, CancellationToken cancel)
{
    const int Most = 200;
    // A sample lasts long enough for the clock; the JIT compiles hot loops anew while they run, and needs some calls and some time to settle.
    readonly double sample = quick ? 0.002 : 0.005, warm = quick ? 0.1 : 0.25, measure = quick ? 0.12 : 0.5;

    public bool Quick => quick;
    /// <summary>The first length in a quick run, all of them in a whole one.</summary>
    public T[] Sizes<T>(T[] small, T[] more) => quick ? small : [.. small, .. more];

    /// <param name="flops">Operations of one call, a multiply-add counted as two.</param>
    /// <param name="bytes">Bytes that one call has to read and write at least.</param>
    public void Row(string name, string size, double flops, double bytes, Action run, int tokens = 0) => Add(name, size, Measure(run)[0], flops, bytes, null, tokens);

    public void Add(string name, string size, Sample time, double flops, double bytes, Relative? relative = null, int tokens = 0) =>
        rows.Add(new(benchmark, name, size, threads, time, flops, bytes, limit, relative, tokens));

    /// <summary>Times calls in turn, so that what slows the machine for a while slows all of them.</summary>
    public Sample[] Measure(params Action[] runs)
    {
        var calls = new int[runs.Length]; var times = new List<double>[runs.Length]; double round = 0;
        for (int i = 0; i < runs.Length; i++) { (calls[i], double once) = WarmUp(runs[i]); times[i] = []; round += Math.Max(once, sample); }
        int least = round > 1 || quick ? 3 : 7, rounds = (int)Math.Clamp(measure * runs.Length / round, least, Most);
        for (int r = 0; r < rounds; r++)
            for (int i = 0; i < runs.Length; i++) times[i].Add(Once(runs[i], calls[i]));
        return [.. times.Select(t => { t.Sort(); return new Sample(t[0], t[t.Count / 2], t.Count); })];
    }

    (int Calls, double Seconds) WarmUp(Action run)
    {
        long start = Stopwatch.GetTimestamp(); double best = double.PositiveInfinity;
        for (int i = 0; i < 3 || Stopwatch.GetElapsedTime(start).TotalSeconds < warm; i++)
        {
            best = Math.Min(best, Once(run, 1));
            if (best > (quick ? 0.1 : 0.5)) break;
        }
        return ((int)Math.Clamp(sample / Math.Max(best, 1e-9), 1, 1 << 20), best);
    }

    double Once(Action run, int calls)
    {
        cancel.ThrowIfCancellationRequested();
        double from = Now();
        for (int i = 0; i < calls; i++) run();
        // A clock that stands still must not make a kernel infinitely fast.
        return Math.Max(1e-9, (Now() - from) / calls);
    }

    double Now() => threads == 1 ? Environment.CpuUsage.TotalTime.TotalSeconds : (double)Stopwatch.GetTimestamp() / Stopwatch.Frequency;
}
