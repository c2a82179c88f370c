using System.Text.Json;
using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>A body of a request, read as its endpoint reads it. What is wrong with it is an <see cref="ApiException"/>, whatever the bytes are.</summary>
/// <param name="Stream">The answer comes in events.</param>
/// <param name="Usage">The last event counts tokens.</param>
sealed record ApiCall(Request Request, bool Stream, bool Usage)
{
    public int LogProbs => Request.LogProbs;

    /// <summary>The fields of a body.</summary>
    public static async Task<ApiFields> Body(Stream body, CancellationToken cancel)
    {
        try
        {
            using var json = await JsonDocument.ParseAsync(body, new() { MaxDepth = 64 }, cancel);
            var root = json.RootElement.Clone(); Check(root);
            return ApiFields.Of(root);
        }
        catch (JsonException e) { throw new ApiException(400, $"the body is not JSON: {e.Message}"); }
    }

    // JSON may hold texts that no text can be: bytes that are not UTF-8, halves of surrogates. Names are texts, too.
    static void Check(JsonElement e)
    {
        try
        {
            if (e.ValueKind == JsonValueKind.String) e.GetString();
            else if (e.ValueKind == JsonValueKind.Array) foreach (var x in e.EnumerateArray()) Check(x);
            else if (e.ValueKind == JsonValueKind.Object) foreach (var p in e.EnumerateObject()) { _ = p.Name; Check(p.Value); }
        }
        catch (InvalidOperationException) { throw new ApiException(400, "the body has a text that is not Unicode"); }
    }

    /// <summary>The body of /v1/chat/completions.</summary>
    public static ApiCall Chat(ApiFields f, LoadedModel loaded, int context, CancellationToken cancel)
    {
        var messages = f.Messages(); int[] prompt;
        try { prompt = loaded.Chat(messages); } catch (Exception e) when (e is InvalidOperationException or TemplateException) { throw new ApiException(400, e.Message, "messages"); }
        return Of(f, prompt, "messages", context, f.Flag("logprobs") ? Math.Max(1, f.Whole("top_logprobs", 0, 0, 20)) : 0, cancel);
    }

    /// <summary>The body of /v1/completions.</summary>
    public static ApiCall Completion(ApiFields f, LoadedModel loaded, int context, CancellationToken cancel)
    {
        if (f.Flag("echo")) throw new ApiException(400, "'echo' is not supported", "echo");
        return Of(f, Prompt(f, loaded), "prompt", context, f.Whole("logprobs", 0, 0, 20), cancel);
    }

    static ApiCall Of(ApiFields f, int[] prompt, string name, int context, int logProbs, CancellationToken cancel)
    {
        if (prompt.Length == 0) throw new ApiException(400, "the prompt is empty", name);
        bool usage = f.Any("stream_options") is { ValueKind: JsonValueKind.Object } o && new ApiFields(o).Flag("include_usage");
        return new(f.Request(prompt, context, logProbs, cancel), f.Flag("stream"), usage);
    }

    static int[] Prompt(ApiFields f, LoadedModel loaded)
    {
        if (f.Any("prompt") is not { } p) throw new ApiException(400, "'prompt' is missing", "prompt");
        if (p.ValueKind == JsonValueKind.Array && p.GetArrayLength() == 1 && p[0].ValueKind is JsonValueKind.String or JsonValueKind.Array) p = p[0];
        if (p.ValueKind == JsonValueKind.String) return loaded.Tokenizer.Encode(p.GetString()!, special: true, boundaries: true);
        return Tokens(p) ?? throw new ApiException(400, "'prompt' is neither a text nor a list of tokens; several prompts want several requests", "prompt");
    }

    /// <summary>The body of /v1/embeddings: the tokens of each text, and whether vectors are wanted as base64.</summary>
    public static (IReadOnlyList<int[]> Texts, bool Base64) Embedding(ApiFields f, LoadedModel loaded, int context)
    {
        var texts = new List<int[]>();
        if (f.Any("input") is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() > 0 && list[0].ValueKind == JsonValueKind.Number) texts.Add(Tokens(list) ?? throw new ApiException(400, "'input' holds something that is no token", "input"));
        else foreach (string t in f.Texts("input", 2048)) texts.Add(loaded.Tokenizer.Encode(t, special: false, boundaries: true));
        if (texts.Count == 0 || texts.Exists(t => t.Length == 0)) throw new ApiException(400, "'input' is missing or empty", "input");
        if (texts.Find(t => t.Length > context) is { } too) throw new ApiException(400, $"a text has {too.Length} tokens, there is room for {context}", "input", "context_length_exceeded");
        if (f.Has("dimensions")) throw new ApiException(400, "'dimensions' is not supported", "dimensions");
        bool base64 = f.Text("encoding_format") switch { null or "float" => false, "base64" => true, var x => throw new ApiException(400, $"'encoding_format' is '{x}', expected float or base64", "encoding_format") };
        return (texts, base64);
    }

    static int[]? Tokens(JsonElement p) => p.ValueKind == JsonValueKind.Array && p.EnumerateArray().All(x => x.ValueKind == JsonValueKind.Number && x.TryGetInt32(out _)) ? [.. p.EnumerateArray().Select(x => x.GetInt32())] : null;
}
