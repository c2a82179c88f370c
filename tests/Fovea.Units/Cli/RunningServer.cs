using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Fovea.Cli;
using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Units;

/// <summary>A model with random weights and a vocabulary of bytes and a few merges.</summary>
static class TinyModel
{
    public const string Template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

    /// <summary>Writes it as a GGUF file and tells where.</summary>
    public static string Write(int length = 400, int dim = 32, string? template = Template, int seed = 4, int vocabulary = 270)
    {
        string path = Path.Combine(CliRun.Folder(), "tiny.gguf"); var merges = BytePairTokenizer.Train("the old lamp and the old boat and the old sea "u8, vocabulary);
        var config = new ModelConfig(merges.VocabularySize + 1, dim, 2, 2) { KvHeads = 1, Hidden = 48, Length = length }; var weights = Weights.Random(new Rng((ulong)seed)); _ = new DecoderModel(config, weights);
        var w = new GgufWriter("llama").Vocabulary(merges);
        if (template is not null) w.Set("tokenizer.chat_template", template);
        w.Decoder(config, weights, GgufKind.F32).Save(path);
        return path;
    }
}

/// <summary>A server on a free port over such a model.</summary>
sealed class RunningServer : IAsyncDisposable
{
    readonly LoadedModel loaded; readonly Server server;
    public HttpClient Client { get; }
    public EngineThread Engine => server.Engine;
    public LoadedModel Loaded => loaded;
    RunningServer(LoadedModel loaded, Server server) => (this.loaded, this.server, Client) = (loaded, server, new() { BaseAddress = new(server.Address), Timeout = TimeSpan.FromSeconds(60) });

    public static async Task<RunningServer> Start(string? key = null, int parallel = 4, int waiting = 16, int kept = 0)
    {
        var loaded = LoadedModel.Open(TinyModel.Write()); var server = new Server(loaded, new BatchOptions { Kept = kept }, new("127.0.0.1", 0, key, parallel, waiting, 1 << 16, "tiny"));
        await server.Start(TestContext.Current.CancellationToken);
        return new(loaded, server);
    }
    public async Task<(HttpStatusCode Status, JsonNode Body)> Post(string path, string json)
    {
        using var r = await Client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken); string text = await r.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        return (r.StatusCode, JsonNode.Parse(text)!);
    }
    public async Task<List<string>> Events(string path, string json)
    {
        using var r = await Client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken);
        Assert.Equal("text/event-stream", r.Content.Headers.ContentType!.MediaType);
        return [.. (await r.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(e => e["data: ".Length..])];
    }
    public async ValueTask DisposeAsync() { Client.Dispose(); await server.Stop(); await server.DisposeAsync(); loaded.Dispose(); }
}
