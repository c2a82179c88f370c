using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Three-layer byte models of 96 channels and 8 heads on grammar text with recall lines: all heads, MoH with three quarters of them (3 shared, 3 of 5 chosen), six fixed heads, and MoH without its
/// balance loss; same steps and batches. Losses are means over eight models of each kind, of other keys and other batches. Ablated: heads are not chosen, the first six are always on and the others
/// are computed and thrown away; and there is no balance loss.
/// </summary>
[Paper("moh")]
public static class Moh
{
    const int Heads = 8, Shared = 3, Routed = 5, Top = 3, Length = 96, Steps = 600, Models = 8;
    static readonly ModelConfig Small = new(256, 96, 3, Heads) { Hidden = 128, Length = Length };
    static readonly GrammarText Text = new(Length);

    /// <summary>The first six heads alone; the outputs of the others count as zero.</summary>
    sealed class SixHeads(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
    {
        protected override Tensor Finish(Tensor y, Tensor x, Pass pass)
        {
            var mask = Tensor.Zeros([y.Shape[2]]);
            mask.Span[..(y.Shape[2] / Heads * (Shared + Top))].Fill(1);
            return y * mask;
        }
    }
    static DecoderModel All(ClaimRun run, int number = 0) => Train(run, "all", number);
    static DecoderModel Six(ClaimRun run, int number) => Train(run, "six", number, (_, c, w) => new SixHeads(c, w));
    static DecoderModel Mixed(ClaimRun run, int number) => run.Ablated ? Six(run, number) : Chosen(run, 0.01, number);
    static DecoderModel Chosen(ClaimRun run, double balance, int number = 0) => Train(run, "" + balance, number, (_, c, w) => new MohAttention(c, w, Shared, Top, balance));
    static DecoderModel Train(ClaimRun run, string kind, int number, Mixer? mixer = null) => SmallRuns.Train(run, $"moh-{kind}-{number}", Small, Text, Steps, 8, 2e-3, mixer, number: number);

    [Claim("With all heads on and gates of one, it is multi-head attention; rows that are not chosen cost nothing and change nothing", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        var c = new AttentionConfig(64, Heads, Position: new Rope()); var x = Tensor.Normal(run.Rng["x"], [1, 256, 64]); var w = Weights.Random(run.Rng["weights"]);
        Attention mha = new SoftmaxAttention(c, w), tuned = new MohTunedAttention(c, w, Heads, 0), moh = run.Ablated ? new SixHeads(c, w) : new MohAttention(c, w, Shared, Top);
        double same = SmallRuns.Apart(mha.Forward(x, Pass.Eval).Span, tuned.Forward(x, Pass.Eval).Span), sparse = SmallRuns.Apart(moh.Forward(x, Pass.Eval).Span, moh.Forward(x, new Pass { Reference = true }).Span);
        // Scores alone: what one active head more costs, so that projections and routers do not count.
        Tensor q = Tensor.Normal(run.Rng["q"], [1, Heads, 1024, 16]), k = Tensor.Normal(run.Rng["k"], [1, Heads, 1024, 16]); var open = new bool[Heads * 1024];
        for (int i = 0; i < open.Length; i++) open[i] = run.Ablated || i / 1024 < Shared || run.Rng["open"].Uniform(i) < (double)Top / Routed;
        long work = Work.Count(() => ActiveRows.Attend(q, k, k, open, true)), dense = Work.Count(() => ActiveRows.Attend(q, k, k, [.. open.Select(_ => true)], true));
        return Evidence.All(Evidence.AtMost(same, 1e-5, "", "largest difference from multi-head attention"), Evidence.AtMost(sparse, 1e-5, "", "chosen rows from masked dense attention"),
            Evidence.AtMost((double)work / dense, 1.05 * (Shared + Top) / Heads, "", "multiply-adds of scores and values over dense ones; three quarters of the rows are on"));
    }

    /// <summary>
    /// Not shown: that it is better. The catalogue also asks for no more loss than six fixed heads. Heads hardly matter to a model of this size (six fixed ones lose as much as all, to within
    /// 0.005 nats in the mean, with 32 to 96 channels in two or three layers), so there is nothing for the choice to win; what is asked is that it costs at most 0.01. A single model can cost more: eight pairs of
    /// two calibration seeds were from 0.000 better to 0.017 worse than all heads, 0.005 worse in the mean with a standard deviation of 0.006; hence means of eight, each with a key and batches of its
    /// own. Means of models of 64 channels were 0.004 to 0.010 after 600 to 1,500 steps.
    /// </summary>
    [Claim("With three quarters of its heads it predicts to within 0.01 nats of all of them and of six fixed ones, mean of eight models")]
    public static Evidence Loss(ClaimRun run)
    {
        var held = SmallRuns.HeldOut(run, Text, 16, 16).ToList(); double Of(Func<ClaimRun, int, DecoderModel> model) => SmallRuns.Mean(Models, m => model(run, m), m => SmallRuns.Loss(m, held));
        double all = Of(All), six = Of(Six), moh = Of(Mixed);
        return Evidence.All(Evidence.AtMost(moh - all, 0.01, "nats", $"held-out loss beyond all heads ({all:f3})"), Evidence.AtMost(moh - six, 0.01, "nats", $"beyond six fixed heads ({six:f3})"));
    }

    [Claim("The balance loss spreads tokens over the routed heads, and lines of different kinds use different heads")]
    public static Evidence Usage(ClaimRun run)
    {
        var (load, apart) = Use(run, Chosen(run, run.Ablated ? 0 : 0.01)); var (free, _) = Use(run, Chosen(run, 0));
        return Evidence.All(Evidence.AtMost(load, 1.6, "", "busiest routed head over the mean"), Evidence.AtLeast(free - load, 0.1, "", $"the same without balance loss ({free:f2}), beyond it"),
            Evidence.AtLeast(apart, 0.05, "", "Jensen–Shannon distance of head usage, sentences and notes, in the layer where it is largest"));
    }

    // The largest load over all layers, and the largest distance of usage.
    static (double Load, double Apart) Use(ClaimRun run, DecoderModel model)
    {
        var text = Text.Batch(run.Rng["usage"], 0, 32); string[] names = [.. Enumerable.Range(0, Small.Layers).Select(l => $"blocks.{l}.attn.gate")]; var capture = new Capture(names);
        using (Scope.NoGrad()) model.Forward(text.Inputs, text.Size, new Pass { Probe = capture });
        double load = 0, apart = 0; bool[] note = Notes(text);
        foreach (string name in names)
        {
            var gates = capture[name]; var used = new double[2, Routed]; double[] all = new double[Routed], total = new double[2];
            for (int b = 0; b < text.Size; b++) for (int h = 0; h < Routed; h++) for (int i = 0; i < Length; i++)
            {
                if (gates.Span[(b * Heads + Shared + h) * Length + i] == 0) continue;
                int kind = note[b * Length + i] ? 1 : 0; used[kind, h]++; total[kind]++; all[h]++;
            }
            load = Math.Max(load, all.Max() / all.Average());
            double js = 0;
            for (int h = 0; h < Routed; h++)
            {
                double p = used[0, h] / total[0], q = used[1, h] / total[1], m = (p + q) / 2;
                js += (p > 0 ? p * Math.Log2(p / m) : 0) / 2 + (q > 0 ? q * Math.Log2(q / m) : 0) / 2;
            }
            apart = Math.Max(apart, Math.Sqrt(Math.Max(0, js)));
        }
        return (load, apart);
    }

    // Lines that begin with "note" or "recall" keep and ask for values; the others are sentences.
    static bool[] Notes(Batch text)
    {
        var y = new bool[text.Inputs.Length];
        for (int b = 0; b < text.Size; b++)
            for (int i = 0, start = 0; i < Length; i++)
            {
                y[b * Length + i] = text.Input(b)[start] is 'n' or 'r';
                if (text.Input(b)[i] == '\n') start = i + 1;
            }
        return y;
    }

    [Claim("A trained multi-head attention continues as a mixture of heads with three quarters of them, without a router to learn")]
    public static Evidence Tuned(ClaimRun run)
    {
        var held = SmallRuns.HeldOut(run, Text, 8, 16).ToList(); double all = SmallRuns.Loss(All(run), held);
        var trained = run.Trained("moh-all-0", () => throw new InvalidOperationException("trained above")); var copy = Weights.From(trained.All.ToDictionary(p => p.Key, p => Tensor.From(p.Value.Span, p.Value.Shape)));
        Mixer tuned = run.Ablated ? (_, c, w) => new SixHeads(c, w) : (_, c, w) => new MohTunedAttention(c, w, 4, 2, straightThrough: true);
        double after = SmallRuns.Loss(SmallRuns.Train(run, "moh-tuned" + (run.Ablated ? "-six" : ""), Small, Text, 50, 8, 1e-3, tuned, copy), held);
        var counts = new double[256]; foreach (var b in held) foreach (int t in b.Targets) counts[t]++;
        double sum = counts.Sum(), unigram = -counts.Where(n => n > 0).Sum(n => n / sum * Math.Log(n / sum));
        return Evidence.AtLeast((unigram - after) / (unigram - all), 0.95, "", $"share of the loss reduction over unigrams ({unigram:f2} nats) that is left after 50 steps");
    }
}
