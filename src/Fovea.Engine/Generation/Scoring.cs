using System.Numerics.Tensors;
namespace Fovea.Engine;

/// <summary>How well a model foresees a text: perplexity, and how far its predictions move when the cache is limited.</summary>
/// <param name="Tokens">Predictions that were scored.</param>
/// <param name="Nats">Mean −ln p of the tokens that came.</param>
/// <param name="Divergence">Mean Kullback–Leibler divergence in nats from the predictions with the full cache; null where that was not asked for.</param>
/// <param name="CacheBytes">Bytes of the cache at the end.</param>
public sealed record TextScore(int Tokens, double Nats, double? Divergence, long CacheBytes)
{
    public double Perplexity => Math.Exp(Nats);

    /// <summary>
    /// Reads a text in chunks, with the budget kept after each, and scores every token after the first ones by the prediction before it. Windows of length tokens follow each other, each read from nothing; the first warm of each are
    /// read only. With compare, the full cache in float32 reads along.
    /// </summary>
    public static TextScore Of(LanguageModel model, ReadOnlyMemory<int> text, int length, int chunk, int warm, KvFormat format, KvBudget? budget, bool compare, Action<double>? progress = null, CancellationToken cancel = default)
    {
        if (text.Length < 2) throw new ArgumentException($"the text has {text.Length} tokens, expected at least 2", nameof(text));
        if (length < 2 || chunk < 1 || warm < 0 || warm >= length - 1) throw new ArgumentException($"windows of {length} tokens in chunks of {chunk} with {warm} to warm up: nothing would be scored");
        double nats = 0, apart = 0; int scored = 0; long bytes = 0, v = model.Vocabulary; float[] logits = new float[chunk * v], others = compare ? new float[chunk * v] : [];
        for (int from = 0; from + 1 < text.Length; from += length)
        {
            var window = text.Slice(from, Math.Min(length, text.Length - from));
            using Sequence s = model.Start(format, budget); using Sequence? full = compare ? model.Start() : null;
            for (int at = 0; at < window.Length; at += chunk)
            {
                cancel.ThrowIfCancellationRequested();
                var part = window.Slice(at, Math.Min(chunk, window.Length - at));
                model.Forward([new(s, part, All: true)], logits);
                if (full is not null) model.Forward([new(full, part, All: true)], others);
                for (int i = 0; i < part.Length && at + i + 1 < window.Length; i++)
                {
                    if (at + i < warm) continue;
                    var row = logits.AsSpan((int)(i * v), (int)v); double lse = LogSum(row);
                    nats += lse - row[window.Span[at + i + 1]]; scored++;
                    if (full is null) continue;
                    var other = others.AsSpan((int)(i * v), (int)v); double otherLse = LogSum(other), sum = 0;
                    for (int j = 0; j < row.Length; j++) sum += Math.Exp(other[j] - otherLse) * (other[j] - otherLse - row[j] + lse);
                    apart += sum;
                }
                progress?.Invoke((from + at + part.Length) / (double)text.Length);
            }
            bytes = s.Cache.Bytes;
        }
        if (scored == 0) throw new ArgumentException("the text is too short: nothing was scored", nameof(text));
        return new(scored, nats / scored, compare ? apart / scored : null, bytes);
    }

    /// <summary>ln Σ eˣ.</summary>
    internal static double LogSum(ReadOnlySpan<float> x)
    {
        float max = TensorPrimitives.Max(x); double sum = 0;
        foreach (float l in x) sum += Math.Exp(l - max);
        return max + Math.Log(sum);
    }
}
