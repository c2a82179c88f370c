using Fovea.Models;
namespace Fovea.Claims;

/// <summary>How much of its source a sequence-to-sequence model uses, step by step.</summary>
static class PalmRuns
{
    /// <summary>Share of attention on the source at every step of the target, mean over layers, heads and rows.</summary>
    public static double[] Mass(ClaimRun run, PartialAttentionModel model, Translations text)
    {
        var (source, t) = text.Batch(run.Rng["measured"], 0, 16); int n = t.Length; string[] names = [.. Enumerable.Range(0, model.Config.Layers).Select(l => $"blocks.{l}.attn.pattern")]; var capture = new Capture(names); var mass = new double[n];
        using var scope = Scope.NoGrad();
        model.Decode(t.Inputs, model.Encode(source, t.Size, Pass.Eval), new Pass { Probe = capture });
        foreach (string name in names)
        {
            var p = capture[name]; int keys = p.Shape[3], rows = p.Shape.Size / keys;
            for (int r = 0; r < rows; r++) for (int j = 0; j < text.Length; j++) mass[r % n] += p.Span[r * keys + j] * (double)n / rows / names.Length;
        }
        return mass;
    }

    /// <summary>‖∂o_i/∂s‖ at one step of the target, by a random probe of its last hidden state.</summary>
    public static double Sensitivity(ClaimRun run, PartialAttentionModel model, Translations text, int step)
    {
        var (source, t) = text.Batch(run.Rng["measured"], 0, 4); double sum = 0;
        using var scope = Scope.Train();
        var s = model.Encode(source, t.Size, Pass.Eval); s.Embedded.RetainGrad();
        var o = model.Hidden(t.Inputs, s, Pass.Eval).Rows(step, step + 1);
        (o * Tensor.Normal(run.Rng["probe"], o.Shape)).Sum().Backward();
        foreach (Real g in s.Embedded.Grad) sum += (double)g * g;
        return Math.Sqrt(sum);
    }
    /// <summary>Mean of the last tenth over mean of the first.</summary>
    public static double Deciles(double[] x) { int part = Math.Max(1, x.Length / 10); return x[^part..].Average() / x[..part].Average(); }
}
