using System.Text;
namespace Fovea.Models;

/// <summary>
/// Facts "The code of NAME is 1234." hidden in filler sentences, and at the end of the row the question "The code of NAME is" with its
/// answer; bytes are tokens and the targets ask for the four digits only. Chance is 1/10 per digit.
/// </summary>
public sealed class NeedleText : Source
{
    const int Digits = 4;
    readonly double? depth;

    /// <param name="depth">Where the fact asked for lies: 0 first thing in the row, 1 right before the question, null anywhere.</param>
    public NeedleText(int length = 256, int facts = 1, double? depth = null)
    {
        if (facts < 1 || facts > Words.Names.Length) throw new ArgumentOutOfRangeException(nameof(facts), facts, $"facts must be 1 to {Words.Names.Length}");
        if (depth is < 0 or > 1 or double.NaN) throw new ArgumentOutOfRangeException(nameof(depth), depth, "depth must be 0 to 1");
        int least = (facts + 1) * Fact("Pavel", "0000").Length;
        if (length < least) throw new ArgumentOutOfRangeException(nameof(length), length, $"length must be at least {least} for {facts} facts");
        (Length, Facts, this.depth) = (length, facts, depth);
    }
    public override int Length { get; }
    public override int Vocabulary => 256;
    public int Facts { get; }

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        string[] names = Words.Names.ToArray(); dice.Shuffle<string>(names);
        var facts = new string[Facts]; string answer = "";
        for (int i = 0; i < Facts; i++)
        {
            string code = ""; for (int d = 0; d < Digits; d++) code += (char)('0' + dice.Next(10));
            facts[i] = Fact(names[i], code);
            if (i == 0) answer = code;
        }
        string question = facts[0][..^(Digits + 2)];    // "The code of NAME is ", without the digits and the ". "
        int room = Length + 1 - facts.Sum(f => f.Length) - question.Length - Digits;

        var filler = new StringBuilder();
        while (filler.Length < room) filler.Append(Sentence(dice));
        filler.Length = room;
        // From the last place to the first, so that an insertion does not move the ones that follow.
        var at = new (int Place, int Fact)[Facts];
        for (int i = 0; i < Facts; i++) at[i] = (SentenceStart(filler, (int)((i == 0 && depth is { } d ? d : dice.Uniform()) * room)), i);
        // Facts at one place: at depth 0 the one asked for comes first, at depth 1 last.
        Array.Sort(at, (a, b) => a.Place != b.Place ? b.Place - a.Place : depth == 1 ? a.Fact - b.Fact : b.Fact - a.Fact);
        foreach (var (place, fact) in at) filler.Insert(place, facts[fact]);
        var tokens = Encoding.ASCII.GetBytes(filler.Append(question).Append(answer).ToString()).Select(b => (int)b).ToArray();
        Next(tokens, inputs, targets);
        targets[..^Digits].Fill(-1);
    }

    static string Fact(string name, string code) => $"The code of {name} is {code}. ";
    static string Sentence(Dice dice) => $"{dice.Pick(Words.Names)} and a {dice.Pick(Words.Adjectives)} {dice.Pick(Words.Nouns)} {dice.Pick(Words.Places)}. ";

    /// <summary>The nearest start of a sentence at or before a place; the very end counts as one.</summary>
    static int SentenceStart(StringBuilder text, int place)
    {
        if (place >= text.Length) return text.Length;
        while (place > 0 && !(text[place - 1] == ' ' && place > 1 && text[place - 2] == '.')) place--;
        return place;
    }
}
