namespace Fovea.Models;

/// <summary>
/// Endless text of an order-3 grammar with copied motifs, symbols 0 … Symbols − 1 as tokens, every place a target: after the last three symbols one of three follows, with probability 0.7, 0.2 and 0.1
/// (the table is the same in all texts). Every 8 to 24 symbols the mark Symbols announces the motif of the row, random symbols of its own that are the same each time: all but
/// the first are known to who remembers.
/// </summary>
public sealed class MotifText : Source
{
    /// <param name="motif">Symbols of the motif.</param>
    public MotifText(int length = 128, int symbols = 8, int motif = 12)
    {
        if (length < 1) throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 1");
        if (symbols is < 4 or > 64) throw new ArgumentOutOfRangeException(nameof(symbols), symbols, "symbols must be 4 to 64");
        if (motif < 1) throw new ArgumentOutOfRangeException(nameof(motif), motif, "a motif has at least 1 symbol");
        (Length, Symbols, Motif) = (length, symbols, motif);
    }
    public override int Length { get; }
    public int Symbols { get; }
    public int Motif { get; }
    public override int Vocabulary => Symbols + 1;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        var grammar = new Rng(3)["order-3 grammar"];
        var text = new List<int>(); var motif = new int[Motif]; int a = 0, b = 0, c = 0;
        for (int i = 0; i < Motif; i++) motif[i] = dice.Next(Symbols);
        while (text.Count <= Length)
        {
            for (int n = 8 + dice.Next(17); n > 0; n--)
            {
                double u = dice.Uniform(); int choice = u < 0.7 ? 0 : u < 0.9 ? 1 : 2;
                (a, b, c) = (b, c, (int)(grammar.Uniform((((a * Symbols) + b) * Symbols + c) * 3 + choice) * Symbols));
                text.Add(c);
            }
            text.Add(Symbols); text.AddRange(motif);
        }
        Next([.. text.Take(Length + 1)], inputs, targets);
    }
}
