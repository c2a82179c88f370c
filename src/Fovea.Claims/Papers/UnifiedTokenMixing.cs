using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// The template on eight mixers, what context is worth on two kinds of text, and distributed attention with workers that are threads and share messages only. Wall time is not compared: it would say how busy the machine is; multiply-adds of
/// the busiest worker are. Ablated: the matrix of every mixer is the one of dense softmax, workers do not merge but take the last block, and all contexts are 16 tokens.
/// </summary>
[Paper("unified-token-mixing")]
public static class UnifiedTokenMixing
{
    [Claim("Every mixer is a matrix times values: its fast form gives what the matrix gives; dense ones grow with the square of the length, local, strided, kernelised, low-rank, Fourier and scanned ones with the length", Quick = true)]
    public static Evidence Template(ClaimRun run)
    {
        double worst = 0, dense = double.PositiveInfinity, linear = 0; int mixers = 0;
        foreach (var (name, isLinear, make) in TokenMixingRuns.Mixers(run.Rng["mixers"]))
        {
            using var scope = Scope.NoGrad();
            Tensor Draw(string what, int n) => Tensor.Normal(run.Rng[what], [1, 2, n, 16]);
            foreach (int n in (int[])[70, 128])
            {
                var mixer = make(n); Tensor q = Draw("q", n), k = Draw("k", n), v = Draw("v", n), y = mixer.Forward(q, k, v); Real size = Math.Max(1, System.Numerics.Tensors.TensorPrimitives.MaxMagnitude<Real>(y.Span));
                worst = Math.Max(worst, SmallRuns.Apart(y.Span, (run.Ablated ? new DenseMixer() : mixer).Materialise(q, k).MatMul(v).Span) / Math.Abs(size));
            }
            mixers++;
            var points = new List<(double, double)>();
            foreach (int n in (int[])[256, 1024, 4096])
            {
                if (name == "learned" && n > 1024) continue;
                using var inner = Scope.NoGrad();
                Tensor q = Draw("q", n), k = Draw("k", n), v = Draw("v", n); var mixer = make(n);
                points.Add((n, Work.Count(() => mixer.Forward(q, k, v))));
            }
            if (isLinear) linear = Math.Max(linear, Trials.Exponent(points)); else dense = Math.Min(dense, Trials.Exponent(points));
        }
        return Evidence.All(Evidence.AtMost(worst, 1e-4, "", $"largest difference of {mixers} mixers, relative to the largest output"), Evidence.AtLeast(dense, 1.8, "", "smallest exponent of multiply-adds of dense mixers"), Evidence.AtMost(linear, 1.3, "", "largest of the others"));
    }

    [Claim("Attention over a ring of workers gives what one worker gives, forward and backward, and every worker sends 2·T·D·4·(W−1)/W bytes forward", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        var (o, g, sent) = TokenMixingRuns.RingErrors(run);
        return Evidence.All(Evidence.AtMost(o, 1e-4, "", "largest difference of outputs, 1, 2 and 4 workers"), Evidence.AtMost(g, 1e-4, "", "of gradients"), Evidence.AtMost(sent, 0.05, "", "relative difference of bytes sent"));
    }

    [Claim("A worker of four needs at most 0.55 of the bytes of one; within 8 MiB each, four workers attend to 16 times the tokens that stored weights allow; two workers do half the work each", Quick = true)]
    public static Evidence Memory(ClaimRun run)
    {
        const int cap = 8 << 20;
        int longest = 64;
        while (TokenMixingRuns.OneWorker(run, 2 * longest, true) <= cap) longest *= 2;
        int far = 16 * longest;
        var single = TokenMixingRuns.Ring(run, 4096, 1); var four = TokenMixingRuns.Ring(run, 4096, 4); var two = TokenMixingRuns.Ring(run, 4096, 2);
        return Evidence.All(Evidence.AtMost((double)four.Bytes / TokenMixingRuns.OneWorker(run, 4096, false), 0.55, "", "bytes of a worker of four over those of one with the tiled kernel, 4,096 tokens"),
            Evidence.AtMost(TokenMixingRuns.Ring(run, far, 4).Bytes / 1048576.0, 8, "MiB", $"bytes of a worker of four at {far} tokens, 16 times the longest power of two that stored weights allow in 8 MiB"),
            Evidence.AtMost((double)two.Work / single.Work, 0.52, "", "multiply-adds of the busier of two workers over those of one"));
    }

    // Rows of the text cut into pieces of so many tokens.
    static Batch Pieces(Batch b, int context) => new(b.Inputs, b.Targets, b.Size * (b.Length / context), context);
    static MarkedText Text(ClaimRun run, bool far) => far ? new(run.Rng["table"], 192, keys: 2, values: 8, questions: 32, nearest: 100, farthest: 150, every: 4) : new(run.Rng["table"], 192, keys: 1, values: 2, questions: 1, every: 1);

    // Held-out loss of a model that was trained with so much context; places with few tokens before them in the shortest context are left out for all.
    static double Loss(ClaimRun run, bool far, int context)
    {
        var text = Text(run, far); var config = new ModelConfig(text.Vocabulary, 48, 2, 3) { Hidden = 96, Length = 192, Tied = false };
        if (run.Ablated) context = 16;
        Batch Of(Batch b) => Pieces(far ? b : text.Only(b, needles: false), context);
        var model = new DecoderModel(config, run.Trained($"context-{far}-{context}", () =>
        {
            var w = Weights.Random(run.Rng["weights"]); var student = new DecoderModel(config, w);
            Trials.Train(run, $"context {context}", w, 180, 5e-3, (i, pass) => { var b = Of(text.Batch(run.Rng["train"], i, 8)); return student.Loss(b.Inputs, b.Targets, b.Size, pass); }, 0.01);
            return w;
        }));
        double sum = 0; int asked = 0;
        foreach (var b in SmallRuns.HeldOut(run, text, 6, 16))
        {
            var cut = Of(b); var late = new Batch(cut.Inputs, [.. cut.Targets.Select((t, i) => i % 16 >= 8 ? t : -1)], cut.Size, cut.Length);
            sum += SmallRuns.Losses(model, late).Sum(); asked += late.Asked;
        }
        return sum / asked;
    }

    [Claim("Longer context helps where the text has long dependencies, and only there")]
    public static Evidence Context(ClaimRun run)
    {
        double[] far = [.. new[] { 16, 64, 192 }.Select(c => Loss(run, true, c))], near = [.. new[] { 16, 192 }.Select(c => Loss(run, false, c))];
        return Evidence.All(Evidence.AtLeast(far[0] - far[2], 0.3, "nats", $"loss with 16 tokens of context ({far[0]:f3}; with 64 {far[1]:f3}) beyond that with 192, next to needles 100 to 150 tokens back"), Evidence.AtMost(near[0] - near[1], 0.03, "nats", $"the same for an order-2 chain ({near[0]:f3})"));
    }
}
