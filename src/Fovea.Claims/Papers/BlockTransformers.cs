using Fovea.Kernels;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// A Block Transformer of 2 + 2 layers and 96 channels with blocks of 4 tokens beside a vanilla model of 4 layers and 48 channels, which has about as many multiply-adds per token of the upper half. Ablated: the
/// vanilla model in its place. Costs are multiply-adds, not seconds. Both learn text of an order-3 grammar of four symbols with a motif of eight that comes back, in rows of 128 tokens.
/// </summary>
[Paper("block-transformer")]
public static class BlockTransformers
{
    const int Size = 4;
    static readonly ModelConfig Vanilla = new(256, 48, 4, 4) { Length = 256 }, Wide = Vanilla with { Dim = 96 };
    static readonly ModelConfig Toy = new(16, 32, 4, 2) { Hidden = 32 };
    static BlockTransformer Model(ClaimRun run, ModelConfig c) => new(c, Weights.Random(run.Rng["weights"]), Size);
    static int[] Tokens(ClaimRun run, int n) => [.. Enumerable.Range(0, n).Select(i => (int)(run.Rng["tokens"].Uniform(i) * 16))];

    [Claim("A token changes nothing at or before its own prediction, in its block or in others, and what comes after depends on it", Quick = true)]
    public static Evidence Causal(ClaimRun run)
    {
        const int n = 38; var model = Model(run, Toy); int[] text = Tokens(run, n); double before = 0, after = double.PositiveInfinity;
        foreach (int pad in (int[])[0, 1, 3])
        {
            var y = model.Forward(text, 1, Pass.Eval, pad);
            foreach (int t in (int[])[1, 14, 15, 16, 17, 20])
            {
                int[] other = [.. text]; other[t] = (other[t] + 1) % 16; var z = model.Forward(other, 1, Pass.Eval, pad);
                before = Math.Max(before, SmallRuns.Apart(y.Rows(0, t).Span, z.Rows(0, t).Span));
                after = Math.Min(after, SmallRuns.Apart(y.Rows(n - 1, n).Span, z.Rows(n - 1, n).Span));
            }
        }
        return Evidence.All(Evidence.AtMost(before, 0, "", "change of logits before the token is known"), Evidence.AtLeast(after, 1e-6, "", "least change of the last logits, blocks later: the global path"));
    }

    [Claim("Cached generation gives what a full forward pass gives, whatever the alignment of the prompt", Quick = true)]
    public static Evidence Cached(ClaimRun run)
    {
        var model = Model(run, Toy); double worst = 0;
        foreach (int prompt in (int[])[1, 4, 9, 15])
        {
            const int n = 40; int[] text = Tokens(run, n); int pad = (Size - prompt % Size) % Size; var whole = model.Forward(text, 1, Pass.Eval, pad); var decoding = new BlockTransformer.Decoding(model, text.AsSpan(0, prompt), 1);
            for (int t = prompt; t < n; t++)
            {
                worst = Math.Max(worst, SmallRuns.Apart(whole.Rows(t - 1, t).Span, decoding.Logits.Span));
                decoding.Step([text[t]]);
            }
        }
        return Evidence.AtMost(worst, 1e-4, "", "largest difference of logits");
    }

    [Claim("After 4,096 tokens the cache is at most 0.35 of the vanilla one and as large as its formula, a token costs at most half, and its cost grows a tenth as fast with the context", Quick = true)]
    public static Evidence Cost(ClaimRun run)
    {
        const int batch = 2, more = 64; var next = new int[batch]; int[] Prompt(int n) => new int[batch * n];
        (double Token, long Bytes) Block(int n)
        {
            using var scope = Scope.NoGrad();
            var d = new BlockTransformer.Decoding(Model(run, Wide), Prompt(n), batch); long work = Work.Count(() => { for (int i = 0; i < more; i++) d.Step(next); });
            return (work / (double)more, d.Bytes);
        }
        (double Token, long Bytes) Plain(int n)
        {
            using var scope = Scope.NoGrad();
            var model = new DecoderModel(Vanilla, Weights.Random(run.Rng["weights"])); var memory = new Memory(); model.Forward(Prompt(n), batch, new Pass { Memory = memory });
            long work = Work.Count(() => { for (int i = 0; i < more; i++) model.Forward(next, batch, new Pass { Memory = memory }); });
            return (work / (double)more, memory.Bytes);
        }
        var (shortToken, _) = run.Ablated ? Plain(1024) : Block(1024); var (token, bytes) = run.Ablated ? Plain(4096) : Block(4096); var (vanillaShort, _) = Plain(1024); var (vanilla, vanillaBytes) = Plain(4096);
        long formula = 2L * sizeof(Real) * batch * Wide.Dim * 2 * ((4096 + more) / Size + 2);
        return Evidence.All(Evidence.AtMost((double)bytes / vanillaBytes, 0.35, "", "bytes of the cache over those of the vanilla model"), Evidence.AtMost(Math.Abs(bytes - formula), 0, "bytes", "away from 2·C·(layers/2)·(T/L + prefix) numbers"),
            Evidence.AtMost(token / vanilla, 0.5, "", "multiply-adds of a token at 4,096 tokens"), Evidence.AtMost((token - shortToken) / (vanilla - vanillaShort), 0.1, "", "growth of multiply-adds from 1,024 to 4,096 tokens, over the vanilla model's"));
    }

    const int Length = 128, Steps = 400, Rows = 8;
    static double Loss(ClaimRun run, string name, ModelConfig config, Func<ModelConfig, Weights, Func<Batch, Pass, int, Tensor>> make)
    {
        var text = new MotifText(Length, 4, 8); var c = config with { Vocabulary = text.Vocabulary, Length = Length };
        var w = run.Trained("block-transformer-" + name, () =>
        {
            var w = Weights.Random(run.Rng["weights"]); var forward = make(c, w);
            Trials.Train(run, name, w, Steps, 4e-3, (i, pass) => { var b = text.Batch(run.Rng["train"], i, Rows); return forward(b, pass, run.Rng["padding"].Below(i, Size)).CrossEntropy(b.Targets); }, 0.01);
            return w;
        });
        using var scope = Scope.NoGrad();
        var model = make(c, w); return Enumerable.Range(0, 4).Select(i => text.Batch(run.Rng["test"], i, 32)).Average(b => model(b, Pass.Eval, 0).CrossEntropy(b.Targets).Item);
    }

    /// <summary>The catalogue has eight symbols and rows of 256 tokens; with eight symbols neither model has learned much after as many updates (1.87 and 1.88 nats).</summary>
    [Claim("After as many tokens its held-out loss is at most 1.08 of the vanilla model's, and the vanilla model has learned the text")]
    public static Evidence Learns(ClaimRun run)
    {
        double vanilla = Loss(run, "vanilla", Vanilla, (c, w) => { var m = new DecoderModel(c, w); return (b, pass, _) => m.Forward(b.Inputs, b.Size, pass); });
        double ours = run.Ablated ? vanilla : Loss(run, "blocks", Wide, (c, w) => { var m = new BlockTransformer(c, w, Size); return (b, pass, padding) => m.Forward(b.Inputs, b.Size, pass, padding); });
        return Evidence.All(Evidence.AtMost(ours / vanilla, 1.08, "", $"loss ({ours:f3} nats) over that of the vanilla model ({vanilla:f3})"), Evidence.AtMost(vanilla, 1.2, "nats", "the vanilla model's; log 5 is 1.61"));
    }
}
