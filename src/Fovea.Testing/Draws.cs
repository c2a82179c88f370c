using Fovea.Mechanisms;
namespace Fovea.Testing;

/// <summary>Inputs of laws, and how far two results are apart.</summary>
public static class Draws
{
    /// <summary>Channels of every drawn input.</summary>
    public const int C = 32;
    /// <summary>Normal numbers [B,N,32].</summary>
    public static Tensor Draw(int b, int n, double scale = 1, ulong seed = 5)
    {
        var x = Tensor.Over(new Real[b * n * C], [b, n, C]);
        new Rng(seed).Normal(x.Span, (Real)scale);
        return x;
    }
    // Inputs that grow along the sequence, so that a running maximum must move again and again.
    /// <summary>[1,N,32] growing along the sequence.</summary>
    public static Tensor Rising(int n)
    {
        var x = Draw(1, n);
        for (int i = 0; i < x.Shape.Size; i++) x.Span[i] *= (Real)(0.2 * (i / C));
        return x;
    }
    /// <summary>The larger error; a NaN counts as infinite.</summary>
    public static double Worse(double worst, double d) => double.IsNaN(d) ? double.PositiveInfinity : Math.Max(worst, d);
    public static bool Finite(Tensor x) { foreach (Real v in x.Span) if (!Real.IsFinite(v)) return false; return true; }
    public static double Largest(ReadOnlySpan<Real> x) { double m = 0; foreach (Real v in x) m = Math.Max(m, Math.Abs(v)); return m; }
    public static double Largest(Tensor x) => Largest(x.Span);
    /// <summary>The largest difference; infinite if shapes differ or a number is NaN.</summary>
    public static double Difference(Tensor a, Tensor b)
    {
        if (a.Shape != b.Shape) return double.PositiveInfinity;
        double worst = 0; var x = a.Span; var y = b.Span;
        for (int i = 0; i < x.Length; i++) worst = Worse(worst, Math.Abs(x[i] - y[i]));
        return worst;
    }

    internal sealed class Watcher(bool patterns) : IProbe
    {
        public bool Wants(Site site) => patterns || site.Part is not (Part.Scores or Part.Pattern);
        public Tensor Visit(Site site, Tensor value) => value;
    }
}
