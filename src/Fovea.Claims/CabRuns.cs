using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>Says nothing: a model without attention.</summary>
sealed class NoMixing : Attention { public override Tensor Forward(Tensor x, Tensor context, Pass pass) => Tensor.Zeros(x.Shape); }

static class CabRuns
{
    /// <summary>Mean loss of the last 32 places of rows of a text, of which the model sees the last few tokens.</summary>
    public static double LastPlaces(ClaimRun run, DecoderModel model, Source text, int seen)
    {
        double sum = 0; int asked = 0, length = text.Length;
        foreach (var b in SmallRuns.HeldOut(run, text, 6, 8))
        {
            int[] Last(int[] x, bool targets) => [.. Enumerable.Range(0, b.Size).SelectMany(r => x.AsSpan(r * length + length - seen, seen).ToArray().Select((t, i) => targets && i < seen - 32 ? -1 : t))];
            var part = new Batch(Last(b.Inputs, false), Last(b.Targets, true), b.Size, seen);
            sum += SmallRuns.Losses(model, part).Sum(); asked += part.Asked;
        }
        return sum / asked;
    }
}
