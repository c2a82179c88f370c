using System.Text.Json.Serialization;
using Fovea.Claims;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>Everything that decides the numbers of the CAB suite, but for seconds.</summary>
sealed record CabPlan(int Seed, string[] Mechanisms, int Steps, int[] Lengths)
{
    /// <summary>What a mechanism with a window sees, in tokens.</summary>
    public int Window { get; init; } = 16;
    public Rng Rng() => new((ulong)(uint)Seed);
}

/// <summary>One trained model: its metrics, or why there are none. Task "costs" holds what a layer costs instead.</summary>
sealed record CabCell(string Mechanism, string Task, string Pattern, List<CabMetric> Metrics, List<CabCost> Costs, long Params, string? Error = null);

/// <summary>
/// A mechanism's compositional index per pattern (null where it does not declare the pattern), their mean, and the lengths in tokens from which it is cheaper: in time than fused softmax, in bytes than softmax that stores
/// its weights, as the paper's does; fused softmax needs bytes in proportion to the length, as all others do. 0: at any length; null: never, or not measured.
/// </summary>
sealed record CabRow(string Mechanism, SortedDictionary<string, double?> Index, double? Mean, double? TimeLength, double? MemoryLength, double? TimeFit, long Params, string? Error);

/// <summary>Correlations are between the indices of two patterns, over mechanisms that declare both.</summary>
sealed record CabResults(CabPlan Plan, List<CabCell> Cells, List<CabRow> Rows, SortedDictionary<string, double?> Correlations, string Machine, bool Complete);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, NewLine = "\n", RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(CabResults))]
sealed partial class CabJson : JsonSerializerContext;

/// <summary>
/// CAB (arXiv 2210.07661) at a small scale: every mechanism on the tasks of the patterns that it declares, and the costs of a layer at several lengths. What was done is in the folder after every model, and a resumed run goes on from there.
/// </summary>
sealed class CabGrid(CabPlan plan, string folder, IReadOnlyList<CabCell> earlier)
{
    public const string ResultsFile = "cab.json";
    const string Costs = "costs";
    readonly List<CabCell> cells = [.. earlier];
    CostCurve? storedBytes;
    readonly IReadOnlyList<CabTask> tasks = CabTask.All(plan.Rng()["table"]);

    /// <summary>What an earlier run left in the folder, if it had the same plan.</summary>
    public static IReadOnlyList<CabCell> Left(CabPlan plan, string folder) => Suites.Left(Path.Combine(folder, ResultsFile), CabJson.Default.CabResults, old => Suites.Same(old.Plan, plan, CabJson.Default.CabPlan)).Cells;

    public CabResults Run(Action<string, double> progress, CancellationToken cancel)
    {
        var all = plan.Mechanisms.SelectMany(m => tasks.Where(t => CabScores.Declares(MixerSpec.Parse(m).Traits, t.Pattern)).Select(t => t.Name).Append(Costs), (m, t) => (Mechanism: m, Task: t)).ToList();
        try
        {
            for (int i = 0; i < all.Count; i++)
            {
                var (name, task) = all[i];
                if (cells.Any(c => c.Mechanism == name && c.Task == task)) continue;
                cancel.ThrowIfCancellationRequested();
                cells.Add(One(MixerSpec.Parse(name).With("window", plan.Window).With("horizon", Math.Max(4096, plan.Lengths.Max())), task, done => progress($"{name}, {task}", (i + done) / all.Count), cancel));
                Save(all.Count);
            }
        }
        finally { Save(all.Count); }
        return All(all.Count);
    }

    CabCell One(MixerSpec mechanism, string name, Action<double> progress, CancellationToken cancel)
    {
        try
        {
            if (name == Costs) return new(mechanism.Name, Costs, "", [], [.. Measure(mechanism, cancel)], 0);
            var task = tasks.Single(t => t.Name == name); var model = task.Train(plan.Rng(), mechanism.Mixer, plan.Steps, step => progress(step / (double)(task.Length * plan.Steps)), cancel);
            return new(mechanism.Name, name, task.Pattern.ToString(), [.. model.Measure(plan.Rng()["held out"])], [], model.Weights.Count);
        }
        // A mechanism that diverges, or cannot be made at this size, is a result too.
        catch (Exception e) when (e is ArithmeticException or ArgumentException or NotSupportedException) { return new(mechanism.Name, name, "", [], [], 0, e.Message); }
    }

    // The mechanism beside fused softmax, which is measured again each time, so that what the machine does meanwhile touches both: seconds are scaled to the first measurement of softmax.
    IReadOnlyList<CabCost> Measure(MixerSpec mechanism, CancellationToken cancel)
    {
        bool causal = !mechanism.Traits.HasFlag(Traits.Bidirectional); var softmax = Mechanism.Find("softmax");
        var found = CabChecks.Measure([(n => softmax.New(CabChecks.Config(causal, n), Weights.Random(plan.Rng())), false), (n => mechanism.Mixer(0, CabChecks.Config(causal, n), Weights.Random(plan.Rng())), false)], plan.Lengths, 5, TimeProvider.System, cancel: cancel);
        return [.. found[0].Concat(found[1])];
    }

    // The bytes of softmax with stored weights at the shorter lengths; the curve is exact there, and the same everywhere.
    static CostCurve Stored(int[] lengths)
    {
        int[] few = [.. lengths.Where(n => n <= 1024)];
        if (few.Length < 3) few = [64, 128, 256];
        var found = CabChecks.Measure([(n => Mechanism.Find("softmax").New(CabChecks.Config(false, n), Weights.Random(new Rng(1))), true)], few, 0, TimeProvider.System)[0];
        return CostCurve.Fit([.. found.Select(c => ((double)c.Length, (double)c.Bytes))], true);
    }

    CabResults All(int wanted)
    {
        var patterns = tasks.Select(t => t.Pattern).Distinct().ToList(); string[] names = plan.Mechanisms;
        var index = patterns.ToDictionary(p => p, p => CabScores.Index([.. tasks.Where(t => t.Pattern == p).Select(t =>
            (IReadOnlyList<IReadOnlyList<CabMetric>?>)[.. names.Select(m => cells.FirstOrDefault(c => c.Mechanism == m && c.Task == t.Name && c.Metrics.Count > 0)?.Metrics)])]));
        CostCurve? stored = cells.Any(c => c.Costs.Count > 0) ? storedBytes ??= Stored(plan.Lengths) : null; var rows = new List<CabRow>();
        for (int i = 0; i < names.Length; i++)
        {
            var mine = new SortedDictionary<string, double?>(patterns.ToDictionary(p => p.ToString(), p => double.IsFinite(index[p][i]) ? index[p][i] : (double?)null)); var present = mine.Values.OfType<double>().ToList();
            var costs = cells.FirstOrDefault(c => c.Mechanism == names[i] && c.Costs.Count > 0)?.Costs; double? time = null, memory = null, fit = null;
            if (costs is not null && costs.Count >= 6)
            {
                var vanilla = costs.Take(costs.Count / 2).ToList(); var own = costs.Skip(costs.Count / 2).ToList();
                var line = CostCurve.Fit([.. own.Select(c => ((double)c.Length, c.Seconds))], false);
                (time, fit) = (line.EfficiencyLength(CostCurve.Fit([.. vanilla.Select(c => ((double)c.Length, c.Seconds))], true)), line.R2);
                memory = CostCurve.Fit([.. own.Select(c => ((double)c.Length, (double)c.Bytes))], false).EfficiencyLength(stored!);
            }
            rows.Add(new(names[i], mine, present.Count > 0 ? present.Average() : null, time, memory, fit, cells.Where(c => c.Mechanism == names[i]).Select(c => c.Params).DefaultIfEmpty().Max(), cells.FirstOrDefault(c => c.Mechanism == names[i] && c.Error is not null)?.Error));
        }
        var together = new SortedDictionary<string, double?>();
        for (int a = 0; a < patterns.Count; a++)
            for (int b = a + 1; b < patterns.Count; b++)
                together[$"{patterns[a]}–{patterns[b]}"] = CabScores.Correlation(index[patterns[a]], index[patterns[b]]) is var r && double.IsFinite(r) ? r : null;
        return new(plan, cells, rows, together, ClaimRunner.Machine, cells.Count == wanted);
    }

    void Save(int wanted) => Suites.Save(Path.Combine(folder, ResultsFile), All(wanted), CabJson.Default.CabResults);
}
