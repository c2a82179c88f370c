using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Recurrence inside chunks and attention across them, against its own ends: chunks of one token (attention) and of the whole text (a recurrent network). Two layers of 64 channels on order-3 grammar text with copied
/// motifs, 128 tokens (the catalogue: three, 256). Costs are counted in multiply-adds. Ablated: chunks of the whole text in place of 16. Not covered: the hybrid with windows, and needles, of which chunks of 4 were to find 20 points
/// more than the recurrent network. They do not at this size, where a network still holds all of them. With needles of one token (2 layers of 64 channels, 8 needles, 400 steps) they found 0.28 and the network 0.60; with 16 needles 0.32
/// and 0.58; with one layer of 32 channels and 32 needles 0.38 and 0.28 after 900 steps on one seed, 0.50 and 0.56 after 1,600 on another.
/// </summary>
[Paper("rat")]
static class Rat
{
    const int Length = 128;
    static readonly MotifText Text = new(Length);
    static readonly ModelConfig Small = new(9, 64, 2, 4) { KvHeads = 2, Length = Length };
    static int Chunk(ClaimRun run) => run.Ablated ? Length : 16;

    [Claim("parallel and step by step agree to 1e-4 for lengths that are no multiple of the chunk, with gradients equal to those of one softmax; one entry is kept per closed chunk besides the running one", Quick = true)]
    static Evidence Exact(ClaimRun run)
    {
        double steps = 0, plain = 0, gradient = 0, entries = 0;
        foreach (int chunk in new[] { 1, 4, 16, 70 })
        {
            const int n = 141; var w = Weights.Random(run.Rng["exact"]); var a = new RatAttention(new(64, 4, 2, Position: new Rope()), w, chunk);
            var (output, slope) = Forms.FusedAndPlain(run.Rng, a, n, 64, 2, w); var (step, memory) = Forms.Decoded(run.Rng, a, n, 64, 2);
            plain = Math.Max(plain, output); gradient = Math.Max(gradient, slope); steps = Math.Max(steps, step);
            entries = Math.Max(entries, Math.Abs((memory.States.OfType<KvState>().SingleOrDefault()?.Count ?? 0) - n / chunk));
        }
        return Evidence.All(Evidence.AtMost(steps, 1e-4, note: "steps"), Evidence.AtMost(plain, 1e-4, note: "one softmax"), Evidence.AtMost(gradient, 1e-3, note: "gradients, relative"), Evidence.AtMost(entries, 0, note: "entries off ⌊T/L⌋"));
    }

    [Claim("one chunk for all is a gated recurrent network, z ∘ ṽ; chunks of one token are causal attention over (1−g)k and (1−g)v", Quick = true)]
    static Evidence Ends(ClaimRun run)
    {
        const int n = 77; var config = new AttentionConfig(64, 4, Position: new Rope()); var w = Weights.Random(run.Rng["ends"]); var x = Tensor.Normal(run.Rng["x"], [1, n, 64]);
        double Against(int chunk, Func<Tensor, Tensor, Tensor, Tensor, Tensor> y)
        {
            var a = new RatAttention(config, w, chunk); Tensor Of(string name) => x.MatMulT(w.All[name + "_proj.weight"]);
            var gate = (Of("g") + w.All["g_bias"]).Sigmoid(); var z = Of("z").Sigmoid();
            var want = (y(Of("q"), Of("k") * (1 - gate), Of("v") * (1 - gate), gate) * z).MatMulT(w.All["o_proj.weight"]);
            return Trials.Difference(new RatAttention(config, w, run.Ablated ? 16 : chunk).Forward(x, Pass.Eval), want);
        }
        double network = Against(n, (_, _, v, gate) =>
        {
            var h = Tensor.Zeros([1, n, 64]);
            for (int t = 0; t < n; t++) for (int i = 0; i < 64; i++) h.Span[t * 64 + i] = v.Span[t * 64 + i] + (t > 0 ? gate.Span[t * 64 + i] * h.Span[(t - 1) * 64 + i] : 0);
            return h;
        });
        double attention = Against(1, (q, k, v, _) =>
        {
            var at = Enumerable.Range(0, n).ToArray(); var rope = config.Position!;
            return Mechanisms.Softmax.Fused<Plain, Causal, SoftmaxWeights>(rope.Apply(q.SplitHeads(4), at), rope.Apply(k.SplitHeads(4), at), v.SplitHeads(4), new(), new(), new()).MergeHeads();
        });
        return Evidence.All(Evidence.AtMost(network, 1e-4, note: "one chunk"), Evidence.AtMost(attention, 1e-4, note: "chunks of one token"));
    }

    [Claim("mixing 8,192 tokens takes at most 0.3 of the multiply-adds of attention, a decoded token at position 4,096 at most 0.4 of them, and the cache a sixteenth", Quick = true)]
    static Evidence Cost(ClaimRun run)
    {
        var config = new AttentionConfig(64, 4); var w = Weights.Random(run.Rng["cost"]); using var scope = Scope.NoGrad(); Attention rat = new RatAttention(config, w["rat"], run.Ablated ? 1 : 16), soft = new SoftmaxAttention(config, w["softmax"]);
        long Whole(Attention a) => Work.Count(() => a.Forward(Tensor.Normal(run.Rng["x"], [1, 8192, 64]), Pass.Eval));
        (double Work, double Bytes) Step(Attention a)
        {
            var pass = new Pass { Memory = new() }; a.Forward(Tensor.Normal(run.Rng["x"], [1, 4096, 64]), pass);
            return (Work.Count(() => a.Forward(Tensor.Normal(run.Rng["y"], [1, 1, 64]), pass)), pass.Memory!.States.OfType<KvState>().Sum(s => s.Bytes));
        }
        var (work, bytes) = Step(rat); var (softWork, softBytes) = Step(soft);
        return Evidence.All(Evidence.AtMost(Whole(rat) / (double)Whole(soft), 0.3, note: "8,192 tokens"), Evidence.AtMost(work / softWork, 0.4, note: "token 4,097"), Evidence.AtMost(bytes / softBytes, 1.0 / 16, note: "bytes of keys and values"));
    }

    /// <remarks>
    /// It fails on seed 2: there attention learns to copy motifs within the steps (0.875 nats) and chunks do not (1.330; the network 1.468). Other texts do not separate the three where they have learned, all on seed 12, nats below the
    /// network and times the loss of attention: motifs of one symbol 0.021 and 1.02 after 300 steps, −0.011 and 1.12 after 500, when attention knows the last three symbols; of two 0.005 and 1.03 after 400; of six 0.002 and 0.77 after 1,500
    /// steps of 8 rows (network and chunks copy alike, attention does not yet); bytes of grammar with recall lines −0.001 and 0.98, without 0.001 and 0.97 after 400. A recurrent state of 64 channels holds all that these ask for.
    /// After 4,000 steps from embeddings of 0.6 (seed 33) attention is at 0.723 nats, the network at 0.834 and chunks at 0.849: the longer all learn, the less chunks are ahead of the network.
    /// </remarks>
    [Claim("with chunks of 16 it loses less than the recurrent network by at least 0.02 nats, and at most 1.06 times what attention loses")]
    static Evidence Quality(ClaimRun run)
    {
        double Of(int chunk) => SmallRuns.Loss(SmallRuns.Train(run, $"rat-{chunk}", Small, Text, 600, 16, 4e-3, (_, c, w) => new RatAttention(c, w, chunk)), SmallRuns.HeldOut(run, Text, 8, 16));
        double ours = Of(Chunk(run)), network = Of(Length), attention = Of(1);
        return Evidence.All(Evidence.AtLeast(network - ours, 0.02, "nats", $"below the recurrent network ({network:f3})"), Evidence.AtMost(ours / attention, 1.06, note: $"loss over that of attention ({attention:f3} nats)"));
    }
}
