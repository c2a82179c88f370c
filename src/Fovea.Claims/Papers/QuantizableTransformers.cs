using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Two-layer decoders on bigram-backcopy text, where heads have nothing to do at most tokens: softmax, clipped softmax and heads gated by their slice of the input; same steps and batches. The blocks here
/// normalise before attention and not after it as the catalogue asks. Eight bits are simulated at every place that a probe reaches. Ablated: softmax in place of both.
/// </summary>
[Paper("quantizable-transformers")]
public static class QuantizableTransformers
{
    const int Length = 64;
    static readonly ModelConfig Small = new(32, 64, 2, 2) { Hidden = 32, Tied = false, Length = Length };
    static BigramBackcopy Text(ClaimRun run) => new(run.Rng["table"], Length, 32, 6);
    static Mixer Clipped(ClaimRun run) => run.Ablated ? ModelConfig.Softmax : (_, c, w) => new ClippedSoftmaxAttention(c, w);
    static Mixer Gated(ClaimRun run) => run.Ablated ? ModelConfig.Softmax : (_, c, w) => new SliceGatedAttention(c, w);
    static (string Name, Mixer Mixer)[] Kinds(ClaimRun run) => [("softmax", ModelConfig.Softmax), (run.Ablated ? "softmax" : "clipped", Clipped(run)), (run.Ablated ? "softmax" : "gated", Gated(run))];

    sealed record Measured(double Loss, double Rounded, double Largest, double Kurtosis, double Zeros);
    static Measured Of(ClaimRun run, string name, Mixer mixer) => run.Fixture($"quantizable-{name}-measured", () =>
    {
        var text = Text(run); string key = "quantizable-" + name; var model = SmallRuns.Train(run, key, Small, text, 700, 16, 5e-3, mixer);
        string[] outs = [.. Enumerable.Range(0, Small.Layers).Select(l => $"blocks.{l}.attn.out")], patterns = [.. Enumerable.Range(0, Small.Layers).Select(l => $"blocks.{l}.attn.pattern")];
        var capture = new Capture([.. outs, .. patterns]); var b = text.Batch(run.Rng["measured"], 0, 32);
        using (Scope.NoGrad()) model.Forward(b.Inputs, b.Size, new Pass { Probe = capture });
        double largest = 0, kurtosis = 0; long zeros = 0, idle = 0;
        foreach (string o in outs)
        {
            double[] x = Trials.Wide(capture[o].Span); double mean = x.Average(), variance = x.Average(v => Math.Pow(v - mean, 2));
            largest += x.Max(Math.Abs) / outs.Length; kurtosis += x.Average(v => Math.Pow(v - mean, 4)) / (variance * variance) / outs.Length;
        }
        foreach (string p in patterns)
        {
            var x = capture[p];
            for (int r = 0; r < x.Shape.Size / Length; r++)
            {
                int i = r % Length, row = r / Length / Small.Heads;
                if (i < 8 || text.IsTrigger(b.Input(row)[i])) continue;
                for (int j = 0; j <= i; j++, idle++) if (x.Span[r * Length + j] == 0) zeros++;
            }
        }
        var w = run.Trained(key, () => throw new InvalidOperationException("trained above"));
        return new Measured(SmallRuns.Loss(model, SmallRuns.HeldOut(run, text, 8, 16)), Int8.Loss(run, Small, w, mixer, text), largest, kurtosis, (double)zeros / idle);
    });

    [Claim("With γ = 0 and ζ = 1 it is softmax; the fused kernel is the definition in float64, and its gradients are central differences", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        double[] Soft(double[] s) { double m = s.Max(), sum = s.Sum(x => Math.Exp(x - m)); return [.. s.Select(x => Math.Exp(x - m) / sum)]; }
        double low = -0.04; Func<double[], double[]> rule = s => [.. Soft(s).Select(p => Math.Clamp((1.1 - low) * p + low, 0, 1))];
        var (o, g) = NaiveRows.Errors(run.Rng["plain"], 2, 37, 16, 0.5, new ClippedSoftmax(0, 1), Soft); var (co, cg) = NaiveRows.Errors(run.Rng["clipped"], 2, 37, 16, 0.5, new ClippedSoftmax(run.Ablated ? 0 : (Real)low, (Real)1.1), rule);
        return Evidence.All(Evidence.AtMost(Math.Max(o, co), 1e-5, note: "outputs"), Evidence.AtMost(Math.Max(g, cg), 1e-3, note: "gradients, relative to the largest"));
    }

    [Claim("Whole rows cost little more than fused softmax: 1,024 tokens, four heads of 64")]
    public static Evidence Speed(ClaimRun run)
    {
        var (forward, both) = NaiveRows.Slower(run, new ClippedSoftmax((Real)(-4.0 / 1024), 1));
        return Evidence.All(Evidence.AtMost(forward, 1.3, "", "forward over fused softmax"), Evidence.AtMost(both, 1.3, "", "forward and backward"));
    }

    [Claim("Heads learn to do nothing: weights of exactly zero where there is nothing to copy, at no loss")]
    public static Evidence Zeros(ClaimRun run)
    {
        var kinds = Kinds(run); Measured plain = Of(run, kinds[0].Name, kinds[0].Mixer), clipped = Of(run, kinds[1].Name, kinds[1].Mixer), gated = Of(run, kinds[2].Name, kinds[2].Mixer);
        return Evidence.All(Evidence.AtLeast(clipped.Zeros, 0.3, "", "share of zeros, clipped"), Evidence.AtMost(plain.Zeros, 0.01, "", "softmax"),
            Evidence.AtMost(clipped.Loss - plain.Loss, 0.03, "nats", $"loss of clipped beyond softmax ({plain.Loss:f3})"), Evidence.AtMost(gated.Loss - plain.Loss, 0.03, "nats", "of gated"));
    }

    /// <summary>
    /// Not reproduced. The catalogue expects it: a softmax model of this size has a kurtosis of about 5 and no outliers to remove (10 was asked), eight bits cost it less than a thousandth of a nat, and the
    /// outputs of the other two, which write seldom, are even more peaked. Kept with the catalogue's bounds.
    /// Three post-norm layers on rows of 128 with two triggers (seed 31, 900 steps): kurtosis of attention outputs 13, clipped 25, gated 14; behind the residual 6.4, 3.8, 5.7, largest 3.8, 4.2, 3.2; eight bits cost 0.0004, 0.0010, 0.0006 nats.
    /// One trigger, a wider feed-forward part and 2,000 steps: 10, behind the residual 6.4, eight bits 0.0003 nats.
    /// </summary>
    [Claim("Outliers of attention outputs shrink, and eight bits cost less")]
    public static Evidence Outliers(ClaimRun run)
    {
        var kinds = Kinds(run); Measured plain = Of(run, kinds[0].Name, kinds[0].Mixer), clipped = Of(run, kinds[1].Name, kinds[1].Mixer), gated = Of(run, kinds[2].Name, kinds[2].Mixer);
        double Cost(Measured m) => m.Rounded - m.Loss;
        return Evidence.All(Evidence.AtLeast(plain.Kurtosis, 10, "", "kurtosis of softmax: outliers to remove"), Evidence.AtMost(clipped.Kurtosis / plain.Kurtosis, 0.7, "", "of clipped over softmax"), Evidence.AtMost(gated.Kurtosis / plain.Kurtosis, 0.7, "", "of gated"),
            Evidence.AtMost(clipped.Largest / plain.Largest, 0.7, "", $"largest output of clipped over softmax ({plain.Largest:f1})"), Evidence.AtMost(gated.Largest / plain.Largest, 0.7, "", "of gated"),
            Evidence.AtMost(Cost(clipped) / Cost(plain), 0.5, "", $"loss that eight bits cost, clipped over softmax ({Cost(plain):f4} nats)"), Evidence.AtMost(Cost(gated) / Cost(plain), 0.5, "", "gated"));
    }
}
