using System.Text.Json;
using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>A request that is refused: status, what is wrong, and where.</summary>
sealed class ApiException(int status, string message, string? parameter = null, string? code = null) : Exception(message)
{
    public int Status => status;
    public string? Parameter => parameter;
    public string? Code => code;
}

/// <summary>Fields of a request's JSON, each with what it may be. Unknown fields are left alone, as clients send many; fields that would change the answer and are not kept are refused.</summary>
readonly struct ApiFields(JsonElement root)
{
    public static ApiFields Of(JsonElement root) => root.ValueKind == JsonValueKind.Object ? new(root) : throw new ApiException(400, $"the body is {root.ValueKind}, expected an object");
    JsonElement? Get(string name) => root.TryGetProperty(name, out var v) && v.ValueKind != JsonValueKind.Null ? v : null;
    static ApiException Bad(string name, JsonElement v, string expected) { string text = v.GetRawText(); return new(400, $"'{name}' is {(text.Length > 60 ? text[..60] + "…" : text)}, expected {expected}", name); }

    public JsonElement? Any(string name) => Get(name);
    public bool Has(string name) => Get(name) is not null;
    public string? Text(string name) => Get(name) is { } v ? v.ValueKind == JsonValueKind.String ? v.GetString() : throw Bad(name, v, "a text") : null;
    public bool Flag(string name) => Get(name) is { } v && (v.ValueKind is JsonValueKind.True or JsonValueKind.False ? v.GetBoolean() : throw Bad(name, v, "true or false"));
    public double Number(string name, double otherwise, double least, double most) => Get(name) is not { } v ? otherwise
        : v.ValueKind == JsonValueKind.Number && v.TryGetDouble(out double x) && x >= least && x <= most ? x : throw Bad(name, v, $"a number from {least} to {most}");
    public int Whole(string name, int otherwise, int least, int most) => Get(name) is not { } v ? otherwise
        : v.ValueKind == JsonValueKind.Number && v.TryGetInt32(out int x) && x >= least && x <= most ? x : throw Bad(name, v, $"a whole number from {least} to {most}");
    public string[] Texts(string name, int most) => Get(name) is not { } v ? [] : v.ValueKind == JsonValueKind.String ? [v.GetString()!]
        : v.ValueKind == JsonValueKind.Array && v.GetArrayLength() <= most && v.EnumerateArray().All(x => x.ValueKind == JsonValueKind.String) ? [.. v.EnumerateArray().Select(x => x.GetString()!)] : throw Bad(name, v, $"a text or up to {most} texts");

    /// <summary>What is common to completions and chats.</summary>
    public Request Request(int[] prompt, int context, int logProbs, CancellationToken cancel)
    {
        foreach (var (name, usual) in ((string, double)[])[("n", 1), ("best_of", 1)]) if (Number(name, usual, 1, 128) != usual) throw new ApiException(400, $"'{name}' is not supported beyond {usual}", name);
        foreach (string name in (string[])["tools", "functions", "suffix", "audio"]) if (Any(name) is { } v && !(v.ValueKind == JsonValueKind.Array && v.GetArrayLength() == 0)) throw new ApiException(400, $"'{name}' is not supported", name);
        string limit = Has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
        int most = Whole(limit, Math.Max(1, context - prompt.Length), 0, int.MaxValue);
        if ((long)prompt.Length + most > context)
        {
            if (Has(limit) || prompt.Length >= context) throw new ApiException(400, $"the prompt has {prompt.Length} tokens and {most} are asked for; there is room for {context}", limit, "context_length_exceeded");
            most = context - prompt.Length;
        }
        var bias = new Dictionary<int, double>();
        if (Any("logit_bias") is { } b)
        {
            if (b.ValueKind != JsonValueKind.Object) throw Bad("logit_bias", b, "an object of token ids and numbers");
            foreach (var p in b.EnumerateObject())
                bias[int.TryParse(p.Name, out int id) ? id : throw new ApiException(400, $"'logit_bias' names '{p.Name}', expected token ids", "logit_bias")] = p.Value.ValueKind == JsonValueKind.Number && p.Value.TryGetDouble(out double x) && Math.Abs(x) <= 100 ? x <= -100 ? double.NegativeInfinity : x : throw Bad("logit_bias", p.Value, "a number from -100 to 100");
        }
        return new(prompt)
        {
            MaxTokens = most,
            Stop = Texts("stop", 16),
            LogProbs = logProbs,
            Overflow = Overflow.Stop,
            Constraint = Constraint(),
            Cancel = cancel,
            Sampling = new Sampling
            {
                Temperature = Number("temperature", 1, 0, 2),
                TopP = Math.Max(1e-9, Number("top_p", 1, 0, 1)),
                TopK = Whole("top_k", 0, 0, 1 << 20),
                MinP = Number("min_p", 0, 0, 1),
                RepetitionPenalty = Number("repetition_penalty", 1, 0.01, 100),
                FrequencyPenalty = Number("frequency_penalty", 0, -2, 2),
                PresencePenalty = Number("presence_penalty", 0, -2, 2),
                PenaltyLength = 1 << 20,
                Bias = bias,
                Seed = (ulong)Number("seed", 1, long.MinValue, long.MaxValue),
            },
        };
    }

    JsonConstraint? Constraint()
    {
        if (Any("response_format") is not { } f) return null;
        var format = Of(f); string? type = format.Text("type");
        try
        {
            return type switch
            {
                "text" => null,
                "json_object" => new(),
                "json_schema" => format.Any("json_schema") is { ValueKind: JsonValueKind.Object } s && s.TryGetProperty("schema", out var schema) ? new(JsonSchema.Parse(schema)) : throw new ApiException(400, "'response_format' has no json_schema.schema", "response_format"),
                _ => throw new ApiException(400, $"'response_format' is of type '{type}', expected text, json_object or json_schema", "response_format"),
            };
        }
        catch (ArgumentException e) { throw new ApiException(400, $"'response_format': {e.Message}", "response_format"); }
    }

    /// <summary>The messages of a chat: texts, or lists of parts that are texts.</summary>
    public IReadOnlyList<ChatMessage> Messages()
    {
        if (Any("messages") is not { ValueKind: JsonValueKind.Array } list || list.GetArrayLength() == 0) throw new ApiException(400, "'messages' is missing or empty, expected a list of messages", "messages");
        return [.. list.EnumerateArray().Select((m, i) =>
        {
            var fields = m.ValueKind == JsonValueKind.Object ? new ApiFields(m) : throw Bad($"messages[{i}]", m, "an object");
            string role = fields.Text("role") ?? throw new ApiException(400, $"messages[{i}] has no role", "messages");
            // Templates write roles between names of control tokens.
            if (role is not ("system" or "developer" or "user" or "assistant" or "tool")) throw new ApiException(400, $"messages[{i}] has the role '{role}', expected system, developer, user, assistant or tool", "messages");
            if (fields.Any("content") is not { } c) throw new ApiException(400, $"messages[{i}] has no content", "messages");
            string content = c.ValueKind switch
            {
                JsonValueKind.String => c.GetString()!,
                JsonValueKind.Array => string.Concat(c.EnumerateArray().Select(p => p.ValueKind == JsonValueKind.Object && p.TryGetProperty("text", out var t) && t.ValueKind == JsonValueKind.String ? t.GetString() : throw Bad($"messages[{i}].content", p, "a part of type text"))),
                _ => throw Bad($"messages[{i}].content", c, "a text or a list of texts"),
            };
            return new ChatMessage(role == "developer" ? "system" : role, content);
        })];
    }
}
