using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>Runs benchmarks on one thread and on all, next to the limits measured with as many threads.</summary>
sealed class Benchmarks(bool quick, Action<string, double> progress, CancellationToken cancel)
{
    /// <summary>Everything that can be asked for; a new benchmark is one line here.</summary>
    public static readonly Benchmark[] All =
    [
        new GemmBenchmark(),
        new AttentionBenchmark(), new CausalAttentionBenchmark(), new AttentionBackwardBenchmark(), new ScoreModsBenchmark(), new NormaliserBenchmark(), new SparseBenchmark(),
        new DecodeBenchmark(), new DecodeBenchmark<BFloat16>("bf16"), new DecodeBenchmark<Float16>("f16"), new DecodeBenchmark<Q8_0>("int8"), new DecodeBenchmark<Q4_0>("int4"),
        new GemvBenchmark<Q8_0>("q8"), new GemvBenchmark<Q4_0>("q4"), new GemvBenchmark<Float16>("f16"),
        new LinearBenchmark(),
        new RowsBenchmark(), new ConvBenchmark(),
        new TrainBenchmark(),
    ];

    public static Benchmark Find(string name) => All.FirstOrDefault(b => b.Name == name)
        ?? throw new UsageException($"bench {name}: expected {string.Join(", ", All.Select(b => b.Name))}; did you mean '{All.MinBy(b => Mechanisms.Mechanism.Distance(b.Name, name))!.Name}'?");

    public List<Timing> Run(IReadOnlyList<Benchmark> asked)
    {
        int all = Threads.Max; int[] counts = all > 1 ? [1, all] : [1]; var rows = new List<Timing>();
        try
        {
            for (int i = 0; i < counts.Length; i++)
            {
                int threads = Threads.Max = counts[i];
                progress("limits of the machine", i / (double)counts.Length);
                var limit = Measure(quick ? 0.2 : 1);
                rows.Add(new("limits", "limit: multiply-add", "registers", threads, new(1, 1, 1), limit.Flops, 0, limit));
                rows.Add(new("limits", "limit: read", "256 MiB", threads, new((256 << 20) / limit.Bytes, (256 << 20) / limit.Bytes, 1), 0, 256 << 20, limit));
                for (int j = 0; j < asked.Count; j++)
                {
                    string where = $"{asked[j].Name}, {threads} thread{(threads == 1 ? "" : "s")}";
                    progress(where, (i + (j + 0.2) / asked.Count) / counts.Length);
                    // Limits drift with the clock and with what else the machine does; each benchmark is held against those of its own minute.
                    asked[j].Run(new(quick, asked[j].Name, threads, Measure(quick ? 0.05 : 0.3), rows, cancel));
                }
            }
        }
        finally { Threads.Max = all; }
        return rows;
    }

    Limit Measure(double seconds)
    {
        double flops = Limits.PeakFlops(seconds); cancel.ThrowIfCancellationRequested();
        double bytes = Limits.ReadBytesPerSecond(seconds); cancel.ThrowIfCancellationRequested();
        return new(flops, bytes);
    }
}
