using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Multi-query associative recall of 16 pairs out of 48 keys and 48 values in rows of 48 tokens, by models of one short convolution and two more layers, 32 channels and one head. d' goes from 2 to 6, where
/// the catalogue has 4 to 16 and rows of 256 tokens. Embeddings start at 0.6 and not 0.02: from there every model learns within a few hundred steps on every seed, elu + 1 too. From 0.02 Taylor and softmax
/// learn as well (0.995 and 1.000 after 3,000 steps on seed 31), but elu + 1 with a state as large learns which values there are and not whose (0.10), which would flatter us. Ablated: elu + 1 takes the place of the Taylor map.
/// </summary>
[Paper("based")]
public static class Based
{
    static readonly Recall Pairs = new(48, 16, 96);
    static readonly ModelConfig Small = new(96, 32, 3, 1) { Hidden = 48, Length = 48 };
    const int Window = 8, Best = 6;

    static (double Recall, long Bytes) Train(ClaimRun run, string layout, int featureDim = 0, int number = 0)
    {
        // Neither map has positions, as in the paper.
        Mixer elu = (_, c, w) => new LinearAttention(c with { Position = null }, w);
        var mixer = Layouts.Of(layout, new Dictionary<char, Mixer>
        {
            ['c'] = (_, c, w) => new BaseConv(c, w),
            ['w'] = (_, c, w) => new SlidingWindowAttention(c, w, Window),
            ['s'] = ModelConfig.Softmax,
            ['e'] = elu,
            ['l'] = run.Ablated ? elu : (_, c, w) => new BasedAttention(c with { Position = null }, w, featureDim),
        });
        string name = run.Ablated ? layout.Replace('l', 'e') : layout + featureDim;
        var model = SmallRuns.Train(run, $"recall-{name}-{number}", Small, Pairs, 2000, 32, 1e-2, mixer, SmallRuns.Embedded(run, number, Small), number);
        var memory = new Memory();
        using (Scope.NoGrad()) model.Forward(new int[Pairs.Length], 1, new Pass { Memory = memory });
        return (SmallRuns.Accuracy(model, SmallRuns.HeldOut(run, Pairs, 4, 64)), memory.Bytes);
    }

    [Claim("Products of features are 1 + s + s²/2, and storing the symmetric half changes nothing", Quick = true)]
    public static Evidence Features(ClaimRun run)
    {
        double product = 0, half = 0; var s = new Real[16];
        for (int i = 0; i < 100; i++)
        {
            Tensor x = Tensor.Normal(run.Rng["x"][i], [1, 16]), y = Tensor.Normal(run.Rng["y"][i], [1, 16]);
            double dot = Inner(x, y) / 4, taylor = 1 + dot + dot * dot / 2, all = 1 + dot;
            for (int a = 0; a < 16; a++) for (int b = 0; b < 16; b++) all += x.Span[a] * x.Span[b] * y.Span[a] * y.Span[b] / (2.0 * 16);
            double found = run.Ablated ? Inner(x.EluPlusOne(), y.EluPlusOne()) : Inner(BasedAttention.Features(x), BasedAttention.Features(y));
            product = Math.Max(product, Math.Abs(found - taylor) / Math.Max(1, taylor)); half = Math.Max(half, Math.Abs(found - all) / Math.Max(1, all));
        }
        return Evidence.All(Evidence.AtMost(product, 1e-5, "", "largest relative difference"), Evidence.AtMost(half, 1e-5, "", "from the whole outer product"));
    }
    static double Inner(Tensor a, Tensor b) { double sum = 0; for (int i = 0; i < a.Shape.Size; i++) sum += (double)a.Span[i] * b.Span[i]; return sum; }

    [Claim("The quadratic, the chunked and the recurrent form of the hybrid agree", Quick = true)]
    public static Evidence Forms(ClaimRun run)
    {
        var model = new DecoderModel(Small with { Layers = 5, Heads = 2 }, Weights.Random(run.Rng["forms"]), Layouts.Based(4, Window)); int[] tokens = Pairs.Batch(run.Rng["text"], 0, 1).Inputs;
        var chunked = model.Forward(tokens, 1, Pass.Eval); double quadratic = SmallRuns.Apart(chunked.Span, model.Forward(tokens, 1, new Pass { Reference = true }).Span), step = 0;
        var memory = new Memory();
        for (int t = 0; t < tokens.Length; t += t == 0 ? 9 : 1)
            step = Math.Max(step, SmallRuns.Apart(chunked.Rows(t == 0 ? 0 : t, t == 0 ? 9 : t + 1).Span, model.Forward(tokens.AsSpan(t, t == 0 ? 9 : 1), 1, new Pass { Memory = memory }).Span));
        return Evidence.All(Evidence.AtMost(quadratic, 1e-4, "", "largest difference of logits, quadratic"), Evidence.AtMost(step, 1e-4, "", "nine tokens and then one by one"));
    }

    [Claim("Recall is governed by state size")]
    public static Evidence StateSize(ClaimRun run)
    {
        var found = new[] { 2, 3, 4, Best }.Select(d => Train(run, "clw", d)).ToList();
        return Evidence.AtLeast(Trials.RankCorrelation([.. found.Select(f => (double)f.Bytes)], [.. found.Select(f => f.Recall)]), 0.7, "",
            $"rank correlation of bytes {string.Join(", ", found.Select(f => f.Bytes))} and recall {string.Join(", ", found.Select(f => f.Recall.ToString("f2", System.Globalization.CultureInfo.InvariantCulture)))}");
    }

    /// <summary>
    /// What elu + 1 finds differs from key to key (0.39 to 0.90), so it and the hybrid are means of three models; softmax (0.995 to 1.000) and windows (0.04 to 0.06) are one each.
    /// The catalogue also compares with Taylor layers alone. The convolution does the local shift that the paper's window is for, so the hybrid without its window recalls as much (0.988 and 0.989 on seeds 31 and 32, where the hybrid has
    /// 0.990 twice); two Taylor layers of d' = 4 in less state than the hybrid find 0.87 and 0.93. That distance is d' and not the window, so it is not asked for.
    /// </summary>
    [Claim("The hybrid recalls as softmax attention does, and more than windows alone or elu + 1 features with a state as large")]
    public static Evidence Hybrid(ClaimRun run)
    {
        (double Recall, long Bytes) Mean(string layout, int featureDim = 0)
        {
            var found = Enumerable.Range(0, 3).Select(i => Train(run, layout, featureDim, i)).ToList();
            return (found.Average(f => f.Recall), found[0].Bytes);
        }
        var (based, bytes) = Mean("clw", Best); var elu = Mean("cew"); var softmax = Train(run, "css"); var window = Train(run, "cww"); double points = 100;
        return Evidence.All(
            Evidence.AtLeast(points * (based - softmax.Recall), -5, "points", $"recall of the hybrid ({based:f3}, {bytes} bytes) beyond softmax ({softmax.Bytes} bytes)"),
            Evidence.AtLeast(points * (based - window.Recall), 5, "points", $"beyond windows alone ({window.Bytes} bytes)"),
            Evidence.AtLeast(points * (based - elu.Recall), 5, "points", $"beyond elu + 1 in its place ({elu.Bytes} bytes)"));
    }

    [Claim("A token costs less than two thirds of what softmax attention with a key cache asks for after 2,048 tokens, and the same at every position", Quick = true)]
    public static Evidence Throughput(ClaimRun run)
    {
        var config = new ModelConfig(64, 128, 5, 8) { Hidden = 256 }; var prompt = new int[2048];
        (long Early, long Late) PerToken(Mixer mixer)
        {
            var model = new DecoderModel(config, Weights.Random(run.Rng["cost"]), mixer); var memory = new Memory();
            long Step(int[] tokens) { using var scope = Scope.NoGrad(); return Work.Count(() => model.Forward(tokens, 1, new Pass { Memory = memory })); }
            Step(prompt); long early = Step([1]); Step(prompt[..1022]);
            return (early, Step([1]));
        }
        // Multiply-adds and not seconds: they say the same on a machine that is busy with other things.
        var based = run.Ablated ? PerToken(ModelConfig.Softmax) : PerToken(Layouts.Based()); var softmax = PerToken(ModelConfig.Softmax);
        return Evidence.All(Evidence.AtLeast((double)softmax.Late / based.Late, 1.5, "", "multiply-adds of softmax over the hybrid at token 3,072"), Evidence.AtMost((double)based.Late / based.Early, 1, "", "hybrid at token 3,072 over token 2,049"));
    }
}
