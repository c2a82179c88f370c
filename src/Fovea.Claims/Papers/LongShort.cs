using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Two-layer models of 64 channels and 8 heads with sinusoidal positions on bigram-backcopy text, whose next token depends on the two before it: multi-head attention and one full with seven local heads of 8 tokens,
/// 1,536 tokens per step at lengths of 64 and 384. Ablated: all heads are full.
/// </summary>
[Paper("ls-attention")]
public static class LongShort
{
    const int Heads = 8, Width = 8, Steps = 250;
    static readonly ModelConfig Small = new(32, 64, 2, Heads) { Hidden = 128, Length = 384, Position = null, TokenPositions = (_, _, dim) => new SinusoidalPositions(dim) };
    static Attention Layer(ClaimRun run, AttentionConfig c, Weights w) => new LongShortAttention(c, w, run.Ablated ? Heads : 1, Width);

    [Claim("It is dense attention under a mask per head, forwards and backwards, and decodes as it trains", Quick = true)]
    public static Evidence Exact(ClaimRun run)
    {
        var layer = new LongShortAttention(new(64, Heads), Weights.Random(run.Rng["weights"]), 1, Width); var (o, g) = Forms.FusedAndPlain(run.Rng, layer, 150, 64); var (step, memory) = Forms.Decoded(run.Rng, Layer(run, new(64, Heads), Weights.Random(run.Rng["weights"])), 150, 64);
        return Evidence.All(Evidence.AtMost(o, 1e-4, "", "outputs"), Evidence.AtMost(g, 1e-4, "", "gradients"), Evidence.AtMost(step, 1e-5, "", "token by token"),
            Evidence.AtMost(Math.Abs(memory.Bytes - (150 + (Heads - 1.0) * (Width - 1)) * 2 * (64 / Heads) * sizeof(Real)), 0, "bytes", "of the cache away from H_full·T + (H − H_full)(c − 1) tokens"));
    }

    [Claim("At 4,096 tokens a decoded token costs at most half of what multi-head attention asks for", Quick = true)]
    public static Evidence Cost(ClaimRun run)
    {
        long Token(Mixer mixer)
        {
            var model = new DecoderModel(Small with { Length = 8192 }, Weights.Random(run.Rng["cost"]), mixer); var memory = new Memory();
            using var scope = Scope.NoGrad();
            model.Forward(new int[4096], 1, new Pass { Memory = memory });
            return Work.Count(() => model.Forward([1], 1, new Pass { Memory = memory }));
        }
        return Evidence.AtMost((double)Token((_, c, w) => Layer(run, c, w)) / Token(ModelConfig.Softmax), 0.5, "", "multiply-adds of a token");
    }

    sealed class Largest : IProbe
    {
        readonly double[] heads = new double[Heads];
        public double Of(int count) => heads.Take(count).Max();
        public bool Wants(Site site) => site.Part == Part.Scores;
        public Tensor Visit(Site site, Tensor x)
        {
            int part = x.Shape[2] * x.Shape[3];
            for (int i = 0; i < x.Shape.Size; i++) if (Real.IsFinite(x.Span[i])) heads[i / part % Heads] = Math.Max(heads[i / part % Heads], Math.Abs(x.Span[i]));
            return x;
        }
    }
    sealed record Curve(double Logit, double Loss, int Spikes);

    // The largest |logit| of full heads is looked at every 25 steps, on one held-out row.
    static Curve Train(ClaimRun run, bool split, int length, double rate) => run.Fixture($"ls-{split && !run.Ablated}-{length}-{rate}", () =>
    {
        var data = new BigramBackcopy(run.Rng["table"], length, 32, 8); var w = Weights.Random(run.Rng["weights"]); bool local = split && !run.Ablated; var largest = new Largest();
        var model = new DecoderModel(Small, w, local ? (_, c, x) => Layer(run, c, x) : ModelConfig.Softmax); var seen = data.Batch(run.Rng["seen"], 0, 1);
        var losses = Trials.Train(run, $"{(local ? "split" : "dense")} {length} {rate}", w, Steps, rate, (i, pass) =>
        {
            if (i % 25 == 24) using (Scope.NoGrad()) model.Forward(seen.Inputs, 1, new Pass { Probe = largest });
            var b = data.Batch(run.Rng["train"], i, 1536 / length);
            return model.Loss(b.Inputs, b.Targets, b.Size, pass);
        }, decay: 0.01);
        int spikes = 0;
        for (int i = 50; i < losses.Length; i++) { var past = losses[(i - 30)..i]; double mean = past.Average(), sigma = Math.Sqrt(past.Average(x => (x - mean) * (x - mean))); if (losses[i] > mean + 5 * sigma) spikes++; }
        return new Curve(largest.Of(local ? 1 : Heads), losses[^30..].Average(), spikes);
    });

    /// <remarks>
    /// Not reproduced so far. The bounds are the catalogue's. In calibration (seed 11, rate 1e-2) the split heads ended 0.15 nats (counting spikes) better, but the largest |logit| of multi-head attention was 0.44 of
    /// that of the full head, and grew less with the length (1.77 less).
    /// Order-3 text with motifs of one symbol (seed 31, rate 1e-2): after 400 steps the ratio is 3.1, 2.3 and 2.1 with 8, 5 and 4 symbols, but the losses are only 0.002, 0.046 and 0.013 apart, as neither model has learned the text yet; with 5 symbols the split heads
    /// end 0.09 nats better after 450 steps and 0.44 after 600, but the ratio is 0.81 and 1.31. Bigram-backcopy with a weight decay of 0.5: ratio 1.65, losses 0.005 apart. Wherever rows of 64 were trained as well, multi-head attention grew less with the length (by 0.17 to 0.6).
    /// The precondition of the next claim is met without positions (500 steps, 96 questions along the row, no filler asked for): both find all far needles on seeds 31 to 33; with sinusoidal positions neither finds any.
    /// </remarks>
    [Claim("With long rows and a high rate the logits of full heads grow less than those of multi-head attention, and the loss stays lower")]
    public static Evidence Stability(ClaimRun run)
    {
        const double high = 1e-2; Curve dense = Train(run, false, 384, high), split = Train(run, true, 384, high), denseShort = Train(run, false, 64, high), splitShort = Train(run, true, 64, high);
        return Evidence.All(Evidence.AtLeast(dense.Logit / split.Logit, 1.5, "", $"largest |logit| of multi-head attention ({dense.Logit:f1}) over that of the full head ({split.Logit:f1})"),
            Evidence.AtLeast(Math.Max(dense.Loss - split.Loss, 0.05 * (dense.Spikes - split.Spikes)), 0.05, "nats", $"final loss ({dense.Loss:f3}, {dense.Spikes} spikes) beyond that of the split heads ({split.Loss:f3}, {split.Spikes} spikes); one spike more counts as 0.05"),
            Evidence.AtLeast(dense.Logit / denseShort.Logit - split.Logit / splitShort.Logit, 0, "", "growth of the largest |logit| from rows of 64 to rows of 384, beyond that of the split heads"));
    }

    [Claim("One full head keeps the long range: needles 90 to 110 tokens back")]
    public static Evidence LongRange(ClaimRun run)
    {
        MarkedText text = new(run.Rng["table"], 192, 1, 8, 8, spread: 32), far = new(run.Rng["table"], 192, 1, 8, 8, 90, 110);
        DecoderModel Train(string name, Mixer mixer) => SmallRuns.Train(run, "ls-needle-" + name, Small with { Vocabulary = text.Vocabulary }, text, 500, 8, 5e-3, mixer);
        double dense = S2.Needles(run, Train("dense", ModelConfig.Softmax), far), split = S2.Needles(run, run.Ablated ? Train("dense", ModelConfig.Softmax) : Train("split", (_, c, w) => Layer(run, c, w)), far);
        return Evidence.All(Evidence.AtLeast(dense, 0.8, "", "accuracy of multi-head attention (precondition)"), Evidence.AtLeast(split / dense, 0.95, "", "accuracy over that"));
    }
}
