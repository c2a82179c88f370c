using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>How a mechanism is used: queries from the keys' own tokens or not, and whether the output for one query may depend on later ones.</summary>
public enum CabPattern { NoncausalSelf, CausalSelf, NoncausalCross, CausalCross }

/// <summary>One number about a trained model.</summary>
public sealed record CabMetric(string Name, double Value, bool LowerIsBetter);

/// <summary>A model made for a task: its training loss, and what is measured on batches that training has not seen.</summary>
public sealed record CabModel(Func<Rng, int, Pass, Tensor> Loss, Func<Rng, IReadOnlyList<CabMetric>> Measure, Weights Weights);

/// <summary>
/// A task of one pattern. Only the attention of that pattern is exchanged, the rest of the model is softmax. Positions are added to embeddings, and a mechanism gets no others, so that all of them know places from the same source.
/// </summary>
/// <param name="Length">Updates for each that is asked for: tasks with fewer tokens get more.</param>
/// <param name="Rate">Peak of the learning rate.</param>
[From("cab", "§3")]
public sealed record CabTask(string Name, CabPattern Pattern, int Length, double Rate, Func<Weights, Mixer, CabModel> New)
{
    /// <summary>Sizes of all models: two layers, 48 channels, three heads, 128 tokens; there are positions for four times as many, so that longer texts can be tried.</summary>
    public static ModelConfig Config(int vocabulary, int length = 128) =>
        new(vocabulary, 48, 2, 3) { Length = length, Position = null, Hidden = 96, Tied = false, TokenPositions = (w, n, dim) => new LearnedPositions(w, 4 * n, dim) };
    const int Rows = 8, Batches = 6;

    /// <summary>
    /// Four tasks in place of the paper's seven: masked text (NS), text with needles and questions about them (CS), facts of a long source asked for side by side (NC), and their summary, token by token (CC). Speech, point clouds and
    /// super-resolution are not here, nor is forecasting: on regime-switching sinusoids all mechanisms came within a tenth of each other, so that an index of their differences says nothing.
    /// </summary>
    /// <param name="table">Key of the transition table of the text.</param>
    public static IReadOnlyList<CabTask> All(Rng table)
    {
        var masked = new HiddenText(new GrammarText(128)); var text = Text(table); var facts = new MarkedFacts(64, keys: 6, values: 4);
        return [
            new("masked-text", CabPattern.NoncausalSelf, 1, 4e-3, (w, mixer) =>
            {
                var config = Config(masked.Vocabulary); var encoder = new EncoderModel(config, w, mixer); var head = new Linear(w["head"], config.Dim, config.Vocabulary);
                Tensor Loss(Batch b, Pass pass) => head.Forward(encoder.Forward(b.Inputs, b.Size, pass)).CrossEntropy(b.Targets);
                return new((rng, i, pass) => Loss(masked.Batch(rng, i, Rows), pass), rng => [new("loss", Mean(i => Loss(masked.Batch(rng, i, 2 * Rows), Pass.Eval).Item), true)], w);
            }),
            new("needle-text", CabPattern.CausalSelf, 1, 4e-3, (w, mixer) =>
            {
                var model = new DecoderModel(Config(text.Vocabulary), w, mixer);
                return new((rng, i, pass) => { var b = text.Batch(rng, i, Rows); return model.Loss(b.Inputs, b.Targets, b.Size, pass); }, rng =>
                [
                    new("loss", Mean(i => { var b = text.Batch(rng, i, 2 * Rows); return model.Loss(b.Inputs, b.Targets, b.Size, Pass.Eval).Item; }), true),
                    new("recall", Mean(i => { var b = text.Only(text.Batch(rng, i, 2 * Rows), needles: true); return Right(model.Forward(b.Inputs, b.Size, Pass.Eval), b); }), false),
                ], w);
            }),
            Facts("questions", CabPattern.NoncausalCross, facts, facts.Questions), Facts("summary", CabPattern.CausalCross, facts, facts.Batch),
        ];
    }

    static CabTask Facts(string name, CabPattern pattern, MarkedFacts facts, Func<Rng, int, int, (int[] Source, Batch Target)> batch) => new(name, pattern, 3, 6e-3, (w, mixer) =>
    {
        bool causal = pattern == CabPattern.CausalCross; var model = new EncoderDecoderModel(Config(facts.Vocabulary), w, crossMixer: (layer, c, weights) => mixer(layer, c with { Causal = causal }, weights), causal: causal);
        Tensor Logits(int[] source, Batch t, Pass pass) => model.Forward(source, t.Inputs, t.Size, pass);
        return new((rng, i, pass) => { var (source, t) = batch(rng, i, 2 * Rows); return Logits(source, t, pass).CrossEntropy(t.Targets); }, rng =>
        [
            new("accuracy", Mean(i => { var (source, t) = batch(rng, i, 4 * Rows); return Right(Logits(source, t, Pass.Eval), t); }), false),
            new("loss", Mean(i => { var (source, t) = batch(rng, i, 4 * Rows); return Logits(source, t, Pass.Eval).CrossEntropy(t.Targets).Item; }), true),
        ], w);
    });

    /// <summary>The text of the causal task: an order-2 chain asked for everywhere, four needles, and questions about them all over the row.</summary>
    public static MarkedText Text(Rng table, int length = 128) => new(table, length, keys: 4, values: 8, questions: 8, every: 1, spread: 24);

    /// <summary>Trains a model of the task, so many times <see cref="Length"/> updates; the batches and the weights depend on rng alone.</summary>
    public CabModel Train(Rng rng, Mixer mixer, int steps, Action<int>? watch = null, CancellationToken cancel = default)
    {
        var w = Weights.Random(rng["weights"]); var model = New(w, mixer);
        new Trainer(w, new AdamW(beta2: 0.98, decay: 0.01), new() { Steps = steps *= Length, Schedule = new WarmupCosine(Rate, steps / 10 + 1, steps), Rng = rng["passes"] }).Run((i, pass) => model.Loss(rng["train"], i, pass), watch, cancel);
        return model;
    }

    static double Mean(Func<int, double> one)
    {
        double sum = 0;
        for (int i = 0; i < Batches; i++) { using var scope = Scope.NoGrad(); sum += one(i); }
        return sum / Batches;
    }

    static double Right(Tensor logits, Batch b) => (double)b.Right(logits) / Math.Max(1, b.Asked);
}
