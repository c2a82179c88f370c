using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>A layer's forms against each other: fused, plain, and token by token with a memory.</summary>
static class Forms
{
    /// <summary>
    /// The largest difference between a layer's fused and plain forms on drawn tokens [batch,n,dim]: of outputs, and of the gradients of the input (and of weights, if given), where they exceed 1 in units
    /// of the largest.
    /// </summary>
    public static (double Output, double Gradient) FusedAndPlain(Rng rng, Attention layer, int n, int dim, int batch = 1, Weights? weights = null)
    {
        var (o, dx) = Of(false); var (plain, dPlain) = Of(true);
        return (Trials.Difference(o, plain), Trials.Difference(dx, dPlain) / Math.Max(1, dPlain.Max(Math.Abs)));
        (double[], double[]) Of(bool reference)
        {
            weights?.ZeroGrad(); var x = Trials.Draw(rng["x"], [batch, n, dim]);
            using var scope = Scope.Train();
            var y = layer.Forward(x, new Pass { Training = true, Reference = reference }); var kept = Trials.Wide(y.Span);
            y.Backward(Trials.Draw(rng["g"], y.Shape, (Real)0.3).Span);
            return (kept, [.. Trials.Wide(x.Grad), .. weights?.All.Values.SelectMany(p => Trials.Wide(p.Grad)) ?? []]);
        }
    }

    /// <summary>The largest difference between drawn tokens [batch,n,dim] at once and one by one with a memory (of another layer, if given), and that memory after them.</summary>
    public static (double Difference, Memory Memory) Decoded(Rng rng, Attention layer, int n, int dim, int batch = 1, Attention? decoder = null)
    {
        var x = Trials.Draw(rng["x"], [batch, n, dim]); var memory = new Memory(); double worst = 0;
        using var scope = Scope.NoGrad();
        var whole = layer.Forward(x, Pass.Eval);
        for (int t = 0; t < n; t++) worst = Math.Max(worst, Trials.Difference(whole.Rows(t, t + 1), (decoder ?? layer).Forward(x.Rows(t, t + 1).Detach(), new Pass { Memory = memory })));
        return (worst, memory);
    }
}
