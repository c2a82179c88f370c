namespace Fovea.Engine;

/// <summary>
/// How a token is drawn from logits. Logits are first changed by bias and penalties; then tokens stay that have at least MinP times the largest probability, of these the likeliest TopK, of these the fewest that hold TopP of their probability;
/// then the temperature is applied and one is drawn. The draw is a function of the seed and of the token's number alone. What is at its default does nothing.
/// </summary>
public sealed record Sampling
{
    /// <summary>0 takes the likeliest token, always.</summary>
    public double Temperature { get; init; }
    public int TopK { get; init; }
    public double TopP { get; init; } = 1;
    public double MinP { get; init; }
    /// <summary>Logits of tokens among the last PenaltyLength are divided by it where positive, and multiplied where negative (1909.05858, §4.1).</summary>
    public double RepetitionPenalty { get; init; } = 1;
    /// <summary>Subtracted once for every occurrence of a token among the last PenaltyLength, and once if there is any.</summary>
    public double FrequencyPenalty { get; init; }
    public double PresencePenalty { get; init; }
    public int PenaltyLength { get; init; } = 64;
    /// <summary>Added to logits, by token; −∞ forbids one.</summary>
    public IReadOnlyDictionary<int, double> Bias { get; init; } = new Dictionary<int, double>();
    public ulong Seed { get; init; } = 1;

    /// <summary>The likeliest token, always.</summary>
    public static Sampling Greedy { get; } = new();
    /// <summary>What chat programs do by default: temperature 0.8 over the 40 likeliest tokens with 0.95 of the probability, none below 0.05 of the likeliest.</summary>
    public static Sampling Usual { get; } = new() { Temperature = 0.8, TopK = 40, TopP = 0.95, MinP = 0.05 };

    /// <summary>Throws an <see cref="ArgumentException"/> that names what is out of its range.</summary>
    public Sampling Checked()
    {
        static void Need(bool good, string name, double found, string expected) { if (!good) throw new ArgumentException($"{name} is {found.ToString(System.Globalization.CultureInfo.InvariantCulture)}, expected {expected}"); }
        Need(Temperature is >= 0 and <= 100, "temperature", Temperature, "0 to 100"); Need(TopK >= 0, "top-k", TopK, "0 or more"); Need(TopP is > 0 and <= 1, "top-p", TopP, "above 0, up to 1");
        Need(MinP is >= 0 and <= 1, "min-p", MinP, "0 to 1"); Need(RepetitionPenalty is > 0 and <= 100, "repetition penalty", RepetitionPenalty, "above 0, up to 100");
        Need(Math.Abs(FrequencyPenalty) <= 100, "frequency penalty", FrequencyPenalty, "-100 to 100"); Need(Math.Abs(PresencePenalty) <= 100, "presence penalty", PresencePenalty, "-100 to 100"); Need(PenaltyLength >= 0, "penalty length", PenaltyLength, "0 or more");
        foreach (var (token, b) in Bias) Need(!double.IsNaN(b) && !double.IsPositiveInfinity(b), $"bias of token {token}", b, "a number");
        return this;
    }
}

/// <summary>What a text may go on with. The state is that of the text so far.</summary>
public interface IConstraint
{
    /// <summary>Whether the text may end here.</summary>
    bool Complete { get; }
    /// <summary>Whether the text may go on with these bytes.</summary>
    bool Allows(ReadOnlySpan<byte> bytes);
    /// <summary>Goes on with bytes that are allowed.</summary>
    void Accept(ReadOnlySpan<byte> bytes);
}
