using System.Text.Json;
using Fovea.Engine;
using Fovea.Extensions.AI;
using Microsoft.Extensions.AI;
namespace Fovea.Units;

public class ExtensionsAiTests
{
    sealed class Open(int length = 400, string? template = TinyModel.Template) : IDisposable
    {
        public LoadedModel Loaded { get; } = LoadedModel.Open(TinyModel.Write(length, template: template));
        public EngineThread Engine => engine ??= new(Loaded, new BatchOptions { Kept = 0 }, parallel: 4, waiting: 16);
        EngineThread? engine;
        public IChatClient Chat => new FoveaChatClient(Engine);
        public void Dispose() { engine?.Dispose(); Loaded.Dispose(); }

        /// <summary>What the engine writes for these messages when it is asked directly, and how many tokens.</summary>
        public (string Text, Writing W) Directly(Request request)
        {
            using var b = new Batcher(Loaded.Model, Loaded.Tokenizer, new() { Kept = 0 }); var text = new System.Text.StringBuilder(); var w = b.Add(request, x => text.Append(x.Text));
            while (b.Step()) { }
            return (text.ToString(), w);
        }
    }
    static CancellationToken Cancel => TestContext.Current.CancellationToken;
    static readonly ChatMessage[] talk = [new(ChatRole.System, "be old"), new(ChatRole.User, [new TextContent("the "), new TextContent("lamp")]), new(ChatRole.Assistant, "and"), new(ChatRole.User, "sea")];
    static readonly Models.ChatMessage[] same = [new("system", "be old"), new("user", "the lamp"), new("assistant", "and"), new("user", "sea")];

    [Fact]
    public async Task Answers_are_those_of_the_engine_with_the_options_that_were_given()
    {
        using var o = new Open();
        var options = new ChatOptions { MaxOutputTokens = 20, Temperature = 1.3f, TopK = 90, TopP = 0.9f, Seed = 7, FrequencyPenalty = 0.5f, PresencePenalty = 0.25f };
        var sampling = Sampling.Usual with { Temperature = 1.3f, TopK = 90, TopP = 0.9f, Seed = 7, FrequencyPenalty = 0.5, PresencePenalty = 0.25, PenaltyLength = 1 << 20 };
        var (text, w) = o.Directly(new(o.Loaded.Chat(same)) { Sampling = sampling, MaxTokens = 20 });
        var answer = await o.Chat.GetResponseAsync(talk, options, Cancel);
        Assert.Equal(text, answer.Text); Assert.Equal(ChatRole.Assistant, answer.Messages[0].Role); Assert.Equal("tiny", answer.ModelId);
        Assert.Equal((w.Request.Prompt.Length, w.WrittenTokens), (answer.Usage!.InputTokenCount, answer.Usage.OutputTokenCount)); Assert.Equal(w.Finish == Finish.Length ? ChatFinishReason.Length : ChatFinishReason.Stop, answer.FinishReason);
        // Each option shows in the text: none is left out.
        foreach (var other in (ChatOptions[])[With(x => x.Temperature = 0.3f), With(x => x.Seed = 8), With(x => x.TopK = 1), With(x => x.FrequencyPenalty = -2), With(x => x.PresencePenalty = -2), With(x => x.Instructions = "new")]) Assert.NotEqual(text, (await o.Chat.GetResponseAsync(talk, other, Cancel)).Text);
        ChatOptions With(Action<ChatOptions> change) { var c = options.Clone(); change(c); return c; }
        string usual = o.Directly(new(o.Loaded.Chat([new("system", "s"), .. same])) { MaxTokens = 9 }).Text;
        Assert.Equal(usual, (await o.Chat.GetResponseAsync(talk, new() { MaxOutputTokens = 9, Instructions = "s" }, Cancel)).Text);
        string stop = text[4..6]; var stopped = await o.Chat.GetResponseAsync(talk, With(x => x.StopSequences = [stop]), Cancel);
        Assert.Equal((text[..text.IndexOf(stop, StringComparison.Ordinal)], ChatFinishReason.Stop), (stopped.Text, stopped.FinishReason!.Value));
    }

    [Fact]
    public async Task Pieces_join_to_the_same_text_and_end_with_reason_and_usage()
    {
        using var o = new Open(); var options = new ChatOptions { MaxOutputTokens = 25, Temperature = 1, Seed = 3 };
        var whole = await o.Chat.GetResponseAsync(talk, options, Cancel); var pieces = await o.Chat.GetStreamingResponseAsync(talk, options, Cancel).ToListAsync(Cancel);
        Assert.True(pieces.Count > 5); Assert.Equal(whole.Text, string.Concat(pieces.Select(p => p.Text))); Assert.All(pieces[..^1], p => Assert.NotEmpty(p.Text)); Assert.All(pieces[..^1], p => Assert.Null(p.FinishReason));
        var joined = pieces.ToChatResponse();
        Assert.Equal((whole.Text, whole.FinishReason, whole.Usage!.OutputTokenCount), (joined.Text, joined.FinishReason, joined.Usage!.OutputTokenCount)); Assert.Single(joined.Messages);
    }

    const string Endless = """{"type":"array","items":{"type":"integer"},"minItems":1000000}""";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Cancelling_or_leaving_ends_the_work_and_frees_its_cache(bool cancels)
    {
        using var o = new Open(length: 200_000); using var cancel = CancellationTokenSource.CreateLinkedTokenSource(Cancel); int seen = 0;
        var options = new ChatOptions { ResponseFormat = ChatResponseFormat.ForJsonSchema(JsonDocument.Parse(Endless).RootElement) };
        async Task Read()
        {
            await foreach (var _ in o.Chat.GetStreamingResponseAsync(talk, options, cancel.Token))
                if (++seen == 3) { if (cancels) cancel.Cancel(); else break; }
        }
        if (cancels) await Assert.ThrowsAnyAsync<OperationCanceledException>(Read); else await Read();
        Assert.Equal(3, seen);
        for (int i = 0; i < 400 && (o.Engine.Active > 0 || o.Engine.Finished == 0); i++) await Task.Delay(10, Cancel);
        Assert.Equal((0, 1L, 0L), (o.Engine.Active, o.Engine.Finished, o.Engine.CacheBytes)); Assert.InRange(o.Engine.WrittenTokens, 3, 100_000);
        var whole = o.Chat.GetResponseAsync(talk, options, new CancellationTokenSource(20).Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => whole);
    }

    [Fact]
    public async Task Answers_in_JSON_follow_the_schema()
    {
        using var o = new Open();
        var schema = JsonDocument.Parse("""{"type":"object","properties":{"kind":{"enum":["lamp","boat"]},"count":{"type":"integer"}},"required":["kind","count"]}""").RootElement;
        for (int seed = 1; seed < 5; seed++)
        {
            var answer = await o.Chat.GetResponseAsync(talk, new() { Seed = seed, MaxOutputTokens = 120, ResponseFormat = ChatResponseFormat.ForJsonSchema(schema) }, Cancel);
            var made = JsonDocument.Parse(answer.Text).RootElement;
            Assert.Contains(made.GetProperty("kind").GetString(), (string[])["lamp", "boat"]); Assert.Equal(JsonValueKind.Number, made.GetProperty("count").ValueKind); Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        }
        Assert.StartsWith("{", (await o.Chat.GetResponseAsync(talk, new() { MaxOutputTokens = 20, ResponseFormat = ChatResponseFormat.Json }, Cancel)).Text);
    }

    [Fact]
    public async Task Vectors_have_the_models_width_and_length_one()
    {
        using var o = new Open(); IEmbeddingGenerator<string, Embedding<float>> g = new FoveaEmbeddingGenerator(o.Engine); string[] texts = ["the old lamp", "the old boat", "sea"];
        var made = await g.GenerateAsync(texts, cancellationToken: Cancel);
        Assert.Equal(3, made.Count); Assert.Equal(texts.Sum(t => o.Loaded.Tokenizer.Encode(t, false, true).Length), made.Usage!.InputTokenCount);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(o.Loaded.Model.Embed(o.Loaded.Tokenizer.Encode(texts[i], false, true)), made[i].Vector.ToArray());
            Assert.Equal(o.Loaded.Model.Dim, made[i].Dimensions); Assert.Equal(1, made[i].Vector.ToArray().Sum(x => (double)x * x), 5);
        }
        await Assert.ThrowsAsync<NotSupportedException>(() => g.GenerateAsync(texts, new() { Dimensions = 8 }, Cancel));
        Assert.Contains("text 1 has", (await Assert.ThrowsAsync<ArgumentException>(() => g.GenerateAsync(["a", new string('q', 500)], cancellationToken: Cancel))).Message);
        Assert.Equal(32, ((EmbeddingGeneratorMetadata)g.GetService(typeof(EmbeddingGeneratorMetadata))!).DefaultModelDimensions); Assert.Null(g.GetService(typeof(string)));
    }

    [Fact]
    public async Task The_lines_of_the_tour_run()
    {
        using var loaded = LoadedModel.Open(TinyModel.Write()); var said = new System.Text.StringBuilder();
        using var engine = new EngineThread(loaded, new BatchOptions(), parallel: 8, waiting: 64);
        IChatClient chat = new FoveaChatClient(engine);
        await foreach (var piece in chat.GetStreamingResponseAsync("Who keeps the lamp?", new() { MaxOutputTokens = 40 }, Cancel)) said.Append(piece.Text);
        var vectors = await new FoveaEmbeddingGenerator(engine).GenerateAsync(["the lamp", "the sea"], cancellationToken: Cancel);
        Assert.NotEmpty(said.ToString()); Assert.Equal(2, vectors.Count);
    }

    [Fact]
    public async Task What_is_not_supported_is_said()
    {
        using var o = new Open(); var c = o.Chat;
        Task<Exception> Fails(IEnumerable<ChatMessage> messages, ChatOptions? options = null) => Assert.ThrowsAnyAsync<Exception>(() => c.GetResponseAsync(messages, options, Cancel));
        Assert.IsType<NotSupportedException>(await Fails(talk, new() { Tools = [AIFunctionFactory.Create(() => 3)] })); Assert.IsType<NotSupportedException>(await Fails(talk, new() { ConversationId = "x" }));
        Assert.Contains("UriContent", (await Fails([new(ChatRole.User, [new UriContent("http://x/y.png", "image/png")])])).Message); Assert.IsType<NotSupportedException>(await Fails([new(ChatRole.Tool, "3")]));
        Assert.IsType<ArgumentException>(await Fails([])); Assert.Contains("temperature", (await Fails(talk, new() { Temperature = -1 })).Message); Assert.IsType<ContextOverflowException>(await Fails([new(ChatRole.User, new string('q', 900))]));
        Assert.Contains("'pattern' is not supported", (await Fails(talk, new() { ResponseFormat = ChatResponseFormat.ForJsonSchema(JsonDocument.Parse("""{"pattern":"x"}""").RootElement) })).Message);
        using var bare = new Open(template: null);
        Assert.Contains("no chat template", (await Assert.ThrowsAsync<InvalidOperationException>(() => bare.Chat.GetResponseAsync(talk, cancellationToken: Cancel))).Message);
        Assert.Equal("tiny", ((ChatClientMetadata)c.GetService(typeof(ChatClientMetadata))!).DefaultModelId); Assert.Same(o.Engine, c.GetService(typeof(EngineThread)));
    }
}
