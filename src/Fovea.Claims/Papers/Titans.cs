using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Memories that learn at test time beside short windows, on multi-query recall: four pairs at the start of the row, then keys alone. Two layers of 48 channels with windows of 8 everywhere, rows of 64 tokens; all models have the
/// same number of parameters to a tenth (the catalogue: windows of 32 and 256 tokens). Ablated: the memory takes no steps.
/// </summary>
[Paper("titans")]
static class TitansPaper
{
    const int Length = 64, Window = 8, Pairs = 4, Vocabulary = 16, Steps = 800;
    static double Rate(ClaimRun run) => run.Ablated ? 0 : 0.25;
    static MemoryTrial Draw(ClaimRun run, int layers, int n, double rate, bool momentum, double keep = 3) =>
        MemoryTrial.Draw(run.Rng["memory"], new DeepMemory(layers, 2), n, 12, 10, rate, momentum, keep);
    static TestTimeMemory Memory(int layers, int chunk) => new(new DeepMemory(layers, 2), new SquaredError(), new Fading(), chunk);
    // The control learns nothing.
    static MemoryGates Steps0(ClaimRun run, MemoryGates g) => run.Ablated ? g with { Rate = g.Rate * 0 } : g;
    static double[] Twice(double[] error, double limit) => [.. error.Select(x => 2 * x)];

    [Claim("with one matrix, no momentum and chunks of one token it is the gated delta rule M ← M((1−α)I − 2θkkᵀ) + 2θvkᵀ, to 1e-5", Quick = true)]
    static Evidence DeltaRule(ClaimRun run)
    {
        const int n = 150; var t = Draw(run, 1, n, 1, false); var g = t.Gates; var y = Memory(1, 1).Run(t.Q, t.K, t.V, Steps0(run, g), t.Start).Y; double worst = 0; int d = t.K.Shape[2], e = t.V.Shape[2];
        for (int r = 0; r < 2; r++)
        {
            double[] m = Trials.Wide(t.First[0].Span.Slice(r * d * e, d * e));
            for (int i = 0; i < n; i++)
            {
                int at = r * n + i; double keep = Math.Exp(g.LogKeep.Span[at]), theta = g.Rate.Span[at];
                for (int a = 0; a < e; a++)
                {
                    double said = 0, answer = 0; for (int b = 0; b < d; b++) said += m[a * d + b] * t.K.Span[at * d + b];
                    for (int b = 0; b < d; b++) { m[a * d + b] = keep * m[a * d + b] - 2 * theta * (said - t.V.Span[at * e + a]) * t.K.Span[at * d + b]; answer += m[a * d + b] * t.Q.Span[at * d + b]; }
                    worst = Math.Max(worst, Math.Abs(answer - y.Span[at * e + a]));
                }
            }
        }
        return Evidence.AtMost(worst, 1e-5, note: "largest difference");
    }

    [Claim("chunks are the loop with gradients at the chunk's start, with momentum and forgetting, for one and two matrices, to 1e-4; pieces of a text give what the whole gives, gradients too; gates of 1e-8 leave everything finite over 4,096 tokens", Quick = true)]
    static Evidence Chunks(ClaimRun run)
    {
        double loop = 0, pieces = 0, gradients = 0, finite = 0;
        foreach (var (layers, chunk, keep) in new[] { (1, 16, 3.0), (2, 16, 3.0), (2, 7, 0.0), (2, 32, -18.0) })
        {
            var t = Draw(run, layers, 100, 0.06, true, keep); var memory = Memory(layers, chunk);
            loop = Math.Max(loop, Trials.Difference(Trials.Wide(memory.Run(t.Q, t.K, t.V, Steps0(run, t.Gates), t.Start).Y.Span), NaiveMemory.Run(t.Q, t.K, t.V, t.Gates, t.First, chunk, Twice).Y));
            var (y, d) = t.Both(run.Rng, () => t.Run(memory)); var (parts, dParts) = t.Both(run.Rng, () => t.Run(memory, 5, 48, 49, 81));
            pieces = Math.Max(pieces, Trials.Difference(y, parts)); gradients = Math.Max(gradients, Trials.Difference(d, dParts) / Math.Max(1, d.Max(Math.Abs)));
        }
        foreach (double keep in (double[])[-18.4, 8])
        {
            var t = Draw(run, 2, 4096, 0.03, true, keep); var (y, d) = t.Both(run.Rng, () => t.Run(Memory(2, 64)));
            finite = Math.Max(finite, y.Concat(d).Max(x => double.IsFinite(x) ? 0 : 1.0));
        }
        return Evidence.All(Evidence.AtMost(loop, 1e-4, note: "loop"), Evidence.AtMost(pieces, 1e-4, note: "pieces"), Evidence.AtMost(gradients, 1e-4, note: "gradients of pieces, relative"), Evidence.AtMost(finite, 0, note: "numbers that are not finite"));
    }

    [Claim("gradients of the outer loss through the inner descent agree with finite differences, two matrices", Quick = true)]
    static Evidence Gradients(ClaimRun run)
    {
        var t = Draw(run, 2, 40, 0.06, true);
        return Evidence.AtMost(t.Differences(run.Rng, () => t.Run(Memory(2, 16))), 1e-2, note: "largest relative error along a direction");
    }

    static readonly ModelConfig Small = new(Vocabulary, 48, 2, 2) { Hidden = 64, Length = Length };
    sealed class WindowAndLinear(AttentionConfig c, Weights w) : Attention
    {
        readonly SlidingWindowAttention window = new(c, w["window"], Window); readonly LinearAttention linear = new(c, w["linear"]);
        public override Tensor Forward(Tensor x, Tensor context, Pass pass) => window.Forward(x, pass) + linear.Forward(x, pass);
    }
    static Mixer Mix(string kind, ClaimRun run, bool momentum = true, bool forget = true) => kind switch
    {
        "mag" => (_, c, w) => new MagAttention(c, w, Window, 1, rate: Rate(run), momentum: momentum, forget: forget),
        "mac" => (_, c, w) => new MacAttention(c, w, 2 * Window, rate: Rate(run)),
        "linear" => (_, c, w) => new WindowAndLinear(c, w),
        _ => (_, c, w) => new SlidingWindowAttention(c, w, Window),
    };

    [Claim("state and work of a decoded token do not grow: bytes at token 4,000 over 400, and multiply-adds", Quick = true)]
    static Evidence Constant(ClaimRun run)
    {
        double work = 0, bytes = 0; using var scope = Scope.NoGrad();
        foreach (string kind in run.Ablated ? (string[])["softmax"] : ["mag", "mac"])
        {
            var config = Small.Attention(true); var w = Weights.Random(run.Rng["cost"]); Attention a = kind == "softmax" ? new SoftmaxAttention(config, w) : Mix(kind, run)(0, config, w);
            (double Work, double Bytes) At(int n)
            {
                var pass = new Pass { Memory = new() }; a.Forward(Tensor.Normal(run.Rng["x"], [1, n, 48]), pass);
                return (Work.Count(() => a.Forward(Tensor.Normal(run.Rng["y"], [1, 1, 48]), pass)), pass.Memory!.Bytes);
            }
            var (early, late) = (At(400), At(4000)); work = Math.Max(work, late.Work / early.Work); bytes = Math.Max(bytes, late.Bytes / early.Bytes);
        }
        return Evidence.All(Evidence.AtMost(work, 1.2, note: "multiply-adds"), Evidence.AtMost(bytes, 1, note: "bytes"));
    }

    /// <remarks>
    /// Of the variants MAG is trained, with a memory of one matrix per head. With two matrices it recalls 99.7% as well (seed 11), but on one seed of three it had not found the pairs after 400 steps (29.6%), and with one matrix on one seed of five (36.5%), hence 800; the catalogue has two
    /// matrices, and MAC beside it.
    /// </remarks>
    [Claim("pairs far out of reach of the windows are recalled: 30 points more often than with windows alone and 5 more than with linear attention beside them; in twice as long texts at most 15 points less often")]
    static Evidence Recalls(ClaimRun run)
    {
        DecoderModel Train(string kind, int hidden) => SmallRuns.Train(run, $"titans-{kind}{(run.Ablated && kind.StartsWith('m') ? "-still" : "")}", Small with { Hidden = hidden }, new Recall(Length, Pairs, Vocabulary), Steps, 16, 1e-2, Mix(kind, run));
        double Far(DecoderModel m, int length) => 100 * SmallRuns.Accuracy(m, SmallRuns.HeldOut(run, new Recall(length, Pairs, Vocabulary), 8, 16).Select(b =>
            new Batch(b.Inputs, [.. b.Targets.Select((x, i) => i % length < 2 * Pairs + 2 * Window ? -1 : x)], b.Size, b.Length)));
        double window = Far(Train("window", 184), Length), linear = Far(Train("linear", 120), Length); var mag = Train("mag", 64); double ours = Far(mag, Length), longer = Far(mag, 2 * Length);
        double Without(bool momentum, bool forget)
        {
            var model = new DecoderModel(Small, run.Trained($"titans-mag{(run.Ablated ? "-still" : "")}", () => throw new InvalidOperationException("trained above")), Mix("mag", run, momentum, forget));
            return Far(model, Length);
        }
        return Evidence.All(Evidence.AtLeast(ours - window, 30, "points", $"beyond windows alone ({window:f1}%)"), Evidence.AtLeast(ours - linear, 5, "points", $"beyond linear attention beside windows ({linear:f1}%)"),
            Evidence.AtLeast(longer - ours, -15, "points", $"change from {Length} to {2 * Length} tokens ({ours:f1}% to {longer:f1}%)"), Evidence.AtLeast(Without(false, true), 0, "%", "recall with momentum switched off in the trained model, for the record"),
            Evidence.AtLeast(Without(true, false), 0, "%", "the same with forgetting switched off"));
    }
}
