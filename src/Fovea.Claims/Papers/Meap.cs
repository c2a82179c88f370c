using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Next-token training on inputs some of which are hidden, on grammar text with recall lines, beside plain training; same steps and rows.
/// Ablated: nothing is hidden. Not shown: that retrieval of needles improves, and where attention goes. Byte models of this size need
/// several thousand steps before they retrieve at all; with needles of one token (rows of 128, 3 layers of 48 channels, calibrated on seed 11) both kinds retrieve perfectly after 100 steps, plain training slightly earlier.
/// </summary>
[Paper("meap")]
public static class Meap
{
    const int Length = 64, Steps = 1600;
    static readonly GrammarText Text = new(Length);
    static readonly ModelConfig Small = new(257, 64, 2, 4) { Hidden = 128, Length = Length };
    static MaskedInputs Masked(ClaimRun run) => new(Text, run.Ablated ? 0 : 0.15);

    [Claim("So many inputs of each row are hidden as asked, never the last and never a target; a share of 0 is plain training bit for bit", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        var source = Masked(run); var b = source.Batch(run.Rng["rows"], 0, 64); var plain = new MaskedInputs(Text, 0).Batch(run.Rng["rows"], 0, 64); var inner = Text.Batch(run.Rng["rows"], 0, 64); int wrong = 0, other = 0;
        for (int r = 0; r < 64; r++)
        {
            int hidden = 0;
            for (int i = 0; i < Length; i++)
            {
                if (b.Input(r)[i] == source.Mask) hidden++; else if (b.Input(r)[i] != inner.Input(r)[i]) other++;
                if (b.Target(r)[i] != inner.Target(r)[i] || plain.Input(r)[i] != inner.Input(r)[i]) other++;
            }
            if (hidden != (int)(0.15 * Length) || b.Input(r)[^1] == source.Mask) wrong++;
        }
        return Evidence.All(Evidence.AtMost(wrong, 0, "rows", "with another number of hidden inputs"), Evidence.AtMost(other, 0, "places", "changed that should not be"));
    }

    [Claim("Trained on hidden inputs it predicts clean text as well, and text with hidden inputs far better")]
    public static Evidence Predicts(ClaimRun run)
    {
        DecoderModel plain = SmallRuns.Train(run, "meap-plain", Small, new MaskedInputs(Text, 0), Steps, 16, 4e-3), masked = run.Ablated ? plain : SmallRuns.Train(run, "meap-masked", Small, Masked(run), Steps, 16, 4e-3);
        List<Batch> clean = [.. SmallRuns.HeldOut(run, new MaskedInputs(Text, 0), 16, 32)], hidden = [.. SmallRuns.HeldOut(run, new MaskedInputs(Text, 0.15), 16, 32)];
        double a = SmallRuns.Loss(plain, clean), b = SmallRuns.Loss(masked, clean), c = SmallRuns.Loss(plain, hidden), d = SmallRuns.Loss(masked, hidden);
        return Evidence.All(Evidence.AtMost(b - a, 0.05, "nats", $"loss on clean text beyond plain training ({a:f3})"), Evidence.AtLeast(c - d, 0.1, "nats", $"loss of plain training on text with hidden inputs beyond it ({d:f3})"));
    }
}
