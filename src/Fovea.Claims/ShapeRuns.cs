using Fovea.Models;
namespace Fovea.Claims;

/// <summary>Training and measuring of small image classifiers on rendered shapes. Models of one run start from the same key and see the same batches.</summary>
static class ShapeRuns
{
    public static Weights Train(ClaimRun run, string name, ModelConfig config, int patch, Shapes shapes, int steps, int batch, double rate, Mixer? mixer = null, Func<Weights>? from = null, Action<int>? each = null) => run.Trained(name, () =>
    {
        var w = from?.Invoke() ?? Weights.Random(run.Rng["weights"]); var model = new ImageClassifier(config, w, patch, mixer);
        Trials.Train(run, name, w, steps, rate, (i, pass) => { each?.Invoke(i); return model.Loss(shapes.Batch(run.Rng["train"], i, batch), pass); }, 0.01);
        return w;
    });

    public static Weights Copy(Weights w) => Weights.From(w.All.ToDictionary(p => p.Key, p => Tensor.From(p.Value.Span, p.Value.Shape)));

    /// <summary>Share of held-out images whose shape is named.</summary>
    public static double Accuracy(ClaimRun run, ImageClassifier model, Shapes shapes, int batches = 8, int size = 32)
    {
        int right = 0;
        for (int i = 0; i < batches; i++)
        {
            using var scope = Scope.NoGrad();
            var images = shapes.Batch(run.Rng["held out"], i, size); var logits = model.Forward(images, Pass.Eval);
            right += Batch.Right(logits, images.Labels);
        }
        return (double)right / (batches * size);
    }
}
