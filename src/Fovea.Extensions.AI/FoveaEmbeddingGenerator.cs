using Fovea.Engine;
using Microsoft.Extensions.AI;
namespace Fovea.Extensions.AI;

/// <summary>
/// A language model as embedding generator: the vector [C] of a text is the mean over its tokens of what the output layer would read, of length 1. The engine stays the caller's. A text without tokens, or longer than the context, is an <see cref="ArgumentException"/>.
/// </summary>
public sealed class FoveaEmbeddingGenerator(EngineThread engine) : IEmbeddingGenerator<string, Embedding<float>>
{
    readonly EmbeddingGeneratorMetadata metadata = new("fovea", null, engine.Loaded.Model.Name, engine.Loaded.Model.Dim);

    /// <summary>One vector per text, in their order.</summary>
    public async Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        int dim = engine.Loaded.Model.Dim, i = 0;
        if (options?.Dimensions is { } asked && asked != dim) throw new NotSupportedException($"vectors have {dim} numbers, {asked} are asked for");
        var texts = values.Select(v => engine.Loaded.Tokenizer.Encode(v, special: false, boundaries: true)).ToList();
        foreach (var t in texts) { if (t.Length == 0 || t.Length > engine.Context) throw new ArgumentException($"text {i} has {t.Length} tokens, expected 1 to {engine.Context}", nameof(values)); i++; }
        var made = new GeneratedEmbeddings<Embedding<float>>(texts.Count) { Usage = new() { InputTokenCount = texts.Sum(t => (long)t.Length), TotalTokenCount = texts.Sum(t => (long)t.Length) } };
        foreach (var t in texts)
        {
            var job = new Job(new(t) { Cancel = cancellationToken }, embed: t);
            await engine.Add(job, cancellationToken).ConfigureAwait(false);
            made.Add(new(await job.Vector.Task.WaitAsync(cancellationToken).ConfigureAwait(false)) { ModelId = metadata.DefaultModelId });
        }
        return made;
    }

    /// <summary>This generator, its metadata, the engine or the model.</summary>
    public object? GetService(Type serviceType, object? serviceKey = null) => Services.Find(serviceType, serviceKey, this, metadata, engine, engine.Loaded);
    /// <summary>Does nothing: the engine is the caller's.</summary>
    public void Dispose() { }
}
