using System.Text;
namespace Fovea.Models;

/// <summary>
/// Endless text from a probabilistic grammar, bytes as tokens, every place a target: sentences whose verb agrees with a subject several
/// words back ("the old lamps by the sea follow …"), brackets that close what they opened, and notes ("note Ada 37") that later
/// lines repeat ("recall Ada 37"). Local statistics, syntax and memory in one source of known structure.
/// </summary>
/// <param name="recall">Whether there are lines that repeat notes.</param>
public sealed class GrammarText(int length = 128, bool recall = true) : Source
{
    public override int Length { get; } = length >= 1 ? length : throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 1");
    public override int Vocabulary => 256;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        var text = new StringBuilder(); var notes = new Dictionary<string, int>();
        while (text.Length <= Length)
        {
            double u = dice.Uniform();
            if (u < 0.15) { string name = dice.Pick(Words.Names); text.Append($"note {name} {notes[name] = dice.Next(100):00}\n"); }
            else if (u < 0.35 && recall && notes.Count > 0) { var (name, value) = notes.ElementAt(dice.Next(notes.Count)); text.Append($"recall {name} {value:00}\n"); }
            else { Sentence(text, dice); text.Append(".\n"); }
        }
        var tokens = new int[Length + 1];
        for (int i = 0; i < tokens.Length; i++) tokens[i] = text[i];
        Next(tokens, inputs, targets);
    }

    static void Sentence(StringBuilder text, Dice dice)
    {
        bool plural = Phrase(text, dice);
        text.Append(' ').Append(dice.Pick(Words.Verbs)).Append(plural ? " " : "s ");
        Phrase(text, dice);
    }

    /// <summary>the [adjective] noun[s] [place | (sentence)]; true for a plural.</summary>
    static bool Phrase(StringBuilder text, Dice dice)
    {
        bool plural = dice.Uniform() < 0.5;
        text.Append("the ");
        if (dice.Uniform() < 0.4) text.Append(dice.Pick(Words.Adjectives)).Append(' ');
        text.Append(dice.Pick(Words.Nouns)).Append(plural ? "s" : "");
        double u = dice.Uniform();
        if (u < 0.2) text.Append(' ').Append(dice.Pick(Words.Places));
        else if (u < 0.3) { text.Append(" ("); Sentence(text, dice); text.Append(')'); }
        return plural;
    }
}
