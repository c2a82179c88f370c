using System.Globalization;
using System.Text;
namespace Fovea.Models;

/// <summary>
/// Text of a small world whose every fact stands once and is asked about at any distance: who keeps what, what numbered boxes hold, who trusts whom, what a list says; between them sentences whose verbs agree with subjects several words back.
/// Reading it well needs needles (one fact among much else), lookups by name and by number, and two hops (what the one keeps whom somebody trusts). Words come in bursts, as in real text: the sentences of a document share a few adjectives and nouns that its facts do not use.
/// </summary>
public sealed class Almanac
{
    static readonly string[] names = Made("b d f g k l m n p r s t v z", "a e i o u", 160);
    static readonly string[] adjectives = ("amber ancient ashen bitter blue bold brave brief bright broken bronze calm carved clear coarse cold copper coral crooked curved dark deep dim dry dusty early empty faded faint fair false fine " +
        "firm flat fresh frozen gentle gilded glass golden grave green grey hard heavy hidden hollow humble iron ivory jade keen large late light little lonely long loud low mild narrow noble old pale patient plain polished proud pure quick quiet red " +
        "rich rough round royal rusty sacred scarlet sharp silent silver simple slow small smooth soft solid spare steep stern stone strange strong sudden sweet swift tall tame tender thin tiny torn velvet vivid warm weary white wide wild wise wooden young").Split(' ');
    static readonly string[] nouns = ("anchor apple arrow axe badge barrel basin basket bell blanket boat book bottle bowl bracelet bridge brush bucket button cage candle carpet chain chair chest clock cloak coat coin comb compass crown cup curtain dagger desk door drum " +
        "engine fan feather fiddle flag flask flute fork fountain gate glove goblet hammer harp hat helmet hook horn jar jewel kettle key kite knife ladder lamp lantern letter lock lute map mask mirror needle nail oar organ paddle painting pan pearl pen pipe plate pot " +
        "purse quilt rake ribbon ring robe rope saddle sail scarf shield shoe shovel spear spoon statue stool sword table tent thimble torch tower trumpet vase vest violin wagon wheel whistle").Split(' ');
    static readonly string[] verbs = "follow guard carry watch admire paint mend weigh polish praise bury borrow".Split(' '), places = ("by the sea|near the river|under the hill|behind the wall|above the valley|in the old town|on the long road|beside the mill").Split('|');

    static string[] Made(string consonants, string vowels, int count)
    {
        string[] c = consonants.Split(' '), v = vowels.Split(' '); var made = new List<string>();
        for (int i = 0; made.Count < count; i++)
        {
            // Steps without a common divisor with the number of pairs visit all of them before one comes again.
            int a = i * 29 % (c.Length * v.Length), b = (i * 43 + i / 70 * 11 + 7) % (c.Length * v.Length); string name = c[a / v.Length].ToUpperInvariant() + v[a % v.Length] + c[b / v.Length] + v[b % v.Length];
            if (!made.Contains(name)) made.Add(name);
        }
        return [.. made];
    }

    /// <summary>What to ask and what is right: the question, the answer, both as they stand in the text.</summary>
    public readonly record struct Question(string Asked, string Answer);
    const int MostFacts = 48, Cast = 12;

    readonly Dice dice; readonly StringBuilder text = new(); readonly string[] people, colours, things; readonly List<Question> questions = [];
    readonly Dictionary<string, string> keeps = new(StringComparer.Ordinal); readonly List<string> linked = []; readonly List<(string Name, string Thing)> listed = []; int facts;

    Almanac(Rng rng) { dice = new(rng); people = Shuffled(names); colours = Shuffled(adjectives); things = Shuffled(nouns); }
    string[] Shuffled(string[] all) { var x = (string[])all.Clone(); dice.Shuffle<string>(x); return x; }

    /// <summary>A text of at least so many characters with facts, questions about earlier facts with their answers, lists, and sentences; how much of each differs from text to text.</summary>
    public static string Document(Rng rng, int characters)
    {
        var a = new Almanac(rng); double u = a.dice.Uniform(), asking = 0.2 + 0.6 * a.dice.Uniform(), telling = 0.05 + 0.15 * a.dice.Uniform(), listing = u < 0.25 ? 0.9 : u < 0.6 ? 0.05 : 0;
        while (a.text.Length < characters)
        {
            if (a.dice.Uniform() < listing) a.List();
            else if (a.facts == 0 || a.facts < MostFacts && a.dice.Uniform() < telling) a.Fact();
            else if (a.dice.Uniform() < asking) a.Ask();
            else a.Sentence();
        }
        return a.text.ToString();
    }

    /// <summary>Sentences of at least so many characters with one fact, which begins at about the given share of them, and a question about it at the end, without its answer.</summary>
    public static (string Text, string Answer) Needle(Rng rng, int characters, double depth)
    {
        var a = new Almanac(rng);
        while (a.text.Length < depth * characters) a.Sentence();
        a.Keep(a.people[0]);
        while (a.text.Length < characters) a.Sentence();
        return (a.text.Append(a.questions[0].Asked).ToString(), " " + a.questions[0].Answer);
    }

    void Fact()
    {
        double u = dice.Uniform();
        if (u < 0.55) Keep(people[facts]);
        else if (u < 0.8)
        {
            string box = (100 + dice.Next(900)).ToString(CultureInfo.InvariantCulture);
            if (keeps.ContainsKey(box)) return;
            string what = keeps[box] = Thing();
            text.Append($"Box {box} holds the {what}.\n"); questions.Add(new($"What does box {box} hold?", $"The {what}."));
        }
        else if (keeps.Keys.Where(k => char.IsLetter(k[0]) && !linked.Contains(k)).ToArray() is { Length: > 0 } known)
        {
            string owner = known[dice.Next(known.Length)], friend = people[^(facts + 1)]; linked.Add(owner); facts++;
            text.Append($"{friend} trusts {owner}.\n");
            questions.Add(new($"Whom does {friend} trust?", $"{owner}.")); questions.Add(new($"What does the one keep whom {friend} trusts?", $"The {keeps[owner]}."));
        }
    }

    void Ask() { var (asked, answer) = questions[dice.Next(questions.Count)]; text.Append(asked).Append(' ').Append(answer).Append('\n'); }

    // A line of names, each followed by its thing: some new, the others as they stood in earlier lines.
    void List()
    {
        for (int fresh = listed.Count == 0 ? 3 : dice.Next(3); fresh > 0 && facts < MostFacts; fresh--)
        {
            var (name, thing) = (people[facts], things[facts++]);
            listed.Add((name, thing)); questions.Add(new($"What is {name} on the list?", $"The {thing}."));
        }
        var pairs = listed.ToArray(); dice.Shuffle<(string, string)>(pairs);
        text.Append("List: ").AppendJoin(", ", pairs.Take(2 + dice.Next(6)).Select(p => p.Name + ' ' + p.Thing)).Append(".\n");
    }

    string Thing() => $"{colours[facts % colours.Length]} {things[facts++ % things.Length]}";
    void Keep(string name)
    {
        string what = keeps[name] = Thing();
        text.Append($"{name} keeps the {what}.\n"); questions.Add(new($"What does {name} keep?", $"The {what}."));
    }

    void Sentence()
    {
        bool plural = Phrase(capital: true);
        text.Append(' ').Append(dice.Pick<string>(verbs)).Append(plural ? " " : "s ");
        Phrase(capital: false);
        text.Append(".\n");
    }
    bool Phrase(bool capital)
    {
        bool plural = dice.Uniform() < 0.5;
        text.Append(capital ? "The " : "the ").Append(dice.Pick<string>(colours.AsSpan(^Cast..))).Append(' ').Append(dice.Pick<string>(things.AsSpan(^Cast..))).Append(plural ? "s" : "");
        if (dice.Uniform() < 0.3) text.Append(' ').Append(dice.Pick<string>(places));
        return plural;
    }
}

/// <summary>Tokens of an <see cref="Almanac"/>, every place a target. A row begins where its text begins.</summary>
public sealed class AlmanacTokens(Tokenizer tokenizer, int length) : Source
{
    public override int Length { get; } = length >= 1 ? length : throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 1");
    public override int Vocabulary => tokenizer.VocabularySize;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        var rng = new Rng((ulong)(dice.Uniform() * (1L << 53))); int characters = 6 * Length;
        while (true)
        {
            // The same key gives a longer text that begins alike.
            int[] tokens = tokenizer.Encode(Almanac.Document(rng, characters), special: false, boundaries: true);
            if (tokens.Length > Length) { Next(tokens.AsSpan(0, Length + 1), inputs, targets); return; }
            characters = characters * 3 / 2;
        }
    }
}
