namespace Fovea.Models;

/// <summary>
/// Items that carry a key and a class, noise between them, and at the end 8 questions that are each one of two kinds: the class of one key that occurs only once (which needs focus), or the class that is
/// most frequent among all items (which needs an average). Item tokens are key·Classes + class, then come the questions for each key, the question for the majority, and noise tokens.
/// </summary>
/// <param name="noise">Share of the places that hold noise.</param>
public sealed class CopyOrMajority(int length = 64, double noise = 0) : Source
{
    public const int Keys = 24, Classes = 4, Once = 8, Questions = 8, NoiseTokens = 8;
    public override int Length { get; } = length >= 40 ? length : throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 40");
    public override int Vocabulary => Keys * Classes + Keys + 1 + NoiseTokens;
    public static bool IsNoise(int token) => token > Keys * Classes + Keys;
    /// <summary>The token that asks for the majority; those before it, from Keys·Classes on, ask for a key.</summary>
    public const int Majority = Keys * Classes + Keys;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        targets.Fill(-1);
        int items = Length - Questions; var keys = new int[Keys]; var counts = new int[Classes]; int favourite = dice.Next(Classes);
        for (int k = 0; k < Keys; k++) keys[k] = k;
        dice.Shuffle<int>(keys);
        // The first keys occur once; one class is preferred, so that the majority is clear.
        var kept = new int[Once]; var places = new int[items];
        for (int i = 0; i < items; i++) places[i] = i;
        dice.Shuffle<int>(places);
        for (int p = 0; p < items; p++)
        {
            if (p >= Once && dice.Uniform() < noise) { inputs[places[p]] = Majority + 1 + dice.Next(NoiseTokens); continue; }
            int key = p < Once ? keys[p] : keys[Once + dice.Next(Keys - Once)], c = dice.Uniform() < 0.3 ? favourite : dice.Next(Classes);
            if (p < Once) kept[p] = c;
            inputs[places[p]] = key * Classes + c; counts[c]++;
        }
        for (int q = 0; q < Questions; q++)
        {
            int at = items + q, which = dice.Next(Once); bool copy = dice.Uniform() < 0.5;
            inputs[at] = copy ? Keys * Classes + keys[which] : Majority;
            targets[at] = copy ? kept[which] : Array.IndexOf(counts, counts.Max());
        }
    }
}
