using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>A whole training step of the default decoder.</summary>
sealed class TrainBenchmark() : Benchmark("train", "a training step of the default decoder")
{
    public override void Run(Meter meter) { foreach (int batch in meter.Sizes([2], [8])) Step(meter, batch); }

    static void Step(Meter meter, int batch)
    {
        const int length = 256;
        var config = new ModelConfig(256) { Length = length };
        var weights = Weights.Random(new Rng(1)); var model = new DecoderModel(config, weights); var optimiser = new AdamW();
        var task = new GrammarText(length).Batch(new Rng(1), 0, batch);
        void Update()
        {
            using var scope = Scope.Train();
            model.Loss(task.Inputs, task.Targets, batch, new Pass { Training = true }).Backward();
            Gradients.Clip(weights.All, 1);
            optimiser.Update(weights.All, 1e-3);
            weights.ZeroGrad();
        }
        Update();
        // The optimiser alone reads weight, gradient and two moments, and writes three of them.
        meter.Row("training step", $"{config.Layers} layers of {config.Dim}, {batch}×{length} tokens", 2.0 * Work.Count(Update), 7.0 * weights.Count * sizeof(Real), Update, batch * length);
    }
}
