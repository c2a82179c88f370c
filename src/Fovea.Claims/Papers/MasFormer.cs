using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Four-layer models of 48 channels and 4 heads on rows of 192 tokens; needles 80 to 180 tokens before the questions, where a stack of windows of 16 reaches back 60. The filler is an order-2 chain of four symbols,
/// which after 600 steps single models predict within 3 % alike (embeddings start at 0.6; from 0.02 some do not find all needles within 1,000 steps); of eight, 4 % still lay between equally good ones. All layers full, none, the first one, the last one; what full layers and the first one reach is the mean of three models. Ablated: no layer is full.
/// </summary>
[Paper("masformer")]
public static class MasFormer
{
    const int Layers = 4, Width = 16, Length = 192, Steps = 600, Models = 3;
    static readonly ModelConfig Small = new(26, 48, Layers, 4) { Hidden = 96, Length = Length, Position = new Rope(share: 0.5) };
    // While training there are questions between the needle and the end too: without near ones nothing is learned in so few steps.
    static MarkedText Text(ClaimRun run, int spread = 0) => new(run.Rng["table"], Length, 1, 8, 8, 80, 180, fillers: 4, spread: spread);
    static Mixer Mixed(ClaimRun run, string where, int window = Width) => Layouts.MasFormer(window, run.Ablated ? [] : Layouts.Placed(where, 1, Layers));

    [Claim("Both local forms are dense attention under their masks, forwards and backwards; each decodes as it trains", Quick = true)]
    public static Evidence Exact(ClaimRun run)
    {
        var (o, g) = PatternCheck.Exact(run.Rng, 2, 200, 16, (q, k, v) => Softmax.Fused<Plain, Window, SoftmaxWeights>(q, k, v, new(), new(Width), new()), (_, i, j) => j <= i && j > i - Width);
        var (p, h) = PatternCheck.Exact(run.Rng, 2, 200, 16, (q, k, v) => Softmax.Fused<Plain, OwnAndPrevious, SoftmaxWeights>(q, k, v, new(), new(Width), new()), (_, i, j) => j <= i && j >= (i - i % Width) - Width);
        var (step, _) = Forms.Decoded(run.Rng, new BlockedWindowAttention(new(64, 4, Position: new Rope()), Weights.Random(run.Rng["weights"]), Width), 120, 64);
        return Evidence.All(Evidence.AtMost(Math.Max(o, p), 1e-4, "", "outputs"), Evidence.AtMost(Math.Max(g, h), 1e-4, "", "gradients"), Evidence.AtMost(step, 1e-5, "", "token by token"));
    }

    [Claim("What lies further back than L(w − 1) tokens has no influence through windows alone, and has some through one full layer", Quick = true)]
    public static Evidence Reach(ClaimRun run)
    {
        double Far(Mixer mixer)
        {
            var model = new DecoderModel(Small, Weights.Random(run.Rng["reach"]), mixer); int[] tokens = Text(run).Batch(run.Rng["text"], 0, 1).Inputs, other = [.. tokens]; const int t = Length - 1;
            for (int i = 0; i < t - Layers * (Width - 1); i++) other[i] = (other[i] + 1) % Small.Vocabulary;
            return SmallRuns.Apart(model.Forward(tokens, 1, Pass.Eval).Rows(t, t + 1).Span, model.Forward(other, 1, Pass.Eval).Rows(t, t + 1).Span);
        }
        return Evidence.All(Evidence.AtMost(Far(Layouts.MasFormer(Width)), 0, "", "change of the last logits when all that is further back changes"), Evidence.AtLeast(Far(Mixed(run, "bottom")), 1e-4, "", "the same with one full layer"));
    }

    /// <remarks>A window layer keeps w − 1 tokens: the next token brings itself.</remarks>
    [Claim("Pairs are |F|·T(T + 1)/2 and what the windows see, the cache |F|·T + (L − |F|)(w − 1) tokens; of 2,048 tokens with windows of 64, at most half the work", Quick = true)]
    public static Evidence Cost(ClaimRun run)
    {
        const int t = 2048, w = 64; var config = new ModelConfig(32, 32, Layers, 2); var tokens = new int[t];
        (long Work, long Bytes) Of(Mixer mixer)
        {
            using var scope = Scope.NoGrad();
            var model = new DecoderModel(config, Weights.Random(run.Rng["cost"]), mixer); var memory = new Memory();
            // Windows of one token leave what all models share.
            return (Work.Count(() => model.Forward(tokens, 1, new Pass { Memory = memory })), memory.Bytes);
        }
        long shared = Of(Layouts.MasFormer(1)).Work; var (dense, _) = Of(ModelConfig.Softmax); var (mas, bytes) = Of(Mixed(run, "bottom", w));
        long Pairs(IPattern p) { long n = 0; for (int i = 0; i < t; i++) for (int j = 0; j <= i; j++) if (p.Allows(i, j)) n++; return n; }
        double formula = (double)t * (t + 1) / 2 + (Layers - 1) * ((double)w * (w + 1) / 2 + (double)(t - w) * w), counted = Pairs(new Causal()) + (Layers - 1) * (double)Pairs(new Window(w));
        return Evidence.All(Evidence.AtMost(Math.Abs(counted - formula), 0, "pairs", "away from the formula"), Evidence.AtMost((double)(mas - shared) / (dense - shared), 0.5, "", "multiply-adds of attention over those of four full layers"),
            Evidence.AtMost(Math.Abs(bytes - (t + (Layers - 1.0) * (w - 1)) * 2 * 32 * sizeof(Real)), 0, "bytes", "of the cache away from the formula"));
    }

    [Claim("One full layer at the bottom finds needles as four do, windows alone do not, and filler is predicted as well")]
    public static Evidence Needles(ClaimRun run)
    {
        var text = Text(run); var config = Small with { Vocabulary = text.Vocabulary };
        DecoderModel Train(string name, Mixer mixer, int number) => SmallRuns.Train(run, $"mas-{name}-{number}", config, Text(run, 32), Steps, 8, 5e-3, mixer, SmallRuns.Embedded(run, number, config), number);
        DecoderModel Full(int number) => Train("full", ModelConfig.Softmax, number);
        DecoderModel Local(int number) => Train("local", Layouts.MasFormer(Width), number);
        DecoderModel Bottom(int number) => run.Ablated ? Local(number) : Train("bottom", Mixed(run, "bottom"), number);
        var held = SmallRuns.HeldOut(run, text, 8, 32).Select(x => text.Only(x, false)).ToList(); double Filler(DecoderModel m) => SmallRuns.Loss(m, held);
        double Found(DecoderModel m) => S2.Needles(run, m, text, 32); double all = SmallRuns.Mean(Models, Full, Found), top = Found(run.Ablated ? Local(0) : Train("top", Mixed(run, "top"), 0));
        return Evidence.All(Evidence.AtLeast(all, 0.8, "", "accuracy of four full layers (precondition)"), Evidence.AtLeast(SmallRuns.Mean(Models, Bottom, Found) / all, 0.95, "", $"accuracy over that of four full layers; at the top it is {top:f3}"),
            Evidence.AtMost(Found(Local(0)), 0.125 + 0.05, "", "accuracy of windows alone; chance is 0.125"),
            Evidence.AtMost(SmallRuns.Mean(Models, Bottom, Filler) / SmallRuns.Mean(Models, Full, Filler), 1.01, "", "filler loss over that of four full layers"));
    }
}
