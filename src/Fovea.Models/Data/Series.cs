namespace Fovea.Models;

/// <summary>
/// Multivariate time series: every channel is a sine whose frequency is that of the regime, with a phase of its own, plus noise that lasts (x_t = 0.7 x_{t−1} + 0.1 ε); the regime, one of three frequencies,
/// changes with probability 1/200 per step. A window is Context steps, what to forecast the Horizon steps after.
/// </summary>
public sealed class Series(int context = 96, int horizon = 24, int channels = 3)
{
    static readonly double[] Periods = [12, 20, 33];
    public int Context { get; } = context >= 1 ? context : throw new ArgumentOutOfRangeException(nameof(context), context, "context must be at least 1");
    public int Horizon { get; } = horizon >= 1 ? horizon : throw new ArgumentOutOfRangeException(nameof(horizon), horizon, "horizon must be at least 1");
    public int Channels { get; } = channels >= 1 ? channels : throw new ArgumentOutOfRangeException(nameof(channels), channels, "channels must be at least 1");

    /// <summary>Past [Size,Context,Channels] and future [Size,Horizon,Channels]; row b of step s is a function of (rng, s, b) and of nothing else.</summary>
    public (Tensor Past, Tensor Future) Batch(Rng rng, int step, int size)
    {
        Tensor past = Tensor.Empty([size, Context, Channels]), future = Tensor.Empty([size, Horizon, Channels]);
        var phase = new double[Channels]; var noise = new double[Channels];
        for (int b = 0; b < size; b++)
        {
            var dice = new Dice(rng[step][b]); int regime = dice.Next(Periods.Length); Array.Clear(noise);
            for (int c = 0; c < Channels; c++) phase[c] = 2 * Math.PI * dice.Uniform();
            for (int t = 0; t < Context + Horizon; t++)
            {
                if (dice.Uniform() < 1.0 / 200) regime = dice.Next(Periods.Length);
                for (int c = 0; c < Channels; c++)
                {
                    phase[c] += 2 * Math.PI / Periods[regime];
                    noise[c] = 0.7 * noise[c] + 0.1 * Math.Sqrt(-2 * Math.Log(1 - dice.Uniform())) * Math.Cos(2 * Math.PI * dice.Uniform());
                    var to = t < Context ? past.Span[((b * Context + t) * Channels)..] : future.Span[((b * Horizon + t - Context) * Channels)..];
                    to[c] = (Real)(Math.Sin(phase[c]) + noise[c]);
                }
            }
        }
        return (past, future);
    }
}

/// <summary>
/// Events of several types that excite each other: after each event the next is drawn in proportion to 0.05 + Σ over past events of e^(−age/4) for the type that the past one excites most (the next in a ring),
/// tokens are types, every place a target.
/// </summary>
public sealed class Events(int length = 64, int types = 6) : Source
{
    public override int Length { get; } = length >= 1 ? length : throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 1");
    public override int Vocabulary { get; } = types >= 2 ? types : throw new ArgumentOutOfRangeException(nameof(types), types, "types must be at least 2");

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        var rate = new double[Vocabulary]; var events = new int[Length + 1]; double decay = Math.Exp(-0.25);
        for (int t = 0; t <= Length; t++)
        {
            double u = dice.Uniform() * (rate.Sum() + 0.05 * Vocabulary); int x = 0;
            while (x < Vocabulary - 1 && (u -= rate[x] + 0.05) > 0) x++;
            for (int i = 0; i < rate.Length; i++) rate[i] *= decay;
            rate[((events[t] = x) + 1) % Vocabulary] += 1;
        }
        Next(events, inputs, targets);
    }
}
