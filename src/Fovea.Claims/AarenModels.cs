using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

// What is trained.
static partial class AarenPaper
{
    /// <summary>The fault: every stretch of 16 tokens starts anew.</summary>
    sealed class Forgetful(AttentionConfig c, Weights w) : Attention
    {
        readonly AarenAttention inner = new(c, w);
        public override Tensor Forward(Tensor x, Tensor context, Pass pass)
        {
            var parts = new List<Tensor>();
            for (int at = 0; at < x.Shape[1]; at += 16) parts.Add(inner.Forward(x.Rows(at, Math.Min(at + 16, x.Shape[1])), pass));
            return Tensor.Concat(1, [.. parts]);
        }
    }

    // The mean of three models: single ones are 1.2 to 1.6 times as far off as the Transformer.
    static double Error(ClaimRun run, string kind) => Enumerable.Range(0, 3).Average(number => Error(run, kind, number));

    static double Error(ClaimRun run, string kind, int number)
    {
        var rng = SmallRuns.Key(run, number);
        SeriesModel Model(Weights w) => new(Small, Sines.Channels, Sines.Horizon, w, Mix(kind));
        var weights = run.Trained($"aaren-series-{kind}-{number}", () =>
        {
            var w = Weights.Random(rng["weights"]); var model = Model(w);
            Trials.Train(run, kind, w, 600, 3e-3, (i, pass) => { var (past, future) = Sines.Batch(rng["train"], i, 16); return Losses.MeanSquare(model.Forward(past, pass), future); }, 0.01);
            return w;
        });
        double sum = 0; var trained = Model(weights);
        for (int i = 0; i < 8; i++) { using var scope = Scope.NoGrad(); var (past, future) = Sines.Batch(run.Rng["test"], i, 32); sum += Losses.MeanSquare(trained.Forward(past, Pass.Eval), future).Item / 8; }
        return sum;
    }
}
