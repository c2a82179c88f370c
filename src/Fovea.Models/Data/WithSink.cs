namespace Fovea.Models;

/// <summary>
/// Rows of another source with one token before each that appears nowhere else, token Vocabulary − 1, and about which nothing is asked: the learnable sink token (StreamingLLM §3.3).
/// Its vector is an ordinary row of the embedding.
/// </summary>
/// <param name="skip">Tokens that are dropped from the beginning of each inner row, so that the sink is the only token that all rows begin with.</param>
[From("streamingllm", "§3.3")]
public sealed class WithSink(Source inner, int skip = 0) : Source
{
    readonly int skip = skip >= 0 && skip < inner.Length ? skip : throw new ArgumentOutOfRangeException(nameof(skip), skip, $"skip must be 0 to {inner.Length - 1}");
    public override int Vocabulary => inner.Vocabulary + 1;
    public override int Length => inner.Length + 1 - skip;
    /// <summary>The token that begins every row.</summary>
    public int Sink => inner.Vocabulary;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        int[] x = new int[inner.Length], y = new int[inner.Length];
        inner.Write(dice, x, y);
        (inputs[0], targets[0]) = (Sink, -1);
        x.AsSpan(skip).CopyTo(inputs[1..]); y.AsSpan(skip).CopyTo(targets[1..]);
    }
}
