using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Key–value recall in rows of 96 tokens trains one decoder with plain rotation; from its weights each basis is tuned on rows of 192 and tested up to 768. A third of a row are pairs, so that longer rows
/// ask for values that stand further back. Not reproduced: that perplexity is too coarse; loss and retrieval rank the bases alike. Left out: questions in natural language, and decay (XPos) among the tuned bases. Ablated: no basis changes anything.
/// </summary>
[Paper("giraffe")]
public static class Giraffe
{
    const int Trained = 96, Tuned = 192;
    static readonly ModelConfig Small = new(64, 64, 2, 4) { Hidden = 64, Length = Trained, Tied = false };
    static Recall Text(int n) => new(n, Math.Min(n / 6, 32), Small.Vocabulary);
    static readonly Rope None = new();
    // A short convolution joins each value with its key, so that what is left to learn is to find a key at any distance.
    static readonly Mixer Mixer = Layouts.Of("ca", new Dictionary<char, Mixer> { ['c'] = (_, c, w) => new BaseConv(c, w), ['a'] = ModelConfig.Softmax });
    static ModelConfig With(Position p) => Small with { Position = p };
    static Position Linear(ClaimRun run, double factor) => run.Ablated ? None : new Rope(scaling: new LinearScaling(factor));
    static (string Name, Position Basis)[] Bases(ClaimRun run) => run.Ablated ? [("none", None), ("linear", None)]
        : [("none", None), ("linear", Linear(run, 4)), ("power", new Rope(scaling: new PowerScaling(0.5))), ("truncated", new Rope(scaling: new TruncatedScaling(Trained))), ("randomised", new RandomisedPositions(None))];

    static Weights Base(ClaimRun run)
    {
        SmallRuns.Train(run, "giraffe", With(None), Text(Trained), 900, 16, 5e-3, Mixer);
        return run.Trained("giraffe", () => throw new InvalidOperationException("trained above"));
    }
    static Weights Tune(ClaimRun run, string name, Position basis) => run.Trained($"giraffe-{name}{(run.Ablated ? "-ablated" : "")}", () =>
    {
        var w = Weights.From(Base(run).All.ToDictionary(p => p.Key, p => Tensor.From(p.Value.Span, p.Value.Shape)));
        SmallRuns.Train(run, $"giraffe-{name}-tuning{(run.Ablated ? "-ablated" : "")}", With(basis), Text(Tuned), 150, 8, 1e-3, Mixer, w);
        return w;
    });
    static (double Loss, double Accuracy) Test(ClaimRun run, Weights w, Position basis, int n) => Trials.Test(run, new DecoderModel(With(basis), w, Mixer), Text(n), 8, 4);

    [Claim("Scale 1, exponent 0 and an endless training length are plain rotation, bit for bit; scores depend on distances only; pairs that do not turn do not know positions; a cache that is turned again is the one turned at once", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        Tensor q = Tensor.Normal(run.Rng["q"], [1, 2, 9, 32]), k = Tensor.Normal(run.Rng["k"], [1, 2, 9, 32]); int[] at = [0, 1, 2, 3, 5, 8, 13, 40, 90], moved = [.. at.Select(p => p + 300)];
        double Plain(RopeScaling s) => SmallRuns.Apart(new Rope(scaling: s).Apply(q, at).Span, None.Apply(q, at).Span);
        double same = new RopeScaling[] { new LinearScaling(run.Ablated ? 2 : 1), new PowerScaling(0), new TruncatedScaling(double.PositiveInfinity) }.Max(Plain), relative = 0, again = 0;
        foreach (var s in new RopeScaling[] { new LinearScaling(4), new PowerScaling(0.5), new TruncatedScaling(Trained) })
        {
            var rope = new Rope(scaling: s);
            relative = Math.Max(relative, SmallRuns.Apart(rope.Apply(q, at).MatMulT(rope.Apply(k, at)).Span, rope.Apply(q, moved).MatMulT(rope.Apply(k, moved)).Span));
            again = Math.Max(again, SmallRuns.Apart(rope.Again(None.Apply(k, moved), moved, None).Span, rope.Apply(k, moved).Span));
        }
        var cut = new Rope(scaling: new TruncatedScaling(Trained)); int still = Enumerable.Range(0, 16).Count(c => cut.Frequency(c, 16) == 0); double turned = 0;
        Tensor here = cut.Apply(q, at), there = cut.Apply(q, moved);
        for (int i = 0; i < q.Shape.Size; i++) if (cut.Frequency(i % 16, 16) == 0) turned = Math.Max(turned, Math.Abs(here.Span[i] - there.Span[i]));
        var x = new XPos();
        double decay = SmallRuns.Apart(x.Apply(q, at).MatMulT(x.ApplyToKeys(k, at)).Span, x.Apply(q, moved).MatMulT(x.ApplyToKeys(k, moved)).Span);
        double[] drawn = RandomisedPositions.Draw(run.Rng["drawn"], 200);
        return Evidence.All(Evidence.AtMost(same, 0, note: "difference from plain rotation"), Evidence.AtMost(relative, 1e-4, note: "difference of scores 300 tokens later"), Evidence.AtMost(decay, 1e-4, note: "the same with decay"),
            Evidence.AtMost(turned, 0, note: $"difference of the {still} pairs that do not turn"), Evidence.AtLeast(still, 1, "pairs"), Evidence.AtMost(again, 1e-5, note: "difference of a cache turned again"),
            Evidence.AtMost(drawn[^1], 200.0001, "tokens", "last drawn place of 200"), Evidence.AtLeast(drawn.Zip(drawn[1..], (a, b) => b - a).Min(), 0, "tokens", "smallest drawn step"));
    }

    /// <summary>The catalogue asks for 20 points in rows three times as long as those of training; there every tuned basis still finds everything, so it is asked at eight times.</summary>
    [Claim("Linear scaling reaches beyond the length it was tuned on, where the unscaled basis fails")]
    public static Evidence Reaches(ClaimRun run)
    {
        double linear = Test(run, Tune(run, "linear", Linear(run, 4)), Linear(run, 4), 768).Accuracy, none = Test(run, Tune(run, "none", None), None, 768).Accuracy;
        return Evidence.AtLeast(linear - none, 0.2, "", $"retrieval in rows of 768 ({linear:f2}) beyond that of the unscaled basis");
    }

    [Claim("A larger scale in evaluation than in training helps further out")]
    public static Evidence LargerScale(ClaimRun run)
    {
        var w = Tune(run, "linear", Linear(run, 4)); double four = Test(run, w, Linear(run, 4), 768).Accuracy, eight = Test(run, w, Linear(run, 8), 768).Accuracy;
        return Evidence.AtLeast(eight - four, 0, "", $"retrieval in rows of 768 with scale 8 ({eight:f2}) beyond scale 4");
    }

    [Claim("Tuning to a longer context leaves the short one intact")]
    public static Evidence KeepsShort(ClaimRun run)
    {
        double before = Test(run, Base(run), None, Trained).Accuracy, lost = 0, reached = before; string notes = "";
        foreach (var (name, basis) in Bases(run))
        {
            var w = Tune(run, name, basis); double after = Test(run, w, basis, Trained).Accuracy; var far = Test(run, w, basis, 768);
            lost = Math.Max(lost, before - after); notes += $"; {name} {after:f2}, at 768 {far.Accuracy:f2} with {far.Loss:f2} nats";
        }
        return Evidence.All(Evidence.AtLeast(reached, 0.8, "", "retrieval of the first model in rows of 96"), Evidence.AtMost(lost, 0.1, "", "largest loss of retrieval there" + notes));
    }
}
