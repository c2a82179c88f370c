using System.Runtime.CompilerServices;
using System.Text;
using Fovea.Engine;
using Microsoft.Extensions.AI;
namespace Fovea.Extensions.AI;

/// <summary>
/// A language model as <see cref="IChatClient"/>. Conversations are written by the model's own template and read as far as they are new; several calls at once share every pass. The engine stays the caller's.
/// Options that are not set are those of <see cref="Sampling.Usual"/>, with seed 1: the same conversation has the same answer. What cannot be done (tools, images, conversations kept by the client) is a <see cref="NotSupportedException"/>.
/// </summary>
public sealed class FoveaChatClient(EngineThread engine) : IChatClient
{
    readonly ChatClientMetadata metadata = new("fovea", null, engine.Loaded.Model.Name); long answers;

    /// <summary>The whole answer. Cancelling ends the work within a token.</summary>
    public async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        var text = new StringBuilder(); using var leave = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var job = await Begin(messages, options, leave.Token, cancellationToken).ConfigureAwait(false);
        try
        {
            await foreach (var w in job.Tokens.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false)) text.Append(w.Text);
            var done = await End(job, cancellationToken).ConfigureAwait(false);
            return new(new ChatMessage(ChatRole.Assistant, text.ToString())) { ModelId = metadata.DefaultModelId, FinishReason = Reason(done.Finish), Usage = Usage(done) };
        }
        finally { leave.Cancel(); }
    }

    /// <summary>The answer piece by piece; the last update has no text, but the reason of the end and the usage. Leaving the loop ends the work, as cancelling does.</summary>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using var leave = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var job = await Begin(messages, options, leave.Token, cancellationToken).ConfigureAwait(false); string id = $"answer-{Interlocked.Increment(ref answers)}";
        try
        {
            await foreach (var w in job.Tokens.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                // What has been written already waits in the channel; who has cancelled does not want it.
                cancellationToken.ThrowIfCancellationRequested();
                if (w.Text.Length > 0) yield return new(ChatRole.Assistant, w.Text) { ModelId = metadata.DefaultModelId, MessageId = id, ResponseId = id };
            }
            var done = await End(job, cancellationToken).ConfigureAwait(false);
            yield return new(ChatRole.Assistant, [new UsageContent(Usage(done))]) { ModelId = metadata.DefaultModelId, MessageId = id, ResponseId = id, FinishReason = Reason(done.Finish) };
        }
        finally { leave.Cancel(); }
    }

    /// <summary>This client, its metadata, the engine or the model.</summary>
    public object? GetService(Type serviceType, object? serviceKey = null) => Services.Find(serviceType, serviceKey, this, metadata, engine, engine.Loaded);
    /// <summary>Does nothing: the engine is the caller's.</summary>
    public void Dispose() { }

    async Task<Job> Begin(IEnumerable<ChatMessage> messages, ChatOptions? options, CancellationToken leave, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(messages);
        int[] prompt = engine.Loaded.Chat(Conversation.Of(messages, options?.Instructions));
        var job = new Job(ChatRequests.Of(prompt, options, leave));
        await engine.Add(job, cancel).ConfigureAwait(false);
        return job;
    }

    static async Task<Writing> End(Job job, CancellationToken cancel)
    {
        var done = await job.Done.Task.WaitAsync(cancel).ConfigureAwait(false);
        return done.Finish == Finish.Cancelled ? throw new OperationCanceledException("the engine stops", cancel) : done;
    }
    static ChatFinishReason Reason(Finish f) => f is Finish.Length or Finish.Overflow ? ChatFinishReason.Length : ChatFinishReason.Stop;
    static UsageDetails Usage(Writing w) => new() { InputTokenCount = w.Request.Prompt.Length, OutputTokenCount = w.WrittenTokens, TotalTokenCount = w.Request.Prompt.Length + w.WrittenTokens, CachedInputTokenCount = w.SharedTokens };
}

static class Services
{
    public static object? Find(Type type, object? key, params object[] all) { ArgumentNullException.ThrowIfNull(type); return key is null ? Array.Find(all, type.IsInstanceOfType) : null; }
}
