namespace Fovea.Engine;

/// <summary>What happens when a text reaches the length that there is room for: an error before it begins or goes on, an end, or forgetting the older half and reading the rest again.</summary>
public enum Overflow { Error, Stop, Slide }

/// <summary>Why a generated text ends.</summary>
public enum Finish { Running, EndToken, StopText, Length, Overflow, Cancelled, Constraint, Failed }

/// <summary>What is to be written.</summary>
/// <param name="Prompt">Tokens to go on with; at least one.</param>
public sealed record Request(ReadOnlyMemory<int> Prompt)
{
    public Sampling Sampling { get; init; } = Sampling.Usual;
    /// <summary>The most tokens that are written.</summary>
    public int MaxTokens { get; init; } = int.MaxValue;
    /// <summary>Texts that end the text when they appear, and are left out.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];
    public Overflow Overflow { get; init; } = Overflow.Error;
    /// <summary>What the text must obey, or null; of one request alone, since it follows the text.</summary>
    public IConstraint? Constraint { get; init; }
    /// <summary>How many of the likeliest tokens are told with each; 0 also tells nothing of the token's own probability.</summary>
    public int LogProbs { get; init; }
    /// <summary>Whether tokens that end a text are written like others.</summary>
    public bool IgnoreEnd { get; init; }
    public CancellationToken Cancel { get; init; }
}

/// <summary>A token and the natural logarithm of its probability.</summary>
public readonly record struct Likely(int Token, double LogProbability);

/// <summary>A token that was written: what it completes of the text, which may be nothing, and if asked for its probability and the likeliest ones in its place.</summary>
public readonly record struct Written(int Token, string Text, double LogProbability = double.NaN, Likely[]? Others = null);
