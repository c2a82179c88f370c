using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// The short form of CAB: four tasks, one per pattern, with softmax, local attention (neighbourhoods of 15), Performer and ABC where they declare the pattern; 150 updates each, 300 of text. "fovea compare --suite cab" runs the
/// same for all mechanisms. Ablated: one pattern stands for all, noncausal self attention, as in benchmarks before; and what declares that pattern is taken to be fit for the others.
/// </summary>
[Paper("cab")]
public static class Cab
{
    static readonly string[] Names = ["softmax", "neighbourhood", "performer", "abc"];
    const int Softmax = 0, Local = 1;
    // After 150 updates softmax finds 40 to 100% of the needles of a text, by key.
    static int Steps(CabTask task) => task.Pattern == CabPattern.CausalSelf ? 300 : 150;
    static IReadOnlyList<CabTask> Tasks(ClaimRun run) => CabTask.All(run.Rng["table"]);
    static CabTask Task(ClaimRun run, CabPattern pattern) => Tasks(run).Single(t => t.Pattern == pattern);

    static CabModel Trained(ClaimRun run, CabTask task, string name, Mixer mixer) => task.New(run.Trained($"cab-{task.Name}-{name}", () =>
        task.Train(run.Rng["cab"], mixer, Steps(task), step => { if (step % 20 == 0) run.Report($"{task.Name}, {name}: step {step}"); }, run.Cancel).Weights), mixer);
    static CabModel Trained(ClaimRun run, CabTask task, int mechanism) { var m = Mechanism.Find(Names[mechanism]); return Trained(run, task, m.Name, (_, c, w) => m.New(c, w)); }

    sealed record Scores(IReadOnlyList<IReadOnlyList<CabMetric>?> Metrics, double[] Index);
    static Scores Of(ClaimRun run, CabPattern pattern) => run.Fixture($"cab-scores-{pattern}", () =>
    {
        var task = Task(run, pattern);
        IReadOnlyList<CabMetric>?[] found = [.. Names.Select((name, i) => CabScores.Declares(Mechanism.Find(name).Traits, pattern) ? Trained(run, task, i).Measure(run.Rng["held out"]) : null)];
        run.Report($"{pattern}: " + string.Join("; ", found.Select((f, i) => f is null ? $"{Names[i]} –" : $"{Names[i]} {string.Join(", ", f.Select(m => $"{m.Name} {m.Value:f3}"))}")));
        return new Scores(found, CabScores.Index([found]));
    });

    [Claim("Mechanisms are fit for the patterns that they declare: causal ones do not see what comes later, and give step by step what they give at once; Nyström declares no causal pattern, refuses one, and would leak the future", Quick = true)]
    public static Evidence Patterns(ClaimRun run)
    {
        double self = 0, cross = 0, steps = 0; int refused = 0;
        foreach (var m in Mechanism.All)
        {
            Attention New(bool causal) => m.New(CabChecks.Config(causal), Weights.Random(run.Rng[m.Name]));
            if (CabScores.Declares(m.Traits, CabPattern.CausalSelf)) self = Math.Max(self, CabChecks.Leak(New(true), false, run.Rng["leak"]));
            if (CabScores.Declares(m.Traits, CabPattern.CausalCross)) cross = Math.Max(cross, CabChecks.Leak(New(true), true, run.Rng["leak"]));
            if (m.Traits.HasFlag(Traits.Causal | Traits.Incremental)) steps = Math.Max(steps, CabChecks.Steps(New(true), run.Rng["steps"]));
            if (m.Traits.HasFlag(Traits.Causal)) continue;
            try { New(true); } catch (ArgumentException) { refused++; }
            if (run.Ablated) self = Math.Max(self, CabChecks.Leak(New(false), false, run.Rng["leak"]));
        }
        double nystrom = CabChecks.Leak(new NystromAttention(CabChecks.Config(false), Weights.Random(run.Rng["nystrom"])), true, run.Rng["leak"]);
        return Evidence.All(Evidence.AtMost(self, 1e-4, "", "largest change by later tokens, causal self"), Evidence.AtMost(cross, 1e-4, "", "causal cross"), Evidence.AtMost(steps, 5e-4, "", "step by step"),
            Evidence.AtLeast(refused, Mechanism.All.Count(m => !m.Traits.HasFlag(Traits.Causal)), "", "mechanisms that refuse Causal = true because they look ahead"), Evidence.AtLeast(nystrom, 1e-2, "", "change by later tokens if Nyström were used in a causal cross pattern"));
    }

    /// <summary>
    /// The catalogue also asks that softmax lead the cross patterns. It does not here: after 450 updates all mechanisms are in the middle of learning to look facts up, and which is ahead depends on the seed (accuracies of
    /// softmax, Performer, cosFormer and ABC on seed 12: 0.55, 0.68, 0.55 and 0.56 side by side, 0.66, 0.79, 0.63 and 0.71 in turn); on sinusoids, the paper's own cross task, all came within a tenth of each other. What is shown is
    /// that order turns round between patterns, with the paper's own leader: local attention.
    /// </summary>
    [Claim("Results differ from pattern to pattern: local attention leads noncausal self attention, and is far behind softmax in causal self attention, where needles are far")]
    public static Evidence Differ(ClaimRun run)
    {
        Scores self = Of(run, CabPattern.NoncausalSelf), causal = run.Ablated ? self : Of(run, CabPattern.CausalSelf);
        return Evidence.All(Evidence.AtLeast(self.Index[Local] - self.Index.Where((x, i) => i != Local && double.IsFinite(x)).Max(), 0.5, "", $"index of local attention ({self.Index[Local]:f2}) beyond the next, noncausal self"),
            Evidence.AtLeast(causal.Index[Softmax] - causal.Index[Local], 0.5, "", $"index of softmax ({causal.Index[Softmax]:f2}) beyond local attention, causal self"));
    }

    [Claim("Both cross patterns are tasks for attention: softmax finds facts that a model without cross-attention can only guess")]
    public static Evidence Cross(ClaimRun run)
    {
        // Four values of a fact: who does not read the source is right once in four.
        double Gain(CabPattern pattern) => Trained(run, Task(run, pattern), run.Ablated ? "nothing" : "softmax", run.Ablated ? (_, _, _) => new NoMixing() : ModelConfig.Softmax).Measure(run.Rng["held out"])[0].Value - 0.25;
        return Evidence.All(Evidence.AtLeast(Gain(CabPattern.NoncausalCross), 0.1, "", "accuracy beyond chance, questions side by side"), Evidence.AtLeast(Gain(CabPattern.CausalCross), 0.1, "", "token by token"));
    }

    [Claim("In text, attention is worth at least 0.1 nats, local attention does not find needles, and loss falls with context up to the trained length but is higher at four times that with learned positions")]
    public static Evidence Language(ClaimRun run)
    {
        var task = Task(run, CabPattern.CausalSelf); var scores = Of(run, CabPattern.CausalSelf);
        var trained = new DecoderModel(CabTask.Config(CabTask.Text(run.Rng["table"]).Vocabulary), Trained(run, task, Softmax).Weights);
        double At(int length, int seen) => CabRuns.LastPlaces(run, trained, CabTask.Text(run.Rng["table"], length), seen);
        double Metric(CabModel m, string name) => m.Measure(run.Rng["held out"]).Single(x => x.Name == name).Value;
        double vanilla = scores.Metrics[Softmax]![0].Value, none = Metric(Trained(run, task, run.Ablated ? "softmax" : "nothing", run.Ablated ? ModelConfig.Softmax : (_, _, _) => new NoMixing()), "loss");
        double half = At(128, 64), full = At(128, 128), far = At(512, 512);
        return Evidence.All(Evidence.AtLeast(none - vanilla, 0.1, "nats", $"loss without attention beyond softmax ({vanilla:f3})"),
            Evidence.AtLeast(scores.Metrics[Softmax]![1].Value - scores.Metrics[Local]![1].Value, 0.1, "", $"recall of softmax ({scores.Metrics[Softmax]![1].Value:f2}) beyond local"),
            Evidence.AtLeast(half - full, 0.01, "nats", $"loss of the last 32 places with 64 tokens beyond that with 128 ({full:f3})"), Evidence.AtLeast(far - full, 0.05, "nats", "with 512 beyond that with 128"));
    }

    /// <summary>By multiply-adds, which say the same on a busy machine; the command measures seconds. At the longest length seconds are compared as well.</summary>
    [Claim("Local attention and ABC are cheaper than softmax from a length below 8,192 on; a parabola and lines explain the costs, and costs at twice the length confirm the order")]
    public static Evidence Efficiency(ClaimRun run)
    {
        int[] lengths = [256, 512, 1024, 2048, 4096, 8192]; string[] names = ["softmax", "neighbourhood", run.Ablated ? "softmax" : "abc"];
        Tensor X(int n) => Tensor.Normal(run.Rng["x"], [1, n, 64]);
        Attention Layer(string name, int n) => Mechanism.Find(name).New(CabChecks.Config(false, n), Weights.Random(new Rng(1)));
        double Cost(string name, int n) { using var scope = Scope.NoGrad(); var x = X(n); var layer = Layer(name, n); return Work.Count(() => layer.Forward(x, Pass.Eval)); }
        CostCurve Curve(string name, bool quadratic) => CostCurve.Fit([.. lengths.Select(n => ((double)n, Cost(name, n)))], quadratic);
        var vanilla = Curve("softmax", true); var parts = new List<Evidence> { Evidence.AtLeast(vanilla.R2, 0.95, "", "R² of the parabola of softmax") }; var far = X(8192);
        Action Forward(string name) { var layer = Layer(name, 8192); return () => { using var scope = Scope.NoGrad(); layer.Forward(far, Pass.Eval); }; }
        double[] seconds = Trials.Fastest(run, 3, [.. names.Select(Forward)]);
        for (int i = 1; i < 3; i++)
        {
            var line = Curve(names[i], false); double length = line.EfficiencyLength(vanilla) ?? double.PositiveInfinity; int twice = (int)Math.Clamp(2 * length, 256, 8192);
            parts.AddRange([Evidence.AtLeast(line.R2, 0.95, "", $"R² of the line of {names[i]}"), Evidence.AtMost(length, 8192, "tokens", $"efficiency length of {names[i]}"), Evidence.AtMost(Cost(names[i], twice) / Cost("softmax", twice), 1, "", $"multiply-adds over softmax at {twice} tokens"), Evidence.AtMost(seconds[i] / seconds[0], 1, "", "seconds at 8,192 tokens")]);
        }
        return Evidence.All(parts);
    }
}
