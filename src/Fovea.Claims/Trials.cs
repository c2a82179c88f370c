using System.Diagnostics;
using Fovea.Kernels;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>What claims measure with: small trainings, held-out losses, clocks and fits.</summary>
static class Trials
{
    /// <summary>Trains with AdamW, warm-up and half a cosine; the losses of all steps. What diverges ends in +∞.</summary>
    public static double[] Train(ClaimRun run, string name, Weights w, int steps, double rate, Func<int, Pass, Tensor> loss, double decay = 0.1)
    {
        var trainer = new Trainer(w, new AdamW(decay: decay), new() { Steps = steps, Schedule = new WarmupCosine(rate, Math.Max(1, steps / 10), steps), Rng = run.Rng["passes"] });
        try { trainer.Run(loss, s => { if (s % 20 == 0) run.Report($"{name}: step {s} of {steps}, {trainer.Losses[^1]:f3} nats"); }, run.Cancel); }
        catch (ArithmeticException) { return [.. trainer.Losses, double.PositiveInfinity]; }
        return [.. trainer.Losses];
    }

    /// <summary>The same for a decoder: rows of a source, batch after batch.</summary>
    public static double[] Train(ClaimRun run, string name, DecoderModel model, Weights w, Source source, int size, int steps, double rate, bool reference = false) =>
        Train(run, name, w, steps, rate, (i, pass) =>
        {
            var b = source.Batch(run.Rng["train"], i, size);
            return model.Loss(b.Inputs, b.Targets, b.Size, reference ? new Pass { Training = true, Rng = pass.Rng, Reference = true } : pass);
        });

    /// <summary>Mean loss in nats and share of right answers on batches that training has not seen.</summary>
    public static (double Loss, double Accuracy) Test(ClaimRun run, DecoderModel model, Source source, int size, int batches, bool reference = false)
    {
        double loss = 0; int right = 0, asked = 0;
        for (int i = 0; i < batches; i++)
        {
            using var scope = Scope.NoGrad();
            var b = source.Batch(run.Rng["test"], i, size); var logits = model.Forward(b.Inputs, b.Size, new Pass { Reference = reference });
            loss += logits.CrossEntropy(b.Targets).Item / batches; right += b.Right(logits); asked += b.Asked;
        }
        return (loss, right / (double)asked);
    }

    /// <summary>Seconds of each action: the best of several rounds, or of as many more as two seconds give (ten times as many at most), in turns and on one thread, so that what disturbs one disturbs all, and waiting for a busy core counts as little as it can.</summary>
    public static double[] Fastest(ClaimRun run, int rounds, params Action[] actions)
    {
        var best = new double[actions.Length]; Array.Fill(best, double.PositiveInfinity);
        int threads = Threads.Max;
        try
        {
            Threads.Max = 1;
            long begin = Stopwatch.GetTimestamp();
            for (int round = -1; round < rounds || round < 10 * rounds && Stopwatch.GetElapsedTime(begin).TotalSeconds < 2; round++)
                for (int i = 0; i < actions.Length; i++)
                {
                    run.Cancel.ThrowIfCancellationRequested();
                    long start = Stopwatch.GetTimestamp(); actions[i]();
                    // The first round compiles.
                    if (round >= 0) best[i] = Math.Min(best[i], Stopwatch.GetElapsedTime(start).TotalSeconds);
                }
        }
        finally { Threads.Max = threads; }
        return best;
    }

    /// <summary>The exponent of y ~ x^e: least squares in logarithms.</summary>
    public static double Exponent(IReadOnlyList<(double X, double Y)> points)
    {
        double x = points.Average(p => Math.Log(p.X)), y = points.Average(p => Math.Log(p.Y));
        return points.Sum(p => (Math.Log(p.X) - x) * (Math.Log(p.Y) - y)) / points.Sum(p => Math.Pow(Math.Log(p.X) - x, 2));
    }

    /// <summary>Spearman's correlation of two lists of numbers; equal ones share their mean rank.</summary>
    public static double RankCorrelation(double[] a, double[] b)
    {
        double[] Ranks(double[] x) => [.. x.Select(v => x.Count(u => u < v) + (x.Count(u => u == v) - 1) / 2.0)];
        double[] ra = Ranks(a), rb = Ranks(b); double ma = ra.Average(), mb = rb.Average();
        return ra.Zip(rb, (p, q) => (p - ma) * (q - mb)).Sum() / Math.Sqrt(ra.Sum(p => (p - ma) * (p - ma)) * rb.Sum(q => (q - mb) * (q - mb)));
    }

    /// <summary>The largest difference between two lists of numbers; infinite if one is not a number.</summary>
    public static double Difference(IEnumerable<double> a, IEnumerable<double> b) => a.Zip(b, (x, y) => double.IsNaN(x - y) ? double.PositiveInfinity : Math.Abs(x - y)).Max();
    public static double Difference(Tensor a, Tensor b) => Difference(Wide(a.Span), Wide(b.Span));
    /// <summary>As float64, for comparing.</summary>
    public static double[] Wide(ReadOnlySpan<Real> x) { var y = new double[x.Length]; for (int i = 0; i < x.Length; i++) y[i] = x[i]; return y; }

    /// <summary>A forward and backward pass with a drawn gradient of the output.</summary>
    public static Action Step(Rng rng, Func<Tensor> forward)
    {
        Real[]? g = null;
        return () =>
        {
            using var scope = Scope.Train();
            var o = forward();
            if (g is null) rng.Normal(g = new Real[o.Shape.Size]);
            o.Backward(g);
        };
    }

    /// <summary>Normal numbers outside of any scope, into which gradients flow.</summary>
    public static Tensor Draw(Rng rng, Shape shape, Real std = 1)
    {
        var x = Tensor.Over(new Real[shape.Size], shape); rng.Normal(x.Span, std); x.RequiresGrad = true;
        return x;
    }
}
