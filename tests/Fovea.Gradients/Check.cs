using Fovea.Mechanisms;

namespace Fovea.GradientTests;

/// <summary>Gradients in the float64 build of the same sources, against central differences along random directions.</summary>
static class GradientCheck
{
    /// <summary>Relative error that rounding and the h² term of the difference can explain; docs/numerics.md.</summary>
    public const double Bound = 1e-7;

    /// <summary>The largest relative error over all tensors given. loss must be a scalar and the same function on every call.</summary>
    public static (double Error, string Where) Worst(IEnumerable<KeyValuePair<string, Tensor>> tensors, Func<Tensor> loss, double step = 1e-4)
    {
        var all = tensors.Where(p => p.Value.RequiresGrad).ToList();
        foreach (var (_, p) in all) p.ZeroGrad();
        using (Scope.Train()) loss().Backward();
        double worst = 0; string where = "nothing";
        foreach (var (name, p) in all)
        {
            var direction = new double[p.Shape.Size];
            new Rng(11)[name].Normal(direction);
            double exact = 0;
            for (int i = 0; i < direction.Length; i++) exact += direction[i] * p.Grad[i];
            double At(double s)
            {
                for (int i = 0; i < direction.Length; i++) p.Span[i] += s * direction[i];
                try { using var scope = Scope.NoGrad(); return loss().Item; }
                finally { for (int i = 0; i < direction.Length; i++) p.Span[i] -= s * direction[i]; }
            }
            // Fourth-order central difference, with a step that is small against the parameter: its own error stays far below the bound.
            double size = 0;
            foreach (double v in p.Span) size += v * v;
            double h = step * Math.Clamp(Math.Sqrt(size / p.Span.Length), 0.02, 1);
            double numeric = (8 * (At(h) - At(-h)) - (At(2 * h) - At(-2 * h))) / (12 * h);
            double error = Math.Abs(exact - numeric) / Math.Max(1, Math.Abs(numeric));
            if (!(error <= worst)) (worst, where) = (double.IsNaN(error) ? double.PositiveInfinity : error, name);
        }
        return (worst, where);
    }

    public static void Holds(IEnumerable<KeyValuePair<string, Tensor>> tensors, Func<Tensor> loss, double step = 1e-4)
    {
        var (error, where) = Worst(tensors, loss, step);
        Assert.True(error <= Bound, $"gradient of {where} is off by {error:e2}");
    }

    /// <summary>A tensor whose gradient is wanted.</summary>
    public static Tensor Input(ulong seed, Shape shape, double std = 1)
    {
        var t = Tensor.Over(new double[shape.Size], shape);
        new Rng(seed).Normal(t.Span, std);
        t.RequiresGrad = true;
        return t;
    }
    /// <summary>A scalar in which every element of y has its own random weight.</summary>
    public static Tensor Weighted(Tensor y) => (y * Tensor.Normal(new Rng(99), y.Shape)).Sum();
}
