using Fovea.Engine;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Units;

public class KvPolicyTests
{
    static int[] Keep(KvPolicy policy, int budget, params int[] tokens)
    {
        var choice = new KvChoice();
        choice.Ask(policy, [new Entries(tokens)], budget);
        return choice[0].ToArray();
    }
    sealed class Entries(int[] tokens) : KvEntries
    {
        public override int Count => tokens.Length;
        public override ReadOnlySpan<int> Positions => tokens;
        public override int Dim => 2;
        public override void Keys(int first, int n, Span<float> to) => to.Clear();
    }

    [Fact] public void Streaming_keeps_the_first_tokens_and_the_last() => Assert.Equal([0, 1, 5, 6], Keep(new StreamingLlm(2), 4, 0, 1, 2, 3, 4, 5, 6));
    [Fact] public void Streaming_knows_sinks_by_their_token_and_not_by_their_place() => Assert.Equal([2, 3, 4], Keep(new StreamingLlm(2), 3, 7, 8, 9, 10, 11));
    [Fact] public void Streaming_with_a_budget_below_its_sinks_keeps_the_budget() => Assert.Equal([1, 2], Keep(new StreamingLlm(3), 2, 0, 1, 2, 3));
    [Fact] public void Window_keeps_the_last_tokens() => Assert.Equal([3, 4, 5], Keep(new RecentWindow(), 3, 0, 1, 2, 3, 4, 5));

    static readonly ModelConfig Small = new(11, 16, 2, 2) { Hidden = 24 };
    static Tensor[] Stream(DecoderModel m, int[] tokens, Memory memory, int piece = 1)
    {
        var y = new List<Tensor>();
        for (int i = 0; i < tokens.Length; i += piece) y.Add(m.Forward(tokens.AsSpan(i, Math.Min(piece, tokens.Length - i)), 1, new Pass { Memory = memory }));
        return [.. y];
    }
    static int[] Text(int n) => [.. Enumerable.Range(0, n).Select(i => new Rng(3).Below(i, 11))];
    static double Apart(Tensor a, Tensor b) => a.Span.ToArray().Zip(b.Span.ToArray(), (x, y) => (double)Math.Abs(x - y)).Max();

    [Theory, InlineData(1), InlineData(3)]
    public void Until_an_entry_leaves_it_is_the_ordinary_cache(int piece)
    {
        var m = new DecoderModel(Small, Weights.Random(new Rng(1))); int[] tokens = Text(20);
        var dense = Stream(m, tokens, new(), piece); var bounded = Stream(m, tokens, new(_ => new PolicyKv(new StreamingLlm(), 20)), piece);
        for (int i = 0; i < dense.Length; i++) Assert.InRange(Apart(dense[i], bounded[i]), 0, 1e-5);
    }

    [Fact]
    public void After_that_it_is_the_model_on_the_tokens_that_stayed()
    {
        // One layer, so that keys and values of the tokens that stayed know nothing of those that left.
        var m = new DecoderModel(Small with { Layers = 1 }, Weights.Random(new Rng(1))); int[] tokens = Text(30);
        var streamed = Stream(m, tokens, new(_ => new PolicyKv(new StreamingLlm(2), 7)));
        for (int t = 8; t < tokens.Length; t++)
        {
            int[] seen = [.. tokens[..2], .. tokens[(t - 5)..(t + 1)]];
            var whole = m.Forward(seen, 1, Pass.Eval);
            Assert.InRange(Apart(whole.Rows(7, 8), streamed[t]), 0, 1e-5);
        }
    }

    [Fact]
    public void Bytes_stop_growing_at_the_budget()
    {
        var m = new DecoderModel(Small, Weights.Random(new Rng(1))); var memory = new Memory(_ => new PolicyKv(new RecentWindow(), 9));
        Stream(m, Text(9), memory); long full = memory.Bytes;
        Stream(m, Text(40), memory);
        Assert.Equal(full, memory.Bytes);
        Assert.Equal(2 * 9 * 2 * 16 * sizeof(float), full);
    }

    sealed class Greedy : KvPolicy
    {
        public override void Score(KvEntries head, Span<float> score) { }
        public override void Keep(IReadOnlyList<KvEntries> heads, int budget, KvChoice choice) => choice.Set(0, [.. Enumerable.Range(0, heads[0].Count)]);
    }
    [Fact]
    public void A_policy_that_keeps_too_much_is_refused()
    {
        var m = new DecoderModel(Small, Weights.Random(new Rng(1)));
        Assert.Contains("the budget is 4", Assert.Throws<InvalidOperationException>(() => Stream(m, Text(6), new(_ => new PolicyKv(new Greedy(), 4)))).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => new PolicyKv(new StreamingLlm(), 0));
    }

    [Fact]
    public void Of_equal_scores_the_later_stay_whatever_their_sign()
    {
        var c = new KvChoice();
        c.Ask(new Scored([1, -0f, 0, float.NegativeInfinity, -2, -1, 0, float.PositiveInfinity]), [new Entries([.. Enumerable.Range(0, 8)])], 3); Assert.Equal([0, 6, 7], c[0].ToArray());
        c.Ask(new Scored([-0f, 0, -0f, -1, -1e-40f]), [new Entries([.. Enumerable.Range(0, 5)])], 2); Assert.Equal([1, 2], c[0].ToArray());
        c.Ask(new Scored([-3, -1, -2, -2]), [new Entries([.. Enumerable.Range(0, 4)])], 2); Assert.Equal([1, 3], c[0].ToArray());
        Assert.Throws<ArithmeticException>(() => c.Ask(new Scored([1, float.NaN]), [new Entries([0, 1])], 1));
    }
    sealed class Scored(float[] scores) : KvPolicy { public override void Score(KvEntries head, Span<float> score) => scores.CopyTo(score); }

    [Theory, InlineData("softmax"), InlineData("alibi"), InlineData("block-top-k")]
    public void Any_mechanism_with_a_key_cache_takes_it(string name)
    {
        Mixer mixer = (_, c, w) => Mechanism.Find(name).New(c, w);
        var m = new DecoderModel(Small, Weights.Random(new Rng(1)), mixer); int[] tokens = Text(20);
        var whole = m.Forward(tokens, 1, Pass.Eval); var streamed = Stream(m, tokens, new(_ => new PolicyKv(new RecentWindow(), 50)));
        for (int t = 0; t < 20; t++) Assert.InRange(Apart(whole.Rows(t, t + 1), streamed[t]), 0, 1e-5);
    }
}
