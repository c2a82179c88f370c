namespace Fovea.Models;

/// <summary>What a <see cref="SubwordTokenizer"/> is made of, whichever file it comes from.</summary>
sealed record TokenizerParts
{
    public required ISubwordModel Model { get; init; }
    /// <summary>The bytes of each token in a text.</summary>
    public required byte[][] Pieces { get; init; }
    /// <summary>Tokens that are not shown.</summary>
    public required bool[] Control { get; init; }
    public Normaliser? Normaliser { get; init; }
    public PieceStep[] Steps { get; init; } = [];
    /// <summary>Found in the text as it comes, and in the normalised text.</summary>
    public required SpecialTokens Special { get; init; }
    public SpecialTokens? SpecialNormalised { get; init; }
    public required IReadOnlyDictionary<string, int> Named { get; init; }
    public int[] Before { get; init; } = [];
    public int[] Behind { get; init; } = [];
    public int? Bos { get; init; }
    public int? Eos { get; init; }
    public IReadOnlySet<int> Ends { get; init; } = new HashSet<int>();
    public int LeadingSpaces { get; init; }
}
