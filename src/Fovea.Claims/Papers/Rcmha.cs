using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Two-layer models on an order-3 grammar with copied motifs, 128 symbols long: attention with absolute sinusoids, with convolutions, with relative scores, and with both. The wider feed-forward part of the smaller ones makes up for
/// their missing parameters. With absolute sinusoids alone a model of this size hardly gets beyond how often symbols occur, so that the distance to it says little. The relative forms find the order of the grammar suddenly, at steps that
/// differ from key to key, and about one model in ten not at all within these. With eight symbols and embeddings from 0.02 that takes 400 to 800 steps and more, where which of them is ahead is chance, and when all have found it (from 0.6,
/// 1,400 steps) they are alike (0.682); with five symbols both together are 0.011 ahead on one seed and alike on three (0.71). The paper's saving of memory does not follow from its equations; it is measured and bounded, not required.
/// Ablated: plain attention in place of both.
/// </summary>
[Paper("rcmha")]
public static class Rcmha
{
    const int Length = 128, Dim = 48, Steps = 800, Models = 5, Symbols = 5;
    static readonly MotifText Text = new(Length, Symbols);
    /// <summary>Sinusoids as large as embeddings are when training begins; larger ones drown them.</summary>
    sealed class SmallSines(int dim) : TokenPositions { public override Tensor Apply(Tensor x, int start) => new SinusoidalPositions(dim).Apply(x * 50, start) * (Real)0.02; }
    static bool Relative(string kind) => kind is "rmha" or "rcmha";
    static ModelConfig Config(string kind)
    {
        var c = new ModelConfig(Text.Vocabulary, Dim, 2, 4) { Length = Length, Hidden = 96, Position = null, TokenPositions = Relative(kind) ? null : (_, _, d) => new SmallSines(d) };
        // Three numbers per channel of the feed-forward part make up for those of a layer.
        return c with { Hidden = 96 + (int)Math.Round((Parameters("rcmha", c) - Parameters(kind, c)) / (2.0 * 3 * Dim)) };
    }
    static long Parameters(string kind, ModelConfig c) { var w = Weights.Random(new Rng(1)); _ = new DecoderModel(c, w, Kind(kind)); return w.Count; }
    static Mixer Kind(string kind) => (_, c, w) => kind == "mha" ? new SoftmaxAttention(c, w) : new RcmhaAttention(c, w, convolve: kind != "rmha", relative: Relative(kind));
    // The middle one: a model that has not found the grammar tells of chance and not of its form.
    static double Median(ClaimRun run, string kind, Func<DecoderModel, double> measure)
    {
        double[] all = [.. Enumerable.Range(0, kind == "mha" ? 1 : Models).Select(i => measure(SmallRuns.Train(run, $"rcmha-{kind}-{i}", Config(kind), Text, Steps, 16, 4e-3, Kind(kind), SmallRuns.Embedded(run, i, Config(kind)), i)))];
        Array.Sort(all); return all[all.Length / 2];
    }
    static string Ours(ClaimRun run) => run.Ablated ? "mha" : "rcmha";

    [Claim("The fused scores are the shifted ones and those are gathered vector by vector, with gradients; token by token it gives what it gives at once, and later tokens change nothing", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        const int n = 70, dim = 32; var c = new AttentionConfig(dim, 4); var w = Weights.Random(run.Rng["w"]); Attention layer = new RcmhaAttention(c, w);
        // Biases away from zero, so that they count.
        foreach (string name in (string[])["content_bias", "position_bias"]) run.Rng[name].Normal(w.All[name].Span, (Real)0.5);
        if (run.Ablated) w.All["position_bias"].Span.Fill(0);
        var (o, g) = Forms.FusedAndPlain(run.Rng, layer, n, dim); var (decoded, _) = Forms.Decoded(run.Rng, layer, n, dim);
        var x = Trials.Draw(run.Rng["x"], [1, n, dim]); var whole = layer.Forward(x, Pass.Eval); double naive = Trials.Difference(Trials.Wide(whole.Span), Naive(run, w, x, n, dim, c.HeadDim)), leak = 0;
        var before = whole.Rows(0, 40); for (int i = 40 * dim; i < n * dim; i++) x.Span[i] += 3;
        leak = SmallRuns.Apart(before.Span, layer.Forward(x, Pass.Eval).Rows(0, 40).Span);
        return Evidence.All(Evidence.AtMost(o, 1e-5, "", "fused from shifted"), Evidence.AtMost(g, 1e-4, "", "gradients"), Evidence.AtMost(naive, 1e-5, "", "from the formula in float64"), Evidence.AtMost(decoded, 1e-4, "", "token by token from the whole"), Evidence.AtMost(leak, 0, "", "what later tokens change"));
    }

    // The layer as the formula says; the biases are the run's, whatever the layer holds.
    static double[] Naive(ClaimRun run, Weights w, Tensor x, int n, int dim, int d)
    {
        double[] P(string name) => Trials.Wide(w.All[name].Span); Real[] gamma = new Real[dim]; run.Rng["position_bias"].Normal(gamma, (Real)0.5);
        double[] Project(string name, double[] u, int rows) { double[] m = P(name), y = new double[rows * dim]; for (int i = 0; i < rows * dim; i++) for (int c = 0; c < dim; c++) y[i] += m[i % dim * dim + c] * u[i / dim * dim + c]; return y; }
        double[] Convolved(string name)
        {
            double[] u = Project(name + "_proj.weight", Trials.Wide(x.Span), n), taps = P(name + "_conv.weight"), y = new double[n * dim];
            for (int i = 0; i < n * dim; i++) { y[i] = P(name + "_conv.bias")[i % dim]; for (int r = 0; r < 3 && i / dim >= r; r++) y[i] += taps[i % dim * 3 + 2 - r] * u[i - r * dim]; }
            return y;
        }
        double[] q = Convolved("q"), k = Convolved("k"), v = Convolved("v"), beta = P("content_bias"), sines = new double[n * dim], o = new double[n * dim];
        for (int i = 0; i < n * dim; i++) { double angle = i / dim * Math.Pow(10000, -2.0 * (i % dim / 2) / dim); sines[i] = i % 2 == 0 ? Math.Sin(angle) : Math.Cos(angle); }
        double[] r2 = Project("r_proj.weight", sines, n);
        for (int h = 0; h < dim / d; h++)
            for (int i = 0; i < n; i++)
            {
                double[] p = [.. Enumerable.Range(0, i + 1).Select(j => Math.Exp(Enumerable.Range(h * d, d).Sum(c => (q[i * dim + c] + beta[c]) * k[j * dim + c] + (q[i * dim + c] + gamma[c]) * r2[(i - j) * dim + c]) / Math.Sqrt(d)))];
                for (int j = 0; j <= i; j++) for (int c = h * d; c < (h + 1) * d; c++) o[i * dim + c] += p[j] / p.Sum() * v[j * dim + c];
            }
        return Project("o_proj.weight", o, n);
    }

    /// <remarks>With 256 tokens and convolutions built of shifted copies it is 1.22; what they hold grows with the length, and the matrix with its square.</remarks>
    [Claim("In the shifted form it holds little more than relative attention alone: 512 tokens, forward and backward", Quick = true)]
    public static Evidence Memory(ClaimRun run)
    {
        long Peak(string kind, bool shifted) { var layer = Kind(kind)(0, new(64, 4), Weights.Random(run.Rng["w"])); var x = Trials.Draw(run.Rng["x"], [1, 512, 64]); return Diagnostics.PeakBytes(Trials.Step(run.Rng["g"], () => layer.Forward(x, new Pass { Training = true, Reference = shifted }))); }
        double relative = Peak("rmha", true), both = Peak("rcmha", !run.Ablated), fused = Peak("rcmha", false);
        return Evidence.All(Evidence.AtMost(both / relative, 1.15, "", $"peak bytes over those of relative attention ({relative / 1e6:f1} MB)"), Evidence.AtMost(fused / relative, 1, "", "the same in the fused form, which has no matrix"));
    }

    [Claim("With both it predicts as well as with the better of the two, and better than with neither; at twice the length it loses less than with neither; medians of five models")]
    public static Evidence Predicts(ClaimRun run)
    {
        double Of(string kind) => Median(run, kind, m => SmallRuns.Accuracy(m, SmallRuns.HeldOut(run, Text, 8, 32))); double Twice(string kind) => Median(run, kind, m => SmallRuns.Loss(m, SmallRuns.HeldOut(run, new MotifText(2 * Length, Symbols), 4, 32)));
        double mha = Of("mha"), mdha = Of("mdha"), rmha = Of("rmha"), both = Of(Ours(run)), sizes = new[] { "mha", "mdha", "rmha" }.Max(k => Math.Abs(1 - Parameters(k, Config(k)) / (double)Parameters("rcmha", Config("rcmha"))));
        return Evidence.All(Evidence.AtLeast(both - Math.Max(mdha, rmha), -0.003, "", $"accuracy ({both:f3}) beyond convolutions ({mdha:f3}) and relative scores ({rmha:f3}) alone"), Evidence.AtLeast(both - mha, 0.015, "", $"beyond neither ({mha:f3})"),
            Evidence.AtMost(Twice(Ours(run)) - Twice("mha"), -0.01, "nats", "loss at 256 symbols beyond that with neither"), Evidence.AtMost(sizes, 0.01, "", "largest difference in parameters"));
    }
}
