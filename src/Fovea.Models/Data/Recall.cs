namespace Fovea.Models;

/// <summary>
/// Multi-query associative recall (2312.04927, §3): k₁ v₁ k₂ v₂ … and then keys alone, in random order and each as often as the others,
/// up to one; the target at such a key is its value, and −1 everywhere else. Keys are the lower half of the vocabulary, values the
/// upper half; the keys of a row are distinct, values may repeat. Chance is 2 / Vocabulary.
/// </summary>
[From("2312.04927", "§3")]
public sealed class Recall : Source
{
    public Recall(int length = 64, int pairs = 8, int vocabulary = 64)
    {
        if (vocabulary < 4) throw new ArgumentOutOfRangeException(nameof(vocabulary), vocabulary, "vocabulary must be at least 4");
        if (pairs < 1 || pairs > vocabulary / 2) throw new ArgumentOutOfRangeException(nameof(pairs), pairs, $"pairs must be 1 to {vocabulary / 2}, half the vocabulary");
        if (length <= 2 * pairs) throw new ArgumentOutOfRangeException(nameof(length), length, $"length must be above {2 * pairs}, or nothing is asked");
        (Length, Pairs, Vocabulary) = (length, pairs, vocabulary);
    }
    public override int Length { get; }
    public override int Vocabulary { get; }
    public int Pairs { get; }

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        int half = Vocabulary / 2; targets.Fill(-1);
        var keys = new int[half]; for (int i = 0; i < half; i++) keys[i] = i;
        dice.Shuffle<int>(keys);
        var values = new int[Pairs];
        for (int p = 0; p < Pairs; p++) { inputs[2 * p] = keys[p]; inputs[2 * p + 1] = values[p] = half + dice.Next(Vocabulary - half); }
        var order = new int[Pairs]; for (int p = 0; p < Pairs; p++) order[p] = p;
        for (int i = 2 * Pairs; i < Length; i++)
        {
            int q = (i - 2 * Pairs) % Pairs;
            if (q == 0) dice.Shuffle<int>(order);
            (inputs[i], targets[i]) = (keys[order[q]], values[order[q]]);
        }
    }
}

/// <summary>
/// Copying: Length / 2 random symbols, a separator, and the same symbols again; targets ask for the second half only.
/// Symbols are 0 … Symbols − 1, the separator is the last token of the vocabulary.
/// </summary>
public sealed class CopyTask : Source
{
    public CopyTask(int length = 64, int symbols = 16)
    {
        if (length < 2 || length % 2 != 0) throw new ArgumentOutOfRangeException(nameof(length), length, "length must be even and at least 2");
        if (symbols < 2) throw new ArgumentOutOfRangeException(nameof(symbols), symbols, "symbols must be at least 2");
        (Length, Symbols) = (length, symbols);
    }
    public override int Length { get; }
    public int Symbols { get; }
    public override int Vocabulary => Symbols + 1;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        int n = Length / 2; targets.Fill(-1);
        for (int i = 0; i < n; i++) inputs[i] = dice.Next(Symbols);
        inputs[n] = Symbols;
        for (int i = 1; i < n; i++) inputs[n + i] = inputs[i - 1];
        for (int i = 0; i < n; i++) targets[n + i] = inputs[i];
    }
}
