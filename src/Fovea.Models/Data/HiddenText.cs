namespace Fovea.Models;

/// <summary>
/// Masked language modelling (arXiv 1810.04805, §3.1): rows of another source, of which a share of the tokens is hidden behind one token more, the last of the vocabulary; asked for are the hidden tokens,
/// at their own places. All that is chosen is hidden; the paper leaves a tenth as it is and replaces another.
/// </summary>
public sealed class HiddenText(Source inner, double share = 0.15) : Source
{
    readonly double share = share is > 0 and < 1 ? share : throw new ArgumentOutOfRangeException(nameof(share), share, "must be above 0 and below 1");
    public override int Vocabulary => inner.Vocabulary + 1;
    public override int Length => inner.Length;
    /// <summary>The token that stands for a hidden one.</summary>
    public int Mask => inner.Vocabulary;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        inner.Write(dice, inputs, targets);
        targets.Fill(-1);
        var places = new int[Length];
        for (int i = 0; i < places.Length; i++) places[i] = i;
        dice.Shuffle<int>(places);
        foreach (int i in places.AsSpan(0, Math.Max(1, (int)(share * Length)))) (targets[i], inputs[i]) = (inputs[i], Mask);
    }
}
