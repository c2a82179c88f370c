using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>How rotary frequencies change for contexts longer than those of training: frequency of pair c (of D/2) from the plain one θ^(−2c/D).</summary>
public abstract record RopeScaling
{
    /// <summary>The frequency in radians per token. plain is θ^(−2c/D).</summary>
    public abstract double Frequency(double plain, int pair, int pairs, double theta);
    /// <summary>What queries and keys are multiplied with, each.</summary>
    public virtual double Magnitude => 1;
}

/// <summary>Position interpolation: positions divided by the factor (arXiv 2306.15595; Giraffe §3.1).</summary>
[From("giraffe", "§3.1")]
public sealed record LinearScaling(double Factor) : RopeScaling
{
    public override double Frequency(double plain, int pair, int pairs, double theta) => plain / Factor;
}

/// <summary>NTK-aware: a larger base, θ·factor^(D/(D−2)), so that the fastest pairs keep their frequency and the slowest are interpolated.</summary>
public sealed record NtkScaling(double Factor) : RopeScaling
{
    public override double Frequency(double plain, int pair, int pairs, double theta) =>
        Math.Pow(theta * Math.Pow(Factor, pairs / Math.Max(1.0, pairs - 1)), -(double)pair / pairs);
}

/// <summary>
/// YaRN (arXiv 2309.00071): pairs that turn more than fast times within the original length stay, those that turn less than slow times are interpolated, a ramp between;
/// queries and keys are scaled so that logits grow by (0.1 ln factor + 1)².
/// </summary>
public sealed record YarnScaling(double Factor, int OriginalLength, double Fast = 32, double Slow = 1) : RopeScaling
{
    public override double Magnitude => Factor <= 1 ? 1 : 0.1 * Math.Log(Factor) + 1;
    public override double Frequency(double plain, int pair, int pairs, double theta)
    {
        // The pair that turns `turns` times within the original length; the ramp runs over pair numbers.
        double Pair(double turns) => pairs * Math.Log(OriginalLength / (turns * 2 * Math.PI)) / Math.Log(theta);
        double low = Math.Max(0, Math.Floor(Pair(Fast))), high = Math.Min(2 * pairs - 1, Math.Ceiling(Pair(Slow)));
        double interpolated = Math.Clamp((pair - low) / Math.Max(0.001, high - low), 0, 1);
        return plain / Factor * interpolated + plain * (1 - interpolated);
    }
}

/// <summary>Llama 3.1: wavelengths below original/high stay, above original/low are divided by the factor, blended between.</summary>
public sealed record Llama3Scaling(double Factor, int OriginalLength, double Low = 1, double High = 4) : RopeScaling
{
    public override double Frequency(double plain, int pair, int pairs, double theta)
    {
        double wavelength = 2 * Math.PI / plain;
        if (wavelength < OriginalLength / High) return plain;
        if (wavelength > OriginalLength / Low) return plain / Factor;
        double smooth = (OriginalLength / wavelength - Low) / (High - Low);
        return (1 - smooth) * plain / Factor + smooth * plain;
    }
}

/// <summary>Rotary positions: pair c of each head turns by position · θ^(−2c/D) (arXiv 2104.09864, Eq. 34). Pairs are channels c and c + D/2.</summary>
/// <param name="theta">Base θ of the frequencies.</param>
/// <param name="scaling">Rule for longer contexts, or null.</param>
/// <param name="share">Share of the channels that turn; the rest pass unchanged.</param>
[From("2104.09864", "Eq. 34")]
public sealed class Rope(double theta = 10000, RopeScaling? scaling = null, double share = 1) : Position
{
    readonly RopeScaling? scaling = scaling; readonly double share = share;
    /// <summary>The base of the wavelengths.</summary>
    public double Theta => theta;
    /// <summary>The rule for longer contexts, or null.</summary>
    public RopeScaling? Scaling => scaling;
    /// <summary>The share of channels that turn.</summary>
    public double Share => share;
    sealed record Tables(int Half, int Rows, Real[] Cos, Real[] Sin);
    Tables? tables;

    public override Tensor Apply(Tensor x, ReadOnlySpan<int> positions)
    {
        var (b, h, n, d) = x.Shape;
        if (positions.Length != n) throw new ShapeException($"{positions.Length} positions for x {x.Shape}");
        int half = (int)(d * share) / 2, last = 0;
        foreach (int p in positions) last = Math.Max(last, p);
        var t = For(half, last + 1);
        return Turn(x, t.Cos, t.Sin, positions.ToArray(), half);
    }

    /// <summary>As above at positions that need not be whole.</summary>
    public Tensor Apply(Tensor x, ReadOnlySpan<double> positions)
    {
        var (_, _, n, d) = x.Shape;
        if (positions.Length != n) throw new ShapeException($"{positions.Length} positions for x {x.Shape}");
        int half = (int)(d * share) / 2; Real[] cos = new Real[n * half], sin = new Real[n * half]; double magnitude = scaling?.Magnitude ?? 1;
        for (int c = 0; c < half; c++)
        {
            double f = Frequency(c, half);
            for (int p = 0; p < n; p++) { cos[p * half + c] = (Real)(magnitude * Math.Cos(positions[p] * f)); sin[p * half + c] = (Real)(magnitude * Math.Sin(positions[p] * f)); }
        }
        return Turn(x, cos, sin, HeadAttention.Consecutive(0, n), half);
    }

    /// <summary>Keys that another rule has turned, as this one would have turned them: by the difference of the angles. Both rules turn the same share of the channels.</summary>
    public Tensor Again(Tensor k, ReadOnlySpan<int> positions, Rope before)
    {
        var (_, _, n, d) = k.Shape;
        if (positions.Length != n || before.share != share) throw new ArgumentException($"{positions.Length} positions for keys {k.Shape}; shares of the channels are {before.share} and {share}");
        int half = (int)(d * share) / 2; Real[] cos = new Real[n * half], sin = new Real[n * half]; double magnitude = (scaling?.Magnitude ?? 1) / (before.scaling?.Magnitude ?? 1);
        for (int c = 0; c < half; c++)
        {
            double f = Frequency(c, half) - before.Frequency(c, half);
            for (int p = 0; p < n; p++) { cos[p * half + c] = (Real)(magnitude * Math.Cos(positions[p] * f)); sin[p * half + c] = (Real)(magnitude * Math.Sin(positions[p] * f)); }
        }
        return Turn(k, cos, sin, HeadAttention.Consecutive(0, n), half);
    }

    /// <summary>Radians per token of pair c of half.</summary>
    public double Frequency(int c, int half)
    {
        double plain = Math.Pow(theta, -(double)c / half);
        return scaling?.Frequency(plain, c, half, theta) ?? plain;
    }

    internal static Tensor Turn(Tensor x, Real[] cos, Real[] sin, int[] at, int half)
    {
        var (b, h, n, d) = x.Shape; var y = Tensor.Empty(x.Shape);
        Rotary.Apply(x.Span, y.Span, cos, sin, at, b * h * n, d, half);
        return Tensor.Record(y, [x], y => Rotary.Apply(y.Grad, x.Grad, cos, sin, at, b * h * n, d, half, inverse: true));
    }

    // Grown by doubling and replaced as a whole, so that a reader never sees a half-made table.
    Tables For(int half, int rows)
    {
        if (tables is { } t && t.Half == half && t.Rows >= rows) return t;
        rows = Math.Max(256, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)rows));
        var made = new Tables(half, rows, new Real[rows * half], new Real[rows * half]);
        double magnitude = scaling?.Magnitude ?? 1;
        for (int c = 0; c < half; c++)
        {
            double f = Frequency(c, half);
            for (int p = 0; p < rows; p++) { made.Cos[p * half + c] = (Real)(magnitude * Math.Cos(p * f)); made.Sin[p * half + c] = (Real)(magnitude * Math.Sin(p * f)); }
        }
        return tables = made;
    }
}
