using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Two Mamba layers of 64 channels and 16 states on grammar text with recall lines. Outliers as of large models are made by a rescaling that changes nothing: 60 times as much after the gate on three channels of 128, and a sixtieth of their columns in
/// W_out. They are the channels of middle size: the channels of a model this small differ up to twentyfold in size by themselves, so that 60 times any of them was 10 to 350 times what the others are, and the cost anything from 0.02 to 0.6 nats. Ablated: the output is quantised as it is and
/// the scan's input by its largest number, the naive recipe, and a decoding step stays in full precision.
/// </summary>
[Paper("quamba")]
public static class QuambaPaper
{
    const int Length = 64, Steps = 500, Outlying = 3;
    static readonly ModelConfig Config = new(256, 64, 2, 1) { Length = Length, Position = null, FeedForward = (_, _, _) => new NoFeedForward() };
    static readonly ModelConfig Narrow = Config with { Dim = 32 };
    static readonly GrammarText Text = new(Length);
    static readonly Mixer Mamba = (_, c, w) => new MambaAttention(c, w);
    static Weights Copy(Weights w) => Weights.From(w.All.ToDictionary(p => p.Key, p => Tensor.From(p.Value.Span, p.Value.Shape)));
    // The model with outliers, on channels whose largest numbers in calibration text stand in the middle.
    static (DecoderModel Model, Weights Weights) WithOutliers(ClaimRun run, Weights trained)
    {
        var w = Copy(trained); var model = new DecoderModel(Config, w, Mamba);
        foreach (var layer in model.Blocks.Select(b => (MambaAttention)b.Mixer))
        {
            var o = layer.Product(MambaProduct.Out).Weight; var (c, width) = o.Shape; var gain = Tensor.Full([width], 1); var most = new Real[width];
            layer.Watch = (place, x) => { if (place == MambaPlace.Output) for (int i = 0; i < x.Shape.Size; i++) most[i % width] = Math.Max(most[i % width], Math.Abs(x.Span[i])); return x; };
            See(run, model); layer.Watch = null;
            foreach (int e in Enumerable.Range(0, width).OrderBy(e => most[e]).Skip((width - Outlying) / 2).Take(Outlying)) { gain.Span[e] = 60; for (int i = 0; i < c; i++) o.Span[i * width + e] /= 60; }
            layer.OutputGain = gain;
        }
        return (model, w);
    }
    static void See(ClaimRun run, DecoderModel model) { for (int i = 0; i < 8; i++) { using var scope = Scope.NoGrad(); var b = Text.Batch(run.Rng["calibration"], i, 8); model.Forward(b.Inputs, b.Size, Pass.Eval); } }
    static double Held(ClaimRun run, DecoderModel model) => SmallRuns.Loss(model, SmallRuns.HeldOut(run, Text, 6, 16));

    [Claim("The fast transform is the Hadamard matrix, orthonormal; folded into the output layer it changes nothing; integer products are exact; token by token Mamba gives what it gives at once, with a state that does not grow", Quick = true)]
    public static Evidence Exact(ClaimRun run)
    {
        var (fast, orthonormal) = QuambaRuns.HadamardErrors();
        var c = new AttentionConfig(48, 1); var mamba = new MambaAttention(c, Weights.Random(run.Rng["mamba"])); var input = Tensor.Normal(run.Rng["x"], [2, 70, 48]); var whole = mamba.Forward(input, Pass.Eval); var pass = new Pass { Memory = new() }; double step = 0; long bytes = 0;
        for (int t = 0; t < 70; t++) { step = Math.Max(step, SmallRuns.Apart(whole.Rows(t, t + 1).Span, mamba.Forward(input.Rows(t, t + 1), pass).Span)); if (t == 0) bytes = pass.Memory!.Bytes; }
        var w = Tensor.From(mamba.Product(MambaProduct.Out).Weight.Span, mamba.Product(MambaProduct.Out).Weight.Shape); Rotation.Transform(w.Span, w.Shape[0], w.Shape[1]);
        mamba.Replace(MambaProduct.Out, y => { var h = Tensor.From(y.Span, y.Shape); if (!run.Ablated) Rotation.Transform(h.Span, h.Shape.Size / h.Shape[-1], h.Shape[-1]); return h.MatMulT(w); });
        double folded = SmallRuns.Apart(whole.Span, mamba.Forward(input, Pass.Eval).Span); int wrong = QuambaRuns.WrongSums(run.Rng);
        return Evidence.All(Evidence.AtMost(fast, 1e-5, "", "from the matrix"), Evidence.AtMost(orthonormal, 1e-5, "", "its square from the identity"), Evidence.AtMost(folded, 1e-4, "", "folded from original outputs"), Evidence.AtMost(wrong, 0, "", "integer sums that differ"),
            Evidence.AtMost(step, 1e-4, "", "token by token"), Evidence.AtMost(pass.Memory!.Bytes - bytes, 0, "bytes", "growth of the state over 70 tokens"));
    }

    [Claim("With outliers in a few channels, W_out·y in eight bits has at most 0.3 of the error in Hadamard space", Quick = true)]
    public static Evidence Outliers(ClaimRun run)
    {
        const int rows = 64, k = 512, n = 64, draws = 8; double plain = 0, ours = 0;
        for (int draw = 0; draw < draws; draw++)
        {
            Tensor y = Tensor.Normal(run.Rng["y"][draw], [rows, k]), w = Tensor.Normal(run.Rng["w"][draw], [n, k]);
            for (int i = 0; i < y.Shape.Size; i++) if (i % k % 50 == 7) y.Span[i] *= 60;
            for (int i = 0; i < w.Shape.Size; i++) if (i % k % 50 == 7) w.Span[i] /= 60;
            var exact = y.MatMulT(w); Real[] turned = y.Span.ToArray(); Rotation.Transform(turned, rows, k);
            double Error(bool hadamard)
            {
                var got = new Int8Product(w, Math.Abs(System.Numerics.Tensors.TensorPrimitives.MaxMagnitude<Real>(hadamard ? turned : y.Span)), hadamard).Forward(y);
                return System.Numerics.Tensors.TensorPrimitives.Distance<Real>(got.Span, exact.Span) / System.Numerics.Tensors.TensorPrimitives.Norm<Real>(exact.Span);
            }
            plain += Error(false) / draws; ours += Error(!run.Ablated) / draws;
        }
        return Evidence.AtMost(ours / plain, 0.3, "", $"relative error in Hadamard space over that as it is ({plain:f3}), means of {draws} draws");
    }

    static Weights Trained(ClaimRun run, ModelConfig config, int steps, int number) => run.Trained($"quamba-{config.Dim}-{number}", () =>
    {
        var w = Weights.Random(run.Rng["weights"][number]); var model = new DecoderModel(config, w, Mamba);
        Trials.Train(run, $"mamba {number}", w, steps, 6e-3, (i, pass) => { var b = Text.Batch(run.Rng["train"][number], i, 8); return model.Loss(b.Inputs, b.Targets, b.Size, pass); });
        return w;
    });

    [Claim("Eight bits cost Quamba at most 0.3 of what they cost the naive recipe, and at most 0.03 nats; the Hadamard transform alone costs less than naive; the model takes at most 0.3 of its bytes")]
    public static Evidence Loss(ClaimRun run)
    {
        var trained = Trained(run, Config, Steps, 0); double original = Held(run, new DecoderModel(Config, trained, Mamba)), outliers = Held(run, WithOutliers(run, trained).Model); long bytes = 0;
        double Cost(double? percentile, bool hadamard)
        {
            var (model, w) = WithOutliers(run, trained); var recipe = new Quamba(model);
            recipe.Calibrate(() => See(run, model));
            bytes = recipe.Quantise(percentile, hadamard) + Quamba.RoundOthers(w);
            return Held(run, model) - original;
        }
        double naive = Cost(null, false), clip = Cost(99.99, false), hadamard = Cost(null, true), quamba = run.Ablated ? Cost(null, false) : Cost(99.99, true);
        return Evidence.All(Evidence.AtMost(Math.Abs(outliers - original), 1e-4, "nats", $"what the rescaling changes ({original:f3})"), Evidence.AtMost(quamba / naive, 0.3, "", $"loss that eight bits cost Quamba over naive ({naive:f3} nats; clipping alone {clip:f3})"),
            Evidence.AtMost(quamba, 0.03, "nats", "that they cost Quamba"), Evidence.AtMost(hadamard / naive, 1, "", "that they cost with the transform alone over naive"), Evidence.AtMost((double)bytes / (trained.Count * sizeof(Real)), 0.3, "", "bytes over full precision"));
    }

    /// <summary>What the scans of models this small read has hardly outliers to cut: at one of the percentiles the error is 0.8 to 1.1 times as large, differently from model to model, and four times where a model needs its largest numbers. So none of them is taken where that is best on calibration text, and it is the mean over four of 32 channels.</summary>
    [Claim("Cutting the largest numbers that the scan reads, at the percentile that is best on calibration text or not at all, lowers the error of what it writes on held-out text, mean of four models")]
    public static Evidence Clipping(ClaimRun run)
    {
        const int models = 4; double share = 0, all = 0; var chosen = new List<double>();
        for (int m = 0; m < models; m++)
        {
            var model = new DecoderModel(Narrow, Trained(run, Narrow, 300, m), Mamba); var recipe = new Quamba(model); recipe.Calibrate(() => See(run, model));
            double Error(string text, double? percentile) => Enumerable.Range(0, 4).Average(i => QuambaRuns.ScanError(model, recipe, Text.Batch(run.Rng[text], i, 16), percentile));
            double? best = Quamba.Percentiles.Select(p => (double?)p).Append(null).MinBy(p => Error("calibration", p)); double plain = Error("held out", null);
            chosen.Add(best ?? 100); all += plain / models; share += Error("held out", best) / plain / models;
        }
        return Evidence.AtMost(share, 1, "", $"error with percentiles {string.Join(", ", chosen)} over that with the largest number ({all:f4})");
    }

    [Claim("A decoding step of a layer of 768 channels takes at most 0.9 of the time in eight bits")]
    public static Evidence Speed(ClaimRun run)
    {
        var config = new ModelConfig(2, 768, 1, 1) { Position = null, FeedForward = (_, _, _) => new NoFeedForward() }; var w = Weights.Random(run.Rng["speed"]);
        (DecoderModel Model, Memory Memory) New() => (new(config, w, Mamba), new());
        var plain = New(); var eight = New(); var recipe = new Quamba(eight.Model);
        recipe.Calibrate(() => { using var scope = Scope.NoGrad(); eight.Model.Forward([0, 1, 1], 1, Pass.Eval); });
        if (!run.Ablated) recipe.Quantise(99.99);
        void Step((DecoderModel Model, Memory Memory) m) { for (int i = 0; i < 20; i++) { using var scope = Scope.NoGrad(); m.Model.Hidden([1], 1, new Pass { Memory = m.Memory }); } }
        double[] seconds = Trials.Fastest(run, 400, () => Step(plain), () => Step(eight));
        return Evidence.AtMost(seconds[1] / seconds[0], 0.9, "", $"eight bits over full precision ({seconds[0] * 50:f2} ms)");
    }
}
