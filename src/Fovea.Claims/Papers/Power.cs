using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Four-layer models of 64 channels and 4 heads on rows of 256 tokens with one needle, blocks of 8: powers of two against a window and sinks with a window of as many blocks.
/// Ablated: the powers are replaced by the window.
/// </summary>
[Paper("power-attention")]
public static class Power
{
    const int Block = 8, Length = 256, Blocks = 6, Steps = 400;
    static readonly ModelConfig Small = new(17, 64, 4, 4) { Hidden = 64, Length = Length, Position = new Rope(share: 0.5) };

    /// <summary>Blocks of a pattern as a layer.</summary>
    sealed class WindowOfBlocks(AttentionConfig c, Weights w, int window, int sinks, int block = Block) : BlockSparseAttention<LastBlocks>(c, w, new(block, window, sinks));
    static Attention Layer(ClaimRun run, AttentionConfig c, Weights w, int block = Block) => run.Ablated ? new WindowOfBlocks(c, w, Blocks, 0, block) : new PowerAttention(c, w, block, 1);

    [Claim("It is dense attention under the mask, forwards and backwards, and a row sees at most log₂(N/b) + 2 blocks", Quick = true)]
    public static Evidence Exact(ClaimRun run)
    {
        var p = new PowersOfTwo(Block, 1, 0); PowersOfTwo[] heads = [p, p]; int most = 0;
        var (o, g) = PatternCheck.Exact(run.Rng, 2, 300, 16, (q, k, v) => Softmax.Fused<Plain, Causal, SoftmaxWeights>(q, k, v, new(), new(), new(Blocks: BlockLists.Of<PowersOfTwo>(heads, 1, 300))),
            (_, i, j) => j <= i && (i / Block - j / Block) is 0 or 1 or 2 or 4 or 8 or 16 or 32);
        for (int q = 0; q < 1024; q++) most = Math.Max(most, Enumerable.Range(0, q + 1).Count(k => p.Sees(q, k)));
        var (step, _) = Forms.Decoded(run.Rng, Layer(run, new(64, 4, Position: new Rope()), Weights.Random(run.Rng["weights"])), 150, 64);
        return Evidence.All(Evidence.AtMost(o, 1e-5, "", "outputs"), Evidence.AtMost(g, 1e-4, "", "gradients"), Evidence.AtMost(step, 1e-5, "", "token by token"), Evidence.AtMost(most, 11, "blocks", "seen by a row of 1,024 blocks"));
    }

    [Claim("After d layers it reaches all distances below 2^d without holes, a window of as many blocks d(k − 1) + 1: by graph products for d = 1 … 8, and by gradients through four layers", Quick = true)]
    public static Evidence Reach(ClaimRun run)
    {
        const int n = 600; double worst = double.PositiveInfinity, window = 0;
        // Distances suffice: whether block q sees block k depends on q − k alone.
        int[] powers = [.. Enumerable.Range(0, n).Where(x => run.Ablated ? x < 2 : new PowersOfTwo(1, 1, 0).Sees(n, n - x))], last = [.. Enumerable.Range(0, Blocks)];
        bool[] Layers(int[] steps, int d)
        {
            var reach = new bool[n]; reach[0] = true;
            for (; d > 0; d--) { var next = new bool[n]; for (int x = 0; x < n; x++) foreach (int s in steps) if (x >= s && reach[x - s]) next[x] = true; reach = next; }
            return reach;
        }
        for (int d = 1; d <= 8; d++)
        {
            int Whole(int[] steps) => Layers(steps, d).TakeWhile(b => b).Count();
            worst = Math.Min(worst, (double)Whole(powers) / (1 << d)); window = Math.Max(window, Math.Abs(Whole(last) - (d * (Blocks - 1) + 1)));
        }
        // 32 blocks of 4 tokens: which blocks the last logit depends on, in a model of four layers.
        var model = new DecoderModel(new(16, 32, 4, 2) { Length = 128 }, Weights.Random(run.Rng["reach"]), (_, c, w) => Layer(run, c, w, 4)); var embed = new Embeds(); int[] tokens = [.. Enumerable.Range(0, 128).Select(i => i % 16)];
        using var scope = Scope.Train();
        model.Forward(tokens, 1, new Pass { Probe = embed }).Rows(127, 128).Sum().Backward();
        int reached = 0;
        while (reached < 32 && embed.X!.Grad.Slice((31 - reached) * 4 * 32, 4 * 32).ContainsAnyExcept((Real)0)) reached++;
        return Evidence.All(Evidence.AtLeast(worst, 1, "", "whole reach over 2^d, the least"), Evidence.AtMost(window, 0, "blocks", "reach of the window away from d(k − 1) + 1"), Evidence.AtLeast(reached, 24, "blocks", "side by side that the last logit depends on, of 32"));
    }

    sealed class Embeds : IProbe
    {
        public Tensor? X;
        public bool Wants(Site site) => site.Part == Part.Embed;
        public Tensor Visit(Site site, Tensor value) => X = value.RetainGrad();
    }

    [Claim("Work grows as N log N where that of dense attention is quadratic: 1,024 to 8,192 tokens, blocks of 32", Quick = true)]
    public static Evidence Growth(ClaimRun run)
    {
        double Exponent(Func<int, BlockList?> lists) => Trials.Exponent([.. new[] { 1024, 2048, 4096, 8192 }.Select(n =>
        {
            var q = Trials.Draw(run.Rng["q"], [1, 1, n, 16]);
            return ((double)n, (double)Work.Count(() => { using var scope = Scope.NoGrad(); Softmax.Fused<Plain, Causal, SoftmaxWeights>(q, q, q, new(), new(), new(Blocks: lists(n))); }));
        })]);
        return Evidence.All(Evidence.AtMost(Exponent(n => run.Ablated ? null : BlockLists.Of<PowersOfTwo>([new(32, 1, 0)], 1, n)), 1.3, "exponent"), Evidence.AtLeast(Exponent(_ => null), 1.7, "exponent", "dense"));
    }

    /// <remarks>
    /// The bounds are the catalogue's, and so is the test: questions at the end of the row only. In training 96 questions more stand along the row. With 32 of them, and the filler asked for as well, it was luck whether far needles were
    /// found within 500 steps (on seed 1 0.11, on seed 11 25 points ahead of the window; with rows of 128, blocks of 4 and 700 steps 57 points ahead on seed 11 and 15 on seed 12); without any no model learned anything.
    /// </remarks>
    [Claim("It finds needles that a window of as many blocks cannot reach, and sinks with a window neither, and near ones as the window does")]
    public static Evidence Needles(ClaimRun run)
    {
        var text = Text(run);
        DecoderModel Train(string name, Mixer mixer) => SmallRuns.Train(run, "power-" + name, Small with { Vocabulary = text.Vocabulary }, text, Steps, 8, 5e-3, mixer);
        DecoderModel window = Train("window", (_, c, w) => new WindowOfBlocks(c, w, Blocks, 0)), sinks = Train("sinks", (_, c, w) => new WindowOfBlocks(c, w, Blocks - 1, 1)), power = run.Ablated ? window : Train("powers", (_, c, w) => Layer(run, c, w));
        MarkedText far = Text(run, 22 * Block, 30 * Block), near = Text(run, 1, 3 * Block); double p = S2.Needles(run, power, far), n = S2.Needles(run, power, near);
        return Evidence.All(Evidence.AtLeast(100 * (p - S2.Needles(run, window, far)), 40, "points", $"accuracy more than 21 blocks away ({p:f3}) beyond the window"),
            Evidence.AtLeast(100 * (p - S2.Needles(run, sinks, far)), 30, "points", "beyond sinks and a window"), Evidence.AtLeast(100 * (n - S2.Needles(run, window, near)), -5, "points", $"within 3 blocks ({n:f3}) beyond the window"));
    }
    static MarkedText Text(ClaimRun run, int nearest = 1, int? farthest = null) => new(run.Rng["table"], Length, 1, 8, 8, nearest, farthest, every: 0, spread: farthest is null ? 96 : 0);
}
