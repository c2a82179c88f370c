using Fovea.Engine;
using Microsoft.Extensions.AI;
namespace Fovea.Extensions.AI;

/// <summary>Options of a chat as a request of the engine.</summary>
static class ChatRequests
{
    public static Request Of(int[] prompt, ChatOptions? options, CancellationToken cancel)
    {
        var usual = Sampling.Usual; var o = options ?? new();
        if (o.Tools is { Count: > 0 }) throw new NotSupportedException("tools are not supported");
        if (o.ToolMode is RequiredChatToolMode) throw new NotSupportedException("a required tool is not supported");
        if (o.ConversationId is not null) throw new NotSupportedException("conversations are not kept here: send all messages, and what was read before is not read again");
        if (o.ContinuationToken is not null || o.AllowBackgroundResponses == true) throw new NotSupportedException("answers in the background are not supported");
        if (o.MaxOutputTokens < 0) throw new ArgumentOutOfRangeException(nameof(options), o.MaxOutputTokens, "MaxOutputTokens: expected 0 or more");
        return new(prompt)
        {
            MaxTokens = o.MaxOutputTokens ?? int.MaxValue,
            Stop = [.. o.StopSequences ?? []],
            Overflow = Overflow.Stop,
            Constraint = Constraint(o.ResponseFormat),
            Cancel = cancel,
            Sampling = (usual with
            {
                Temperature = o.Temperature ?? usual.Temperature,
                TopK = o.TopK ?? usual.TopK,
                TopP = o.TopP ?? usual.TopP,
                FrequencyPenalty = o.FrequencyPenalty ?? 0,
                PresencePenalty = o.PresencePenalty ?? 0,
                PenaltyLength = 1 << 20,
                Seed = (ulong)(o.Seed ?? (long)usual.Seed),
            }).Checked(),
        };
    }

    static JsonConstraint? Constraint(ChatResponseFormat? format) => format switch
    {
        null or ChatResponseFormatText => null,
        ChatResponseFormatJson { Schema: { } schema } => new(JsonSchema.Parse(schema)),
        ChatResponseFormatJson => new(),
        _ => throw new NotSupportedException($"a response format {format.GetType().Name} is not supported"),
    };
}

/// <summary>Messages as templates of models know them: texts with roles.</summary>
static class Conversation
{
    public static IReadOnlyList<Models.ChatMessage> Of(IEnumerable<ChatMessage> messages, string? instructions)
    {
        var list = new List<Models.ChatMessage>();
        if (!string.IsNullOrEmpty(instructions)) list.Add(new("system", instructions));
        foreach (var m in messages)
        {
            if (m.Role != ChatRole.System && m.Role != ChatRole.User && m.Role != ChatRole.Assistant && m.Role != ChatRole.Tool) throw new NotSupportedException($"a message has the role '{m.Role}', expected system, user or assistant");
            if (m.Role == ChatRole.Tool) throw new NotSupportedException("messages of tools are not supported");
            foreach (var c in m.Contents) if (c is not (TextContent or UsageContent)) throw new NotSupportedException($"a message has {c.GetType().Name}; expected texts");
            list.Add(new(m.Role.Value, m.Text));
        }
        return list.Count > 0 ? list : throw new ArgumentException("there are no messages", nameof(messages));
    }
}
