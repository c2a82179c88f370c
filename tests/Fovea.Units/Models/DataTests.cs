using System.Text;
using Fovea.Models;
namespace Fovea.Units;

public class DataTests
{
    public static TheoryData<string> Sources => ["recall", "copy", "backcopy", "needle", "sink", "melodies", "grammar"];
    static Source Make(string name) => name switch
    {
        "recall" => new Recall(70, 7, 33),
        "copy" => new CopyTask(70, 5),
        "backcopy" => new BigramBackcopy(new Rng(9), 70, 17, 3),
        "needle" => new NeedleText(200, 3),
        "sink" => new WithSink(new Recall(70, 7, 33)),
        "melodies" => new Melodies(192),
        _ => new GrammarText(133),
    };

    [Theory, MemberData(nameof(Sources))]
    public void A_row_depends_on_key_step_and_place_only(string name)
    {
        var source = Make(name); var rng = new Rng(5);
        var a = source.Batch(rng, 7, 4); var again = Make(name).Batch(rng, 7, 4); var small = source.Batch(rng, 7, 2);
        Assert.Equal(a.Inputs, again.Inputs); Assert.Equal(a.Targets, again.Targets);
        Assert.Equal(small.Inputs, a.Inputs[..small.Inputs.Length]);
        Assert.NotEqual(a.Inputs, source.Batch(rng, 8, 4).Inputs); Assert.NotEqual(a.Inputs, source.Batch(new Rng(6), 7, 4).Inputs);
        Assert.NotEqual(a.Input(0).ToArray(), a.Input(1).ToArray());
    }

    [Theory, MemberData(nameof(Sources))]
    public void Tokens_stay_in_the_vocabulary_and_something_is_asked(string name)
    {
        var source = Make(name); var batch = source.Batch(new Rng(1), 0, 50);
        Assert.All(batch.Inputs, t => Assert.InRange(t, 0, source.Vocabulary - 1));
        Assert.All(batch.Targets, t => Assert.InRange(t, -1, source.Vocabulary - 1));
        for (int b = 0; b < 50; b++) Assert.Contains(batch.Target(b).ToArray(), t => t >= 0);
    }

    [Fact]
    public void Recall_asks_each_key_for_its_value()
    {
        var batch = new Recall(40, 8, 32).Batch(new Rng(2), 3, 20);
        for (int b = 0; b < 20; b++)
        {
            var x = batch.Input(b).ToArray(); var y = batch.Target(b).ToArray();
            var pairs = Enumerable.Range(0, 8).ToDictionary(p => x[2 * p], p => x[2 * p + 1]);     // throws on equal keys
            Assert.All(pairs.Values, v => Assert.InRange(v, 16, 31));
            Assert.All(y[..16], t => Assert.Equal(-1, t));
            for (int i = 16; i < 40; i++) Assert.Equal(pairs[x[i]], y[i]);
            Assert.Equal(pairs.Keys.Order(), x[16..24].Order()); Assert.Equal(pairs.Keys.Order(), x[24..32].Order());
        }
    }

    [Fact]
    public void Copy_asks_for_the_first_half_again()
    {
        var batch = new CopyTask(8, 3).Batch(new Rng(2), 0, 1);
        int[] x = batch.Inputs, y = batch.Targets;
        Assert.Equal(3, x[4]); Assert.Equal(x[..3], x[5..]); Assert.Equal(x[..4], y[4..]); Assert.Equal([-1, -1, -1, -1], y[..4]);
    }

    [Fact]
    public void Backcopy_copies_after_triggers_and_follows_its_table_elsewhere()
    {
        var source = new BigramBackcopy(new Rng(4), 99, 12, 2); var batch = source.Batch(new Rng(5), 0, 400);
        var seen = new double[12, 12]; int triggers = 0;
        for (int b = 0; b < batch.Size; b++)
        {
            var x = batch.Input(b); var y = batch.Target(b);
            Assert.Equal(0, x[0]);
            for (int i = 0; i < x.Length; i++)
            {
                Assert.NotEqual(0, y[i]);
                if (source.IsTrigger(x[i])) { triggers++; Assert.Equal(x[i - 1], y[i]); Assert.False(source.IsTrigger(y[i])); }
                else seen[x[i], y[i]]++;
            }
        }
        Assert.True(triggers > 1000);
        for (int t = 0; t < 12; t++)
        {
            if (source.IsTrigger(t)) continue;
            Assert.Equal(1, Enumerable.Range(0, 12).Sum(n => source.Probability(t, n)), 9);
            double sum = Enumerable.Range(0, 12).Sum(n => seen[t, n]);
            for (int n = 0; n < 12; n++) if (sum > 2000) Assert.InRange(seen[t, n] / sum, source.Probability(t, n) - 0.05, source.Probability(t, n) + 0.05);
        }
    }

    [Theory]
    [InlineData(null), InlineData(0.0), InlineData(0.5), InlineData(1.0)]
    public void The_needle_lies_at_its_depth_and_is_asked_for(double? depth)
    {
        var batch = new NeedleText(400, 3, depth).Batch(new Rng(8), 0, 30);
        for (int b = 0; b < 30; b++)
        {
            var x = batch.Input(b).ToArray(); var y = batch.Target(b).ToArray();
            string all = Encoding.ASCII.GetString([.. x.Append(y[^1]).Select(t => (byte)t)]);
            int asked = all.LastIndexOf("The code of "); string question = all[asked..];
            Assert.Equal(all[^4..], string.Concat(y[^4..].Select(t => (char)t))); Assert.All(y[..^4], t => Assert.Equal(-1, t));
            int at = all.IndexOf(question + ". ");
            Assert.InRange(at, 0, asked - 1);
            Assert.Equal(4, all.Split("The code of ").Length - 1);
            if (depth == 0) Assert.Equal(0, at);
            if (depth == 1) Assert.Equal(asked, at + question.Length + 2);
            if (depth == 0.5) Assert.InRange(at, 80, 240);
        }
    }

    [Fact]
    public void Grammar_text_recalls_what_was_noted_and_closes_its_brackets()
    {
        int recalled = 0;
        for (int step = 0; step < 20; step++)
        {
            string text = string.Concat(new GrammarText(2000).Batch(new Rng(1), step, 1).Inputs.Select(t => (char)t));
            var notes = new Dictionary<string, string>();
            foreach (string line in text.Split('\n')[..^1])
            {
                var words = line.Split(' ');
                if (words[0] == "note") notes[words[1]] = words[2];
                if (words[0] == "recall") { Assert.Equal(notes[words[1]], words[2]); recalled++; }
                Assert.Equal(line.Count(c => c == '('), line.Count(c => c == ')'));
            }
        }
        Assert.True(recalled > 100);
    }

    [Fact]
    public void Training_windows_never_hold_held_out_bytes()
    {
        // Pieces of 4,096 bytes; a byte says whether its piece is held out.
        var text = new byte[100_000]; for (int i = 0; i < text.Length; i++) text[i] = (byte)(i / 4096 % 10 == 9 ? 1 : 0);
        var corpus = new Corpus(text, 64);
        Assert.Equal(8192, corpus.HeldOutBytes); Assert.All(corpus.HeldOut.ToArray(), t => Assert.Equal(1, t));
        var batch = corpus.Batch(new Rng(1), 0, 500);
        Assert.DoesNotContain(1, batch.Inputs); Assert.DoesNotContain(1, batch.Targets);
        Assert.Equal(batch.Input(0)[1..].ToArray(), batch.Target(0)[..^1].ToArray());
    }

    [Fact]
    public void Held_out_batches_ask_for_every_token_once()
    {
        var text = new byte[70_000]; for (int i = 0; i < text.Length; i++) text[i] = (byte)(i * 7 % 251);
        var corpus = new Corpus(text, 16); var asked = new List<int>();
        foreach (var b in corpus.HeldOutBatches(7, 200)) { Assert.InRange(b.Size, 1, 7); asked.AddRange(b.Targets.Where(t => t >= 0)); }
        Assert.Equal(corpus.HeldOut[1..].ToArray(), asked);
        Assert.Equal(70, corpus.HeldOutBatches(2, 200, 70).Sum(b => b.Asked));
    }

    [Fact]
    public void A_text_too_short_says_how_much_is_needed()
    {
        Assert.Contains("1 bytes", Assert.Throws<InvalidDataException>(() => new Corpus([65], 8)).Message);
        Assert.Throws<InvalidDataException>(() => new Corpus([], 8));
        Assert.Equal(90, new Corpus(new byte[100], 8).Train.Length);
    }
}

public class MelodyTests
{
    [Fact]
    public void The_refrain_returns_note_for_note()
    {
        var b = new Melodies(4 * Melodies.Section).Batch(new Rng(3), 0, 5);
        for (int r = 0; r < 5; r++)
        {
            var x = b.Input(r).ToArray();
            Assert.Equal(x[..Melodies.Section], x[(2 * Melodies.Section)..(3 * Melodies.Section)]);
            Assert.NotEqual(x[..Melodies.Section], x[Melodies.Section..(2 * Melodies.Section)]);
        }
        Assert.False(Melodies.Repeats(Melodies.Section)); Assert.True(Melodies.Repeats(2 * Melodies.Section)); Assert.False(Melodies.Repeats(0));
    }

    [Fact]
    public void Every_note_that_begins_ends()
    {
        var x = new Melodies(3 * 40).Batch(new Rng(4), 0, 1).Inputs;
        for (int i = 0; i < x.Length; i += 3) { Assert.InRange(x[i], 0, 127); Assert.InRange(x[i + 1], 256, 355); Assert.Equal(x[i] + 128, x[i + 2]); }
    }

    [Fact]
    public void Transposing_moves_pitches_and_nothing_else()
    {
        Assert.Equal([MusicEvents.NoteOn(63), MusicEvents.TimeShift(7), MusicEvents.NoteOff(63), MusicEvents.Velocity(3)], MusicEvents.Transpose([MusicEvents.NoteOn(60), MusicEvents.TimeShift(7), MusicEvents.NoteOff(60), MusicEvents.Velocity(3)], 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => MusicEvents.Transpose([MusicEvents.NoteOn(126)], 2));
        Assert.Equal(388, MusicEvents.Vocabulary);
    }

    [Fact]
    public void A_sink_comes_first_and_is_not_asked()
    {
        var inner = new BigramBackcopy(new Rng(9), 20, 17, 3); var source = new WithSink(inner, 1); var a = inner.Batch(new Rng(1), 0, 2); var b = source.Batch(new Rng(1), 0, 2);
        Assert.Equal(20, source.Length);
        for (int r = 0; r < 2; r++) { Assert.Equal([source.Sink, .. a.Input(r)[1..]], b.Input(r).ToArray()); Assert.Equal([-1, .. a.Target(r)[1..]], b.Target(r).ToArray()); }
    }
}
