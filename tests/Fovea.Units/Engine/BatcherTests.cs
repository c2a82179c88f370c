using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Units;

public class BatcherTests
{
    // Vocabulary of letters, so that texts are easy to look at; the last token ends a text.
    sealed class Letters : Tokenizer
    {
        public override int VocabularySize => EngineModels.Vocabulary;
        public override int[] Encode(ReadOnlySpan<byte> bytes) => [.. bytes.ToArray().Select(b => b - 'A')];
        public override byte[] Decode(ReadOnlySpan<int> tokens) => [.. tokens.ToArray().Select(t => (byte)('A' + t))];
        public override bool Ends(int token) => token == VocabularySize - 1;
    }

    static (string Text, Writing W) Write(Batcher b, Request r) { var text = new System.Text.StringBuilder(); var w = b.Add(r, x => text.Append(x.Text)); while (b.Step()) { } return (text.ToString(), w); }
    static readonly Request Greedy = new(EngineModels.Text(40)) { Sampling = Sampling.Greedy, MaxTokens = 30, IgnoreEnd = true };

    // Greedy decoding as its definition says: the whole text anew for every token.
    static string Naive(EngineModels files, int[] prompt, int n)
    {
        var text = prompt.ToList();
        for (int i = 0; i < n; i++) { float[] y = files.Expected([.. text]); text.Add(Array.IndexOf(y, y[^EngineModels.Vocabulary..].Max(), y.Length - EngineModels.Vocabulary) - (y.Length - EngineModels.Vocabulary)); }
        return System.Text.Encoding.ASCII.GetString(new Letters().Decode([.. text.Skip(prompt.Length)]));
    }

    [Fact]
    public void Greedy_text_is_the_naive_one_alone_and_together()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var b = new Batcher(model, new Letters(), new() { Chunk = 16 });
        string expected = Naive(files, EngineModels.Text(40), 30);
        Assert.Equal(expected, Write(b, Greedy).Text);
        var texts = new string[6]; int[] lengths = [1, 7, 40, 33, 2, 70];
        for (int i = 0; i < 6; i++) { int at = i; texts[i] = ""; b.Add(Greedy with { Prompt = EngineModels.Text(lengths[i], i + 10) }, w => texts[at] += w.Text); b.Step(); }
        while (b.Step()) { }
        for (int i = 0; i < 6; i++) Assert.Equal(Naive(files, EngineModels.Text(lengths[i], i + 10), 30), texts[i]);
    }

    [Fact]
    public void A_text_that_begins_alike_is_not_read_again()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var b = new Batcher(model, new Letters());
        var (first, _) = Write(b, Greedy); int[] more = [.. EngineModels.Text(40), .. new Letters().Encode(first), 3, 4];
        var (again, w) = Write(b, Greedy with { Prompt = more });
        Assert.Equal(69, w.SharedTokens);       // all but the last written token, which was never read
        Assert.Equal(Naive(files, more, 30), again);
        Assert.Equal(39, Write(b, Greedy).W.SharedTokens);
    }

    // Fails at a text that has come to a certain place, in the second layer, when the first has let entries go.
    sealed class Failing(int at) : KvPolicy
    {
        public override void Score(KvEntries head, Span<float> score) { for (int i = 0; i < score.Length; i++) score[i] = head.Positions[^1] >= at ? float.NaN : i; }
        public override KvPolicy? ForLayer(int layer, int layers) => layer == 0 ? new RecentWindow() : this;
    }
    [Fact]
    public void A_text_whose_policy_fails_ends_alone()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var b = new Batcher(model, new Letters(), new() { Chunk = 16, Budget = new(new Failing(90), 20, 0) });
        string alone = Write(b, Greedy).Text, together = ""; Request other = new(EngineModels.Text(80, 5)) { Sampling = Sampling.Greedy, MaxTokens = 40, IgnoreEnd = true };
        Writing good = b.Add(Greedy with { Prompt = EngineModels.Text(40) }, x => together += x.Text), bad = b.Add(other);
        while (b.Step()) { }
        Assert.Equal((Finish.Failed, Finish.Length), (bad.Finish, good.Finish)); Assert.IsType<ArithmeticException>(bad.Error);
        Assert.Equal(30, together.Length); Assert.Equal(alone[..2], together[..2]);
    }

    [Fact]
    public void Stop_texts_end_a_text_and_are_left_out_even_across_tokens()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var b = new Batcher(model, new Letters());
        string whole = Write(b, Greedy).Text, stop = whole[11..14]; int at = whole.IndexOf(stop, StringComparison.Ordinal);
        var (text, w) = Write(b, Greedy with { Stop = ["never", stop] });
        Assert.Equal((whole[..at], Finish.StopText), (text, w.Finish));
        Assert.Equal(whole, Write(b, Greedy with { Stop = [whole[^2..] + "!"] }).Text);
    }

    [Fact]
    public void The_end_of_the_context_is_an_error_an_end_or_forgetting()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var b = new Batcher(model, new Letters(), new() { Context = 60, Kept = 0 });
        Assert.Throws<ContextOverflowException>(() => b.Add(Greedy));
        var (stopped, w) = Write(b, Greedy with { Overflow = Overflow.Stop });
        Assert.Equal((Finish.Overflow, 21), (w.Finish, stopped.Length));
        var (slid, s) = Write(b, Greedy with { Overflow = Overflow.Slide, MaxTokens = 100 });
        Assert.Equal((Finish.Length, 100, stopped), (s.Finish, slid.Length, slid[..21]));
        int[] all = [.. EngineModels.Text(40), .. new Letters().Encode(slid)];
        Assert.Equal(Naive(files, all[30..61], 5), slid[21..26]);          // the younger half is all that it knows then
        Assert.Equal(0, model.Pools.UsedBytes);
    }

    [Fact]
    public void Cancelling_ends_within_a_token_and_disturbs_no_other()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var b = new Batcher(model, new Letters(), new() { Kept = 0 });
        using var cancel = new CancellationTokenSource(); int told = 0; string other = "";
        var w = b.Add(Greedy with { Cancel = cancel.Token, MaxTokens = 200 }, _ => { if (++told == 5) cancel.Cancel(); }); b.Add(Greedy with { Prompt = EngineModels.Text(33, 4) }, x => other += x.Text);
        while (b.Step()) { }
        Assert.Equal((Finish.Cancelled, 5), (w.Finish, told)); Assert.Equal(Naive(files, EngineModels.Text(33, 4), 30), other); Assert.Equal(0, model.Pools.UsedBytes);
    }

    [Fact]
    public void Probabilities_are_those_of_the_model()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var b = new Batcher(model, new Letters()); var seen = new List<Written>();
        b.Add(Greedy with { LogProbs = 3, MaxTokens = 4 }, seen.Add); while (b.Step()) { }
        float[] y = files.Expected(EngineModels.Text(40))[^EngineModels.Vocabulary..]; double lse = Math.Log(y.Sum(v => Math.Exp(v)));
        Assert.Equal(y.Max() - lse, seen[0].LogProbability, 4); Assert.Equal(y.OrderDescending().Take(3).Select(v => Math.Round(v - lse, 3)), seen[0].Others!.Select(o => Math.Round(o.LogProbability, 3)));
    }

    [Fact]
    public void What_cannot_be_read_is_refused_at_once()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var b = new Batcher(model, new Letters());
        Assert.Throws<ArgumentException>(() => b.Add(new(Array.Empty<int>()))); Assert.Contains("token 50", Assert.Throws<ArgumentException>(() => b.Add(new(new int[] { 3, 50 }))).Message);
        Assert.False(b.Step());
    }
}
