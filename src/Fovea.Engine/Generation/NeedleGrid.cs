using Fovea.Models;
namespace Fovea.Engine;

/// <summary>Share of right answers about one fact in much other text, by length in tokens and depth of the fact.</summary>
/// <param name="Share">[lengths, depths].</param>
/// <param name="CacheBytes">Bytes of the cache before the answer, by length, the last trial's.</param>
public sealed record NeedleGrid(int[] Lengths, double[] Depths, double[,] Share, long[] CacheBytes)
{
    /// <summary>The mean of a row.</summary>
    public double Mean(int length) { double sum = 0; for (int d = 0; d < Depths.Length; d++) sum += Share[length, d]; return sum / Depths.Length; }

    /// <summary>
    /// Asks trials times per place: the text is read under the format and the budget with the question behind it, the answer is written greedily, and it is right if it is the expected one word for word. Texts are the same for every rule.
    /// </summary>
    public static NeedleGrid Measure(LoadedModel loaded, int[] lengths, double[] depths, int trials, BatchOptions options, Rng rng, Action<double>? progress = null, CancellationToken cancel = default)
    {
        var share = new double[lengths.Length, depths.Length]; var bytes = new long[lengths.Length]; var (model, tokenizer) = (loaded.Model, loaded.Tokenizer);
        for (int l = 0; l < lengths.Length; l++)
            for (int d = 0; d < depths.Length; d++)
                for (int t = 0; t < trials; t++)
                {
                    cancel.ThrowIfCancellationRequested();
                    var (text, answer) = Text(tokenizer, rng[l][d][t], lengths[l], depths[d]);
                    int[] right = tokenizer.Encode(answer, special: false);
                    using var s = model.Start(options.Format, options.Budget);
                    float[] logits = s.Read(text, options.Chunk);
                    bytes[l] = s.Cache.Bytes; s.Tighten();
                    bool all = true;
                    for (int i = 0; i < right.Length && all; i++)
                    {
                        all = System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(logits) == right[i];
                        if (all && i + 1 < right.Length) logits = s.Read(right.AsMemory(i, 1));
                    }
                    if (all) share[l, d] += 1.0 / trials;
                    progress?.Invoke(((l * depths.Length + d) * trials + t + 1.0) / (lengths.Length * depths.Length * trials));
                }
        return new(lengths, depths, share, bytes);
    }

    // The longest text of its kind that leaves room for the answer.
    static (int[] Text, string Answer) Text(Tokenizer tokenizer, Rng rng, int length, double depth)
    {
        int low = 16, high = 24 * length; (int[], string) best = default; (int[] Text, string Answer) At(int characters) { var (text, answer) = Almanac.Needle(rng, characters, depth); return (tokenizer.Encode(text, special: false, boundaries: true), answer); }
        for (int tries = 0; tries < 12 && low < high; tries++)
        {
            int middle = low + (high - low + 1) / 2; var made = At(middle);
            if (made.Text.Length + 8 <= length) { best = made; low = middle; } else high = middle - 1;
        }
        return best.Item1 is null ? throw new ArgumentException($"a length of {length} tokens is too short for a fact and a question") : best;
    }
}
