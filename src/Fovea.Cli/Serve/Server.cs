using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fovea.Engine;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
namespace Fovea.Cli;

/// <summary>How the server listens and what it lets in.</summary>
sealed record ServerOptions(string Host, int Port, string? Key, int Parallel, int Waiting, long LargestBody, string Name);

/// <summary>An HTTP server that speaks the OpenAI interface: models, completions, chats, embeddings; health, and metrics in the text form of Prometheus.</summary>
sealed class Server : IAsyncDisposable
{
    readonly LoadedModel loaded; readonly ServerOptions options; readonly EngineThread engine; readonly ApiAnswers answers; readonly WebApplication app; readonly Dictionary<(string Path, int Status), long> counts = []; readonly Lock gate = new();

    public Server(LoadedModel loaded, BatchOptions batch, ServerOptions options, TimeProvider? clock = null)
    {
        (this.loaded, this.options) = (loaded, options);
        engine = new(loaded, batch, options.Parallel, options.Waiting); answers = new(options.Name, loaded.Tokenizer, clock ?? TimeProvider.System);
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = [] });
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k =>
        {
            k.Limits.MaxRequestBodySize = options.LargestBody; k.Limits.MaxConcurrentConnections = 4 * (options.Parallel + options.Waiting) + 64; k.AddServerHeader = false;
            k.Listen(System.Net.IPAddress.TryParse(options.Host, out var ip) ? ip : options.Host == "localhost" ? System.Net.IPAddress.Loopback : throw new UsageException($"--host {options.Host}: expected an address"), options.Port);
        });
        builder.Services.Configure(static (HostOptions h) => h.ShutdownTimeout = TimeSpan.FromSeconds(30));
        app = builder.Build();
        app.Run(Handle);
    }

    public async Task Start(CancellationToken cancel) => await app.StartAsync(cancel);
    /// <summary>Where it listens.</summary>
    public string Address => app.Urls.First();
    /// <summary>Ends when what has begun has been answered.</summary>
    public async Task Stop() { await app.StopAsync(); engine.Drain(TimeSpan.FromSeconds(5)); }
    internal EngineThread Engine => engine;
    public async ValueTask DisposeAsync() { await app.DisposeAsync(); engine.Dispose(); }

    async Task Handle(HttpContext http)
    {
        string path = http.Request.Path.Value ?? ""; int status = 500;
        try { status = await Route(http, path); }
        catch (ApiException e) { status = e.Status; await Refuse(http, e.Status, e.Message, e.Status switch { 401 => "authentication_error", 429 => "rate_limit_error", 404 => "not_found_error", _ => "invalid_request_error" }, e.Parameter, e.Code); }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException e) { status = e.StatusCode; await Refuse(http, e.StatusCode, e.StatusCode == 413 ? $"the body is larger than {options.LargestBody} bytes" : e.Message, "invalid_request_error"); }
        catch (Exception e) when (e is ArgumentException or ContextOverflowException or JsonException or NothingAllowedException) { status = 400; await Refuse(http, 400, e.Message, "invalid_request_error", null, e is ContextOverflowException ? "context_length_exceeded" : null); }
        catch (OperationCanceledException) { status = 499; if (!http.RequestAborted.IsCancellationRequested) { status = 503; await Refuse(http, 503, "the server stops", "server_error"); } }
        catch (IOException) when (http.RequestAborted.IsCancellationRequested) { status = 499; }
        catch (Exception e) { status = 500; await Refuse(http, 500, e.Message, "server_error"); }
        lock (gate) { var key = (Known(path) ? path : "other", status); counts[key] = counts.GetValueOrDefault(key) + 1; }
    }
    static bool Known(string path) => path is "/health" or "/metrics" or "/v1/models" or "/v1/completions" or "/v1/chat/completions" or "/v1/embeddings";
    static async Task Refuse(HttpContext http, int status, string message, string type, string? parameter = null, string? code = null)
    {
        if (http.Response.HasStarted || http.RequestAborted.IsCancellationRequested) { http.Abort(); return; }
        if (status == 429) http.Response.Headers.RetryAfter = "1";
        await ApiAnswers.Send(http, status, ApiAnswers.Error(message, type, parameter, code));
    }

    async Task<int> Route(HttpContext http, string path)
    {
        bool get = HttpMethods.IsGet(http.Request.Method), post = HttpMethods.IsPost(http.Request.Method);
        if (path == "/health" && get) { await ApiAnswers.Send(http, 200, new JsonObject { ["status"] = "ok", ["active"] = engine.Active, ["waiting"] = engine.Waiting }); return 200; }
        Authorise(http);
        switch (path)
        {
            case "/metrics" when get: http.Response.ContentType = "text/plain; version=0.0.4"; await http.Response.WriteAsync(Metrics()); return 200;
            case "/v1/models" when get: await ApiAnswers.Send(http, 200, answers.Models()); return 200;
            case "/v1/completions" or "/v1/chat/completions" when post: await Complete(http, path.Contains("chat", StringComparison.Ordinal)); return 200;
            case "/v1/embeddings" when post: await Embed(http); return 200;
        }
        if (path == $"/v1/models/{options.Name}" && get) { await ApiAnswers.Send(http, 200, answers.Model()); return 200; }
        throw Known(path) ? new ApiException(405, $"{http.Request.Method} {path}: expected {(path.StartsWith("/v1/models", StringComparison.Ordinal) || path is "/metrics" or "/health" ? "GET" : "POST")}") : new ApiException(404, $"there is no {http.Request.Method} {path}");
    }

    void Authorise(HttpContext http)
    {
        if (options.Key is not { } key) return;
        string given = http.Request.Headers.Authorization.ToString();
        // Hashes have one length, so that the time of the comparison tells nothing.
        if (!given.StartsWith("Bearer ", StringComparison.Ordinal) || !CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(given[7..].Trim())), SHA256.HashData(Encoding.UTF8.GetBytes(key)))) throw new ApiException(401, "the API key is missing or wrong", code: "invalid_api_key");
    }

    Job Queue(Job job) => engine.TryAdd(job) ? job : throw new ApiException(429, $"{options.Waiting} requests wait already; try again", code: "rate_limit_exceeded");

    async Task Complete(HttpContext http, bool chat)
    {
        // Leaving early, for whatever reason, frees the place of the request.
        using var leave = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted);
        var fields = await ApiCall.Body(http.Request.Body, http.RequestAborted); var call = chat ? ApiCall.Chat(fields, loaded, engine.Context, leave.Token) : ApiCall.Completion(fields, loaded, engine.Context, leave.Token);
        var job = Queue(new(call.Request));
        try { await answers.Write(http, job, chat, call.Stream, call.Usage, call.LogProbs); }
        finally { leave.Cancel(); }
    }

    async Task Embed(HttpContext http)
    {
        var (texts, base64) = ApiCall.Embedding(await ApiCall.Body(http.Request.Body, http.RequestAborted), loaded, engine.Context); var vectors = new List<float[]>();
        foreach (var t in texts) vectors.Add(await Queue(new(new(t) { Cancel = http.RequestAborted }, embed: t)).Vector.Task.WaitAsync(http.RequestAborted));
        await ApiAnswers.Send(http, 200, answers.Embeddings(vectors, texts.Sum(t => t.Length), base64));
    }

    string Metrics()
    {
        var b = new StringBuilder();
        void Line(string name, string type, string help, params (string Labels, long Value)[] values)
        {
            b.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n");
            foreach (var (labels, value) in values) b.Append(CultureInfo.InvariantCulture, $"{name}{labels} {value}\n");
        }
        (string, long)[] requests; lock (gate) requests = [.. counts.OrderBy(c => c.Key.Path, StringComparer.Ordinal).ThenBy(c => c.Key.Status).Select(c => ($"{{path=\"{c.Key.Path}\",status=\"{c.Key.Status}\"}}", c.Value))];
        Line("fovea_http_requests_total", "counter", "Answers by path and status.", requests);
        Line("fovea_tokens_read_total", "counter", "Tokens of prompts that were read.", ("", engine.ReadTokens)); Line("fovea_tokens_written_total", "counter", "Tokens that were written.", ("", engine.WrittenTokens));
        Line("fovea_requests_active", "gauge", "Requests that are being written.", ("", engine.Active)); Line("fovea_requests_waiting", "gauge", "Requests that wait.", ("", engine.Waiting)); Line("fovea_cache_bytes", "gauge", "Bytes of all caches.", ("", engine.CacheBytes));
        return b.ToString();
    }
}
