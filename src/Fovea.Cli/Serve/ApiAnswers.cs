using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fovea.Engine;
using Fovea.Models;
using Microsoft.AspNetCore.Http;
namespace Fovea.Cli;

/// <summary>What the server answers, in the forms of the OpenAI interface.</summary>
sealed class ApiAnswers(string model, Tokenizer tokenizer, TimeProvider clock)
{
    long number;
    long Now => clock.GetUtcNow().ToUnixTimeSeconds();

    public static JsonObject Error(string message, string type, string? parameter = null, string? code = null) => new() { ["error"] = new JsonObject { ["message"] = message, ["type"] = type, ["param"] = parameter, ["code"] = code } };
    public static string Ended(Finish finish) => finish is Finish.EndToken or Finish.StopText or Finish.Constraint ? "stop" : "length";
    static JsonObject Usage(Writing w) => new()
    {
        ["prompt_tokens"] = w.Request.Prompt.Length,
        ["completion_tokens"] = w.WrittenTokens,
        ["total_tokens"] = w.Request.Prompt.Length + w.WrittenTokens,
        ["prompt_tokens_details"] = new JsonObject { ["cached_tokens"] = w.SharedTokens },
    };

    /// <summary>One answer as a whole, or as events while it is written.</summary>
    public async Task Write(HttpContext http, Job job, bool chat, bool stream, bool usage, int logProbs)
    {
        string id = (chat ? "chatcmpl-" : "cmpl-") + Interlocked.Increment(ref number).ToString(CultureInfo.InvariantCulture), kind = chat ? "chat.completion" : "text_completion"; long made = Now;
        JsonObject Part(JsonNode? choice, bool chunk) => new() { ["id"] = id, ["object"] = kind + (chunk && chat ? ".chunk" : ""), ["created"] = made, ["model"] = model, ["choices"] = choice is null ? [] : new JsonArray(choice) };
        JsonObject Choice(string? text, string? finish, JsonNode? probabilities, bool delta)
        {
            var c = new JsonObject { ["index"] = 0 };
            if (!chat) c["text"] = text ?? "";
            else if (delta) c["delta"] = text is null ? new JsonObject() : new JsonObject { ["content"] = text };
            else c["message"] = new JsonObject { ["role"] = "assistant", ["content"] = text, ["refusal"] = null };
            c["logprobs"] = probabilities; c["finish_reason"] = finish;
            return c;
        }
        if (!stream)
        {
            var text = new StringBuilder(); var told = new List<Written>();
            await foreach (var w in job.Tokens.Reader.ReadAllAsync(http.RequestAborted)) { text.Append(w.Text); if (logProbs > 0) told.Add(w); }
            var done = await job.Done.Task.WaitAsync(http.RequestAborted);
            var answer = Part(Choice(text.ToString(), Ended(done.Finish), logProbs > 0 ? chat ? ChatProbabilities(told) : PlainProbabilities(told) : null, delta: false), chunk: false);
            answer["usage"] = Usage(done);
            await Send(http, 200, answer);
            return;
        }
        // The first token shows whether the request can be answered; until then an error still has a status.
        var tokens = job.Tokens.Reader; bool any = await tokens.WaitToReadAsync(http.RequestAborted);
        if (!any) await job.Done.Task.WaitAsync(http.RequestAborted);
        http.Response.ContentType = "text/event-stream"; http.Response.Headers.CacheControl = "no-cache";
        if (chat) await Event(http, Part(new JsonObject { ["index"] = 0, ["delta"] = new JsonObject { ["role"] = "assistant", ["content"] = "" }, ["logprobs"] = null, ["finish_reason"] = null }, chunk: true).ToJsonString());
        while (await tokens.WaitToReadAsync(http.RequestAborted))
            while (tokens.TryRead(out var w))
                if (w.Text.Length > 0 || logProbs > 0) await Event(http, Part(Choice(w.Text, null, logProbs > 0 ? chat ? ChatProbabilities([w]) : PlainProbabilities([w]) : null, delta: true), chunk: true).ToJsonString());
        try
        {
            var writing = await job.Done.Task.WaitAsync(http.RequestAborted);
            await Event(http, Part(Choice(null, Ended(writing.Finish), null, delta: true), chunk: true).ToJsonString());
            if (usage) { var last = Part(null, chunk: true); last["usage"] = Usage(writing); await Event(http, last.ToJsonString()); }
        }
        catch (Exception e) when (e is not OperationCanceledException || !http.RequestAborted.IsCancellationRequested) { await Event(http, Error(e.Message, "server_error").ToJsonString()); }
        await Event(http, "[DONE]");
    }

    static async Task Event(HttpContext http, string data) { await http.Response.WriteAsync($"data: {data}\n\n", http.RequestAborted); await http.Response.Body.FlushAsync(http.RequestAborted); }
    public static async Task Send(HttpContext http, int status, JsonNode body) { http.Response.StatusCode = status; http.Response.ContentType = "application/json"; await http.Response.WriteAsync(body.ToJsonString(), http.RequestAborted); }

    string Name(int token) => Encoding.UTF8.GetString(tokenizer.Piece(token, showControl: true));
    JsonObject Likely(int token, double p) => new() { ["token"] = Name(token), ["logprob"] = Math.Max(-9999, p), ["bytes"] = new JsonArray([.. tokenizer.Piece(token, showControl: true).Select(b => (JsonNode)(int)b)]) };
    JsonObject ChatProbabilities(List<Written> told) => new()
    {
        ["content"] = new JsonArray([.. told.Select(w => { var one = Likely(w.Token, w.LogProbability); one["top_logprobs"] = new JsonArray([.. (w.Others ?? []).Select(o => Likely(o.Token, o.LogProbability))]); return (JsonNode)one; })]),
        ["refusal"] = null,
    };
    JsonObject PlainProbabilities(List<Written> told) => new()
    {
        ["tokens"] = new JsonArray([.. told.Select(w => (JsonNode)Name(w.Token))]),
        ["token_logprobs"] = new JsonArray([.. told.Select(w => (JsonNode)Math.Max(-9999, w.LogProbability))]),
        ["top_logprobs"] = new JsonArray([.. told.Select(w => { var top = new JsonObject(); foreach (var o in w.Others ?? []) top[Name(o.Token)] = Math.Max(-9999, o.LogProbability); return (JsonNode)top; })]),
    };

    public JsonObject Embeddings(IReadOnlyList<float[]> vectors, int tokens, bool base64) => new()
    {
        ["object"] = "list",
        ["model"] = model,
        ["usage"] = new JsonObject { ["prompt_tokens"] = tokens, ["total_tokens"] = tokens },
        ["data"] = new JsonArray([.. vectors.Select((v, i) => (JsonNode)new JsonObject { ["object"] = "embedding", ["index"] = i, ["embedding"] = base64 ? JsonValue.Create(Convert.ToBase64String(System.Runtime.InteropServices.MemoryMarshal.AsBytes(v.AsSpan()))) : new JsonArray([.. v.Select(x => (JsonNode)x)]) })]),
    };
    public JsonObject Models() => new() { ["object"] = "list", ["data"] = new JsonArray(Model()) };
    public JsonObject Model() => new() { ["id"] = model, ["object"] = "model", ["created"] = 0, ["owned_by"] = "fovea" };
}
