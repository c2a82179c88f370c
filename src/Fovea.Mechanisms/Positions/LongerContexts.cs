namespace Fovea.Mechanisms;

/// <summary>Power basis: pair c of D/2 turns θ_c·(1 − 2c/D)^k, so that slow pairs slow down more than fast ones. k = 0 is plain rotation.</summary>
[From("giraffe", "§3.3")]
public sealed record PowerScaling(double Exponent) : RopeScaling
{
    public override double Frequency(double plain, int pair, int pairs, double theta) => plain * Math.Pow(1 - (double)pair / pairs, Exponent);
}

/// <summary>
/// Truncated basis for a training length L: with b = 2π/L, pairs of at least b stay, those between b/8 and b all turn 2π/(16L), and slower ones do not turn at all. Every frequency in use then turns
/// fully within L or hardly, and no angle is new beyond it.
/// </summary>
[From("giraffe", "§3.4")]
public sealed record TruncatedScaling(double TrainedLength) : RopeScaling
{
    public override double Frequency(double plain, int pair, int pairs, double theta)
    {
        double b = 2 * Math.PI / TrainedLength;
        return plain >= b ? plain : plain >= b / 8 ? b / 16 : 0;
    }
}

/// <summary>
/// While training, tokens stand at drawn places: steps uniform in [0, 2) added up, and divided so that the last place is at most the number of tokens. In evaluation this is the inner rule.
/// All layers of a pass draw the same places.
/// </summary>
[From("giraffe", "§3.5")]
public sealed class RandomisedPositions(Rope inner) : Position
{
    public override Tensor Apply(Tensor x, ReadOnlySpan<int> positions) => inner.Apply(x, positions);
    public override Position In(Pass pass) => pass.Training ? new Drawn(inner, pass.Rng["positions"]) : inner;

    /// <summary>The places of n tokens that one key draws, ascending.</summary>
    public static double[] Draw(Rng rng, int n)
    {
        var at = new double[n]; double sum = 0;
        for (int i = 0; i < n; i++) at[i] = sum += 2 * rng.Uniform(i);
        if (sum > n) for (int i = 0; i < n; i++) at[i] *= n / sum;
        return at;
    }

    sealed class Drawn(Rope inner, Rng rng) : Position
    {
        public override Tensor Apply(Tensor x, ReadOnlySpan<int> positions)
        {
            int last = 0;
            foreach (int p in positions) last = Math.Max(last, p);
            double[] all = Draw(rng, last + 1), at = new double[positions.Length];
            for (int i = 0; i < at.Length; i++) at[i] = all[positions[i]];
            return inner.Apply(x, at);
        }
    }
}

/// <summary>
/// Rotation with decay (arXiv 2212.10554): beside turning, pair c of a query at position n is multiplied with ζ_c^(n/B) and of a key with ζ_c^(−n/B), ζ_c = (2c + 0.4 D)/(1.4 D), so that
/// products fall with the distance. B is <paramref name="scaleBase"/> in tokens: 512, or 8192 for a model that was trained without decay.
/// </summary>
[From("giraffe", "§3.2")]
public sealed class XPos(double theta = 10000, RopeScaling? scaling = null, double scaleBase = 512) : Position
{
    readonly Rope rope = new(theta, scaling);

    public override Tensor Apply(Tensor x, ReadOnlySpan<int> positions) => Scaled(x, positions, 1);
    public override Tensor ApplyToKeys(Tensor k, ReadOnlySpan<int> positions) => Scaled(k, positions, -1);

    Tensor Scaled(Tensor x, ReadOnlySpan<int> positions, int sign)
    {
        var (_, _, n, d) = x.Shape; int half = d / 2;
        if (positions.Length != n) throw new ShapeException($"{positions.Length} positions for x {x.Shape}");
        Real[] cos = new Real[n * half], sin = new Real[n * half];
        for (int c = 0; c < half; c++)
        {
            double f = rope.Frequency(c, half), zeta = (2 * c + 0.4 * d) / (1.4 * d);
            for (int p = 0; p < n; p++)
            {
                double size = (scaling?.Magnitude ?? 1) * Math.Pow(zeta, sign * positions[p] / scaleBase);
                (cos[p * half + c], sin[p * half + c]) = ((Real)(size * Math.Cos(positions[p] * f)), (Real)(size * Math.Sin(positions[p] * f)));
            }
        }
        return Rope.Turn(x, cos, sin, HeadAttention.Consecutive(0, n), half);
    }
}
