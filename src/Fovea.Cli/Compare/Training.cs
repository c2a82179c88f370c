using System.Diagnostics;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>Trains the two models that each mechanism gets: a byte language model on the text, and a small one on associative recall.</summary>
static class Training
{
    public static DecoderModel LanguageModel(Plan plan, MixerSpec mixer, out Weights weights)
    {
        weights = Weights.Random(plan.Rng()["weights"]);
        var config = new ModelConfig(256, plan.Dim, plan.Layers, plan.Heads) { Length = Math.Max(plan.Context, plan.Lengths.Max()) };
        return new(config, weights, mixer.Mixer);
    }

    /// <summary>Tokens that the baseline trains on in about so many seconds, from a trial of at most a tenth of that.</summary>
    public static long TokensFor(Plan plan, SourceText text, double seconds, CancellationToken cancel)
    {
        var corpus = plan.Corpus(text); var rng = plan.Rng()["trial"]; double best = double.PositiveInfinity;
        var model = LanguageModel(plan, MixerSpec.Parse("softmax"), out var weights);
        var trainer = new Trainer(weights, new AdamW(), new() { Steps = 1000 });
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        double limit = Math.Clamp(seconds / 10, 0.3, 3); long start = Stopwatch.GetTimestamp(), last = start;
        // Early updates are slow while the code is being compiled: the fastest one counts.
        try
        {
            trainer.Run((i, pass) => Loss(model, corpus.Batch(rng, i, plan.Batch), pass), step =>
            {
                if (step > 2) best = Math.Min(best, Stopwatch.GetElapsedTime(last).TotalSeconds);
                last = Stopwatch.GetTimestamp();
                if (step > 5 && Stopwatch.GetElapsedTime(start).TotalSeconds > limit) enough.Cancel();
            }, enough.Token);
        }
        catch (OperationCanceledException) { cancel.ThrowIfCancellationRequested(); }
        return Math.Max(1, (long)(seconds / best)) * plan.Batch * corpus.Length;
    }

    /// <summary>
    /// Trains the language model, or goes on from its checkpoint, and looks at the held-out text at eight points on the way.
    /// The trained model goes into a file; save is called at each of them with the curve so far and the tokens per second.
    /// </summary>
    public static DecoderModel Language(Plan plan, SourceText text, MixerSpec mixer, string checkpoint, string file, List<CurvePoint> curve, Action<double> progress, Action<long, double?> save, CancellationToken cancel)
    {
        var corpus = plan.Corpus(text); var rng = plan.Rng()["text"];
        var model = LanguageModel(plan, mixer, out var weights);
        int steps = plan.Steps, every = (steps + 7) / 8; long rowTokens = (long)plan.Batch * corpus.Length;
        var trainer = new Trainer(weights, new AdamW(), new()
        {
            Steps = steps,
            Schedule = new WarmupCosine(plan.Rate, Math.Max(1, steps / 20), steps),
            Rng = plan.Rng()["passes"],
            Checkpoint = checkpoint,
            CheckpointEvery = every,
        });
        trainer.Resume();
        curve.RemoveAll(p => p.Tokens > trainer.Step * rowTokens);
        void Look(int step) { if (curve.All(p => p.Tokens != step * rowTokens)) curve.Add(new(step * rowTokens, BitsPerByte(model, corpus, plan, cancel))); }
        bool Point(int step) => step > 0 && (step % every == 0 || step == steps);
        var times = new List<double>(); long last = Stopwatch.GetTimestamp();
        double? Rate() => times.Count == 0 ? null : rowTokens / times.Order().ElementAt(times.Count / 2);
        try
        {
            // The earlier run may have ended between a checkpoint and the look that belongs to it.
            if (Point(trainer.Step)) Look(trainer.Step);
            last = Stopwatch.GetTimestamp();
            trainer.Run((i, pass) => Loss(model, corpus.Batch(rng, i, plan.Batch), pass), step =>
            {
                times.Add(Stopwatch.GetElapsedTime(last).TotalSeconds);
                if (Point(step)) { Look(step); save(weights.Count, Rate()); }
                progress(step / (double)steps);
                last = Stopwatch.GetTimestamp();
            }, cancel);
        }
        finally { save(weights.Count, Rate()); }
        DecoderFile.Save(file, model.Config, mixer, weights);
        return model;
    }

    static Tensor Loss(DecoderModel model, Batch batch, Pass pass) => model.Loss(batch.Inputs, batch.Targets, batch.Size, pass);

    static double BitsPerByte(DecoderModel model, Corpus corpus, Plan plan, CancellationToken cancel)
    {
        double nats = 0; long bytes = 0;
        foreach (var batch in corpus.HeldOutBatches(plan.Batch, corpus.Length, plan.HeldOutTokens))
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = Scope.NoGrad();
            int asked = batch.Asked;
            nats += asked * (double)Loss(model, batch, Pass.Eval).Item; bytes += asked;
        }
        double bits = nats / bytes / Math.Log(2);
        return double.IsFinite(bits) ? bits : throw new ArithmeticException("the loss on the held-out text is not finite");
    }

    /// <summary>Small enough that softmax attention solves it within the budget, hard enough that a memory without addresses does not.</summary>
    public static Recall RecallTask { get; } = new(length: 24, pairs: 4, vocabulary: 16);

    /// <summary>Share of right answers of a two-layer model after a fixed number of updates.</summary>
    public static double Recall(Plan plan, MixerSpec mixer, string checkpoint, Action<double> progress, CancellationToken cancel)
    {
        var rng = plan.Rng()["recall"]; var weights = Weights.Random(rng["weights"]);
        return Recall(rng, RecallTask, RecallModel(RecallTask, mixer, weights, width: 64, layers: 2), weights, rows: 32, plan.RecallSteps, checkpoint, progress, cancel);
    }

    /// <summary>A small model for a recall task. Mechanisms that have a window see a quarter of a row, or they would see all of it and nothing would be asked of their memory.</summary>
    public static DecoderModel RecallModel(Recall task, MixerSpec mixer, Weights weights, int width, int layers) =>
        new(new(task.Vocabulary, width, layers, Math.Max(1, width / 16)) { Length = task.Length, Tied = false, TokenPositions = (w, n, dim) => new LearnedPositions(w, n, dim) }, weights, mixer.With("window", task.Length / 4).Mixer);

    /// <summary>Trains on rows of the task, or goes on from the checkpoint if there is one to be kept, and answers with the share of right answers on fresh rows.</summary>
    public static double Recall(Rng rng, Recall task, DecoderModel model, Weights weights, int rows, int steps, string? checkpoint, Action<double> progress, CancellationToken cancel)
    {
        var trainer = new Trainer(weights, new AdamW(beta2: 0.98, decay: 0.01), new() { Steps = steps, Schedule = new WarmupCosine(3e-3, steps / 10 + 1, steps), Rng = rng["passes"], Checkpoint = checkpoint, CheckpointEvery = Math.Max(1, steps / 4) });
        if (checkpoint is not null) trainer.Resume();
        trainer.Run((i, pass) => Loss(model, task.Batch(rng["train"], i, rows), pass), step => progress(step / (double)steps), cancel);
        long right = 0, asked = 0;
        for (int i = 0; i < 8; i++)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = Scope.NoGrad();
            var batch = task.Batch(rng["test"], i, rows);
            right += batch.Right(model.Forward(batch.Inputs, rows, Pass.Eval)); asked += batch.Asked;
        }
        return right / (double)asked;
    }
}
