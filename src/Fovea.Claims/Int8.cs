using System.Numerics.Tensors;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Eight-bit inference, simulated: weights symmetric by their largest magnitude, activations asymmetric by ranges that calibration batches saw (running minima and maxima, momentum 0.9), each per tensor.
/// Everything a probe can reach is rounded but scores, weights of attention and logits.
/// </summary>
sealed class Int8 : IProbe
{
    readonly Dictionary<Site, (double Low, double High)> ranges = []; bool calibrating = true;
    public bool Wants(Site site) => site.Part is not (Part.Scores or Part.Pattern or Part.Logits);
    public Tensor Visit(Site site, Tensor value)
    {
        if (calibrating)
        {
            double low = Math.Min(0, TensorPrimitives.Min<Real>(value.Span)), high = Math.Max(0, TensorPrimitives.Max<Real>(value.Span));
            ranges[site] = ranges.TryGetValue(site, out var r) ? (0.9 * r.Low + 0.1 * low, 0.9 * r.High + 0.1 * high) : (low, high);
            return value;
        }
        var (a, b) = ranges[site]; double step = (b - a) / 255; var y = Tensor.Empty(value.Shape);
        if (step == 0) return value;
        for (int i = 0; i < y.Shape.Size; i++) y.Span[i] = (Real)(Math.Clamp(Math.Round((value.Span[i] - a) / step), 0, 255) * step + a);
        return y;
    }

    /// <summary>Loss in nats on held-out batches with eight bits everywhere but in the output layer.</summary>
    public static double Loss(ClaimRun run, ModelConfig config, Weights w, Mixer? mixer, Source text)
    {
        var rounded = Weights.From(w.All.ToDictionary(p => p.Key, p => p.Key.StartsWith("head.", StringComparison.Ordinal) || p.Value.Shape.Rank < 2 ? p.Value : Rounded(p.Value)));
        var model = new DecoderModel(config, rounded, mixer); var probe = new Int8();
        foreach (bool calibrate in (bool[])[true, false])
        {
            probe.calibrating = calibrate; double sum = 0; int asked = 0;
            for (int i = 0; i < (calibrate ? 16 : 8); i++)
            {
                using var scope = Scope.NoGrad();
                var b = text.Batch(run.Rng[calibrate ? "calibration" : "held out"], i, 16);
                sum += model.Forward(b.Inputs, b.Size, new Pass { Probe = probe }).CrossEntropy(b.Targets).Item * b.Asked; asked += b.Asked;
            }
            if (!calibrate) return sum / asked;
        }
        return double.NaN;
    }

    static Tensor Rounded(Tensor w)
    {
        Real step = TensorPrimitives.MaxMagnitude<Real>(w.Span) is var m ? Math.Abs(m) / 127 : 0; var y = Tensor.From(w.Span, w.Shape);
        if (step > 0) for (int i = 0; i < y.Shape.Size; i++) y.Span[i] = step * Real.Round(y.Span[i] / step);
        return y;
    }
}
