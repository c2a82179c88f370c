using System.Text;
using System.Text.Json.Serialization;
using Fovea.Claims;
using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>Everything that decides the numbers of a recall frontier.</summary>
sealed record FrontierPlan(int Seed, string[] Mechanisms, int[] Widths, int Steps)
{
    public int Length { get; init; } = 24;
    public int Pairs { get; init; } = 4;
    public int Vocabulary { get; init; } = 16;
    public int Layers { get; init; } = 2;
    public int Rows { get; init; } = 32;
    [JsonIgnore] public Recall Task => new(Length, Pairs, Vocabulary);
    public Rng Rng() => new((ulong)(uint)Seed);
}

/// <summary>One trained model: share of right answers, and the bytes of its state after a row.</summary>
sealed record FrontierPoint(string Mechanism, int Width, double? Recall, long? StateBytes, long Params, string? Error = null);
sealed record Frontier(FrontierPlan Plan, List<FrontierPoint> Points, string Machine, bool Complete);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, NewLine = "\n", RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Frontier))]
sealed partial class FrontierJson : JsonSerializerContext;

/// <summary>
/// How much a model recalls against how much it keeps: a small model of several widths with each mechanism on multi-query associative recall, share of right answers over
/// bytes of state (the trade-off of arXiv 2402.18668). Windows see a quarter of a row. What was done is in the folder after every model, and a resumed run goes on from there.
/// </summary>
sealed class RecallFrontier(FrontierPlan plan, string folder, IReadOnlyList<FrontierPoint> earlier)
{
    public const string ResultsFile = "recall.json", PlotFile = "recall.svg";
    readonly List<FrontierPoint> points = [.. earlier];

    /// <summary>What an earlier run left in the folder, if it had the same plan.</summary>
    public static IReadOnlyList<FrontierPoint> Left(FrontierPlan plan, string folder) => Suites.Left(Path.Combine(folder, ResultsFile), FrontierJson.Default.Frontier, old => Suites.Same(old.Plan, plan, FrontierJson.Default.FrontierPlan)).Points;

    public Frontier Run(Action<string, double> progress, CancellationToken cancel)
    {
        var all = plan.Mechanisms.SelectMany(m => plan.Widths.Select(w => (Mechanism: m, Width: w))).ToList();
        try
        {
            for (int i = 0; i < all.Count; i++)
            {
                var (name, width) = all[i];
                if (points.Any(p => p.Mechanism == name && p.Width == width)) continue;
                cancel.ThrowIfCancellationRequested();
                points.Add(One(MixerSpec.Parse(name), width, done => progress($"{name}, {width} channels", (i + done) / all.Count), cancel));
                Save(all.Count);
            }
        }
        finally { Save(all.Count); }
        return All(all.Count);
    }

    FrontierPoint One(MixerSpec mechanism, int width, Action<double> progress, CancellationToken cancel)
    {
        var rng = plan.Rng(); var weights = Weights.Random(rng["weights"][width]);
        try
        {
            var task = plan.Task; var model = Training.RecallModel(task, mechanism, weights, width, plan.Layers);
            double right = Training.Recall(rng, task, model, weights, plan.Rows, plan.Steps, checkpoint: null, progress, cancel);
            return new(mechanism.Name, width, right, State(model, task.Batch(rng["test"], 0, 1).Inputs, mechanism), weights.Count);
        }
        // A mechanism that diverges, or cannot be made at this size, is a result too.
        catch (Exception e) when (e is ArithmeticException or ArgumentException or NotSupportedException) { return new(mechanism.Name, width, null, null, weights.Count, e.Message); }
    }

    static long? State(DecoderModel model, int[] row, MixerSpec mechanism)
    {
        if (!mechanism.Traits.HasFlag(Traits.Incremental)) return null;
        using var scope = Scope.NoGrad();
        var memory = new Memory(); model.Forward(row, 1, new Pass { Memory = memory });
        return memory.Bytes;
    }

    Frontier All(int wanted) => new(plan, points, ClaimRunner.Machine, points.Count == wanted);

    void Save(int wanted)
    {
        Suites.Save(Path.Combine(folder, ResultsFile), All(wanted), FrontierJson.Default.Frontier);
        AtomicFile.WriteText(Path.Combine(folder, PlotFile), Draw(plan, points));
    }

    /// <summary>The plot as a file of its own: its colours travel with it.</summary>
    public static string Draw(FrontierPlan plan, IReadOnlyList<FrontierPoint> points)
    {
        var series = plan.Mechanisms.Select((name, i) => new Series(name, i, [.. points.Where(p => p.Mechanism == name && p is { Recall: not null, StateBytes: not null }).OrderBy(p => p.StateBytes).Select(p => ((double)p.StateBytes!, p.Recall!.Value * 100))])).ToList();
        var said = new StringBuilder();
        foreach (var s in series) if (s.Points.Count > 0) said.Append($"{s.Name}: {string.Join(", ", s.Points.Select(p => $"{Plot.N(p.Y)} % at {Plot.Short(p.X)} bytes"))}. ");
        string svg = Plot.Lines("recall", "Recall against bytes of state", said.Length > 0 ? said.ToString().Trim() : "Nothing measured yet.", new("bytes of state after a row", Log: true), new("right answers, %"), series);
        return svg.Replace("</title>", $"</title><style>{Report.Style}svg{{background:var(--paper)}}</style>", StringComparison.Ordinal).Insert(0, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n") + "\n";
    }
}
