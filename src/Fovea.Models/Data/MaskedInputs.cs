namespace Fovea.Models;

/// <summary>
/// Rows of another source, some of whose inputs are replaced by one token more, the last of the vocabulary; targets stay what they were (MEAP §3.1). Per row max(1, ⌊share·N⌋) distinct places of 0 … N − 2 are drawn.
/// A share of 0 changes nothing but the vocabulary.
/// </summary>
[From("meap", "§3.1")]
public sealed class MaskedInputs(Source inner, double share = 0.15) : Source
{
    readonly double share = share is >= 0 and < 1 ? share : throw new ArgumentOutOfRangeException(nameof(share), share, "must be at least 0 and below 1");
    public override int Vocabulary => inner.Vocabulary + 1;
    public override int Length => inner.Length;
    /// <summary>The token that stands for a hidden one; never a target.</summary>
    public int Mask => inner.Vocabulary;
    /// <summary>Inputs that are hidden per row.</summary>
    public int Hidden => share == 0 || Length < 2 ? 0 : Math.Max(1, (int)(share * Length));

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        inner.Write(dice, inputs, targets);
        var places = new int[Length - 1];
        for (int i = 0; i < places.Length; i++) places[i] = i;
        // Inner has drawn its row before, so that rows are the same with and without masks.
        dice.Draw<int>(places, Hidden);
        for (int i = 0; i < Hidden; i++) inputs[places[i]] = Mask;
    }
}
