namespace Fovea.Models;

/// <summary>
/// Endless text in passages under headings, every place a target: symbols are 0 … Symbols − 1, headings Symbols … Symbols + Topics − 1. Each row draws anew which symbols each topic favours; a passage is the heading of a topic and 8 to 23
/// symbols, nine of ten of them favoured by it. What a topic favours is known to who remembers its earlier passages, in no order.
/// </summary>
public sealed class TopicText : Source
{
    /// <param name="favoured">Symbols that a topic favours.</param>
    public TopicText(int length = 256, int symbols = 32, int topics = 8, int favoured = 4)
    {
        if (length < 1) throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 1");
        if (topics < 1) throw new ArgumentOutOfRangeException(nameof(topics), topics, "there must be at least 1 topic");
        if (favoured < 1 || favoured > symbols) throw new ArgumentOutOfRangeException(nameof(favoured), favoured, $"a topic favours 1 to {symbols} symbols");
        (Length, Symbols, Topics, Favoured) = (length, symbols, topics, favoured);
    }
    public override int Length { get; }
    public int Symbols { get; }
    public int Topics { get; }
    public int Favoured { get; }
    public override int Vocabulary => Symbols + Topics;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        var order = Enumerable.Range(0, Symbols).ToArray(); var favoured = new int[Topics][]; var text = new List<int>();
        for (int t = 0; t < Topics; t++) { dice.Draw<int>(order, Favoured); favoured[t] = order[..Favoured]; }
        while (text.Count <= Length)
        {
            int topic = dice.Next(Topics);
            text.Add(Symbols + topic);
            for (int n = 8 + dice.Next(16); n > 0; n--) text.Add(dice.Next(10) > 0 ? dice.Pick<int>(favoured[topic]) : dice.Next(Symbols));
        }
        Next([.. text.Take(Length + 1)], inputs, targets);
    }
}
