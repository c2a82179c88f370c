using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Units;

public class DraftTests
{
    sealed class Letters : Tokenizer
    {
        public override int VocabularySize => EngineModels.Vocabulary;
        public override int[] Encode(ReadOnlySpan<byte> bytes) => [.. bytes.ToArray().Select(b => b - 'A')];
        public override byte[] Decode(ReadOnlySpan<int> tokens) => [.. tokens.ToArray().Select(t => (byte)('A' + t))];
        public override bool Ends(int token) => false;
    }

    static (string Text, Writing W) Write(LanguageModel model, LanguageModel? draft, Request r, BatchOptions? options = null)
    {
        var text = new System.Text.StringBuilder(); using var b = new Batcher(model, new Letters(), (options ?? new()) with { Draft = draft, Kept = 0 });
        var w = b.Add(r, x => text.Append(x.Text)); while (b.Step()) { }
        Assert.Null(w.Error); Assert.Equal(0, b.CacheBytes);
        return (text.ToString(), w);
    }

    [Theory, InlineData(GgufKind.F32, "f32"), InlineData(GgufKind.F16, "q8/q4"), InlineData(GgufKind.Q8_0, "f16"), InlineData(GgufKind.Q4_0, "q8+rotate")]
    public void A_tentative_pass_has_the_bits_of_one_token_after_another(GgufKind kind, string format)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.Gguf(kind)); int[] tokens = EngineModels.Text(70), more = EngineModels.Text(8, 9);
        using Sequence one = model.Start(KvFormat.Parse(format)), many = model.Start(KvFormat.Parse(format));
        one.Read(tokens); many.Read(tokens);
        float[] y = EngineModels.Read(one, more, 1), z = new float[8 * model.Vocabulary];
        model.Forward([new(many, more, All: true, Tentative: true)], z);
        Assert.Equal(y, z);
        many.Accept(73); one.Cut(73);
        Assert.Equal(EngineModels.Read(one, more, 1), EngineModels.Read(many, more, 1));
    }

    [Theory, InlineData("", 1), InlineData("", 4), InlineData("", 7), InlineData(",\"sliding_window\":20", 4), InlineData(",\"sliding_window\":5", 7)]
    public void Greedy_text_is_the_same_with_a_draft_whatever_the_draft_is_worth(string extra, int at)
    {
        using var files = new EngineModels(); using LanguageModel model = LanguageModel.Open(files.HuggingFace(extra)), good = LanguageModel.Open(files.Gguf(GgufKind.Q8_0)), bad = LanguageModel.Open(files.HuggingFace(change: (n, t) => n == "model.norm.weight" ? t * -1 : t));
        foreach (int length in (int[])[1, 33])
        {
            var r = new Request(EngineModels.Text(length)) { Sampling = Sampling.Greedy, MaxTokens = 150 };
            var (plain, _) = Write(model, null, r); var options = new BatchOptions { DraftTokens = at };
            var (self, s) = Write(model, model, r, options); var (near, g) = Write(model, good, r, options); var (far, b) = Write(model, bad, r, options);
            Assert.Equal((plain, plain, plain, 150), (self, near, far, s.WrittenTokens));
            Assert.True(g.AcceptedTokens > b.AcceptedTokens && b.AcceptedTokens <= b.ProposedTokens / 4, $"{s.AcceptedTokens} of {s.ProposedTokens}, {g.AcceptedTokens} of {g.ProposedTokens}, {b.AcceptedTokens} of {b.ProposedTokens}");
            Assert.InRange(s.AcceptedTokens, 0.9 * s.ProposedTokens, s.ProposedTokens);
        }
    }

    [Fact]
    public void Penalties_stop_texts_and_the_end_of_the_context_come_where_they_come_without()
    {
        using var files = new EngineModels(); using LanguageModel model = LanguageModel.Open(files.HuggingFace()), draft = LanguageModel.Open(files.Gguf(GgufKind.Q8_0));
        var r = new Request(EngineModels.Text(20)) { Sampling = new() { RepetitionPenalty = 1.3, FrequencyPenalty = 0.1 }, MaxTokens = 60 };
        var (plain, _) = Write(model, null, r);
        Assert.Equal(plain, Write(model, draft, r).Text);
        var stop = r with { Stop = [plain[17..20]] }; Assert.Equal(Write(model, null, stop).Text, Write(model, draft, stop).Text);
        var full = r with { Overflow = Overflow.Stop, MaxTokens = 1000 }; var (a, x) = Write(model, null, full, new() { Context = 71 }); var (b, y) = Write(model, draft, full, new() { Context = 71 });
        Assert.Equal((a, x.Finish, x.WrittenTokens), (b, y.Finish, y.WrittenTokens));
        var slide = full with { Overflow = Overflow.Slide, MaxTokens = 90 }; Assert.Equal(Write(model, null, slide, new() { Context = 71 }).Text, Write(model, draft, slide, new() { Context = 71 }).Text);
    }

    [Theory, InlineData(1, 0, 1), InlineData(0.6, 0, 1), InlineData(1, 4, 1), InlineData(1.5, 0, 0.8)]
    public void Judged_tokens_are_distributed_as_the_model_says(double temperature, int topK, double topP)
    {
        float[] model = [0, 3, 1, 2.5f, -1, 3.2f, float.NegativeInfinity, 0.5f], draft = [2, 0, 1.5f, 3, 3, 1, 2, float.NegativeInfinity]; int v = 8; const int draws = 40_000;
        var s = new Sampling { Temperature = temperature, TopK = topK, TopP = topP, Seed = 4 }; var sampler = new Sampler(s); double[] p = new double[v], q = new double[v], own = new double[v], counts = new double[v];
        sampler.Probabilities(model, [], p); sampler.Probabilities(draft, [], own); int accepted = 0;
        Assert.Equal(1, p.Sum(), 9);
        for (int i = 0; i < draws; i++)
        {
            int x = sampler.Propose(draft, [], i, q), y = sampler.Judge(model, [], i, x, q);
            counts[y]++; if (x == y) accepted++;
        }
        Assert.Equal(own, q);
        double chi = 0; for (int i = 0; i < v; i++) if (p[i] == 0) Assert.Equal(0, counts[i]); else chi += Math.Pow(counts[i] - draws * p[i], 2) / (draws * p[i]);
        Assert.InRange(chi, 0, 29);        // 7 degrees of freedom: one in 7,000 by chance
        double share = p.Zip(q, Math.Min).Sum(); Assert.InRange(accepted / (double)draws, share - 0.012, share + 0.012);
    }

    [Fact]
    public void Sampled_text_is_distributed_as_without_a_draft()
    {
        // Pairs of tokens after one prompt, over many seeds, against what the model says of them.
        using var files = new EngineModels(); using LanguageModel model = LanguageModel.Open(files.HuggingFace()), draft = LanguageModel.Open(files.HuggingFace(change: (n, t) => n.EndsWith("1.mlp.down_proj.weight") ? t * 3 : t));
        int[] prompt = EngineModels.Text(5); const int draws = 3000; var counts = new double[3]; var sampling = new Sampling { Temperature = 0.7, TopK = 3 };
        var p = new double[3]; float[] first = files.Expected(prompt)[^EngineModels.Vocabulary..]; int[] best = [.. Enumerable.Range(0, 50).OrderByDescending(i => first[i]).Take(3)]; var second = new double[50]; var row = new double[50];
        double total = best.Sum(t => Math.Exp(first[t] / 0.7));
        foreach (int t in best) { new Sampler(sampling).Probabilities(files.Expected([.. prompt, t])[^50..], [], row); for (int i = 0; i < 50; i++) second[i] += Math.Exp(first[t] / 0.7) / total * row[i]; }
        var found = new double[50]; int accepted = 0;
        for (int i = 0; i < draws; i++)
        {
            var (text, w) = Write(model, draft, new(prompt) { Sampling = sampling with { Seed = (ulong)i + 1 }, MaxTokens = 3 }, new() { DraftTokens = 1 });
            found[text[1] - 'A']++; accepted += w.AcceptedTokens;
        }
        Assert.InRange(accepted, 1, draws - 1);
        Assert.InRange(found.Zip(second, (f, s) => Math.Abs(f / draws - s)).Sum() / 2, 0, 0.05);
    }

    [Fact]
    public void What_does_not_fit_together_is_told_at_once()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace());
        using var other = LanguageModel.Open(files.HuggingFace(",\"vocab_size\":49", (n, t) => n == "model.embed_tokens.weight" ? t.Take(0, [.. Enumerable.Range(0, 49)]) : t));
        Assert.Contains("vocabulary of 49 tokens, the model one of 50", Assert.Throws<ArgumentException>(() => new Batcher(model, new Letters(), new() { Draft = other })).Message);
        Assert.Contains("H2o lets entries go", Assert.Throws<ArgumentException>(() => new Batcher(model, new Letters(), new() { Draft = model, Budget = new(new H2o(), 20) })).Message);
        Assert.Contains("1 to 7", Assert.Throws<ArgumentException>(() => new Batcher(model, new Letters(), new() { Draft = model, DraftTokens = 8 })).Message);
        using var s = model.Start(null, new(new H2o(), 20)); s.Read(EngineModels.Text(5));
        Assert.Contains("can take back 0", Assert.Throws<ArgumentException>(() => model.Forward([new(s, new int[] { 1, 2 }, Tentative: true)], new float[50])).Message);
    }
}
