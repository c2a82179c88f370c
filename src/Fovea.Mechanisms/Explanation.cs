using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// What a layer does with a text of so many tokens, beside softmax attention of the same sizes: multiply-adds of a forward pass with its projections, how they grow from half the length, pairs of tokens with weight, tiles of 64 × 64
/// that hold such a pair, and what decoding keeps. Pairs and tiles are null where a mechanism has no weights to look at, the state where it does not decode token by token.
/// </summary>
public sealed record Explanation(string Name, int Tokens, long Parameters, long Work, double SoftmaxShare, double? Growth, long? Pairs, TileCount? Tiles, long? StateBytes, long SoftmaxStateBytes)
{
    public const int Tile = 64;
    /// <summary>Weights are looked at up to this length; the matrix of a head is then 16 MiB.</summary>
    public const int MostLookedAt = 2048;
    /// <summary>Share of all ordered pairs of tokens.</summary>
    public double? PairShare => Pairs is { } p ? p / ((double)Tokens * Tokens) : null;
    /// <summary>Share of all tiles: of the work of a kernel that computes whole tiles.</summary>
    public double? TileShare => Tiles is { } t ? (double)t.Visited / t.Dense : null;

    /// <summary>Runs a layer on drawn tokens [1,N,C] and counts. Throws what making or running it throws.</summary>
    public static Explanation Of(Mechanism mechanism, AttentionConfig config, int tokens, IReadOnlyDictionary<string, object>? knobs = null)
    {
        if (tokens < 2) throw new ArgumentException($"{tokens} tokens, expected at least 2");
        var weights = Weights.Random(new Rng(1)["weights"]); var layer = mechanism.New(config, weights, knobs); var softmax = new SoftmaxAttention(config, Weights.Random(new Rng(1)["softmax"]));
        using var scope = Scope.NoGrad();
        long work = Forward(layer, config, tokens);
        var seen = Seen(layer, config, tokens);
        return new(mechanism.Name, tokens, weights.Count, work, (double)work / Forward(softmax, config, tokens), Exponent(layer, config, tokens, work),
            seen is null ? null : seen.LongCount(s => s), seen is null ? null : Count(seen, tokens), mechanism.Traits.HasFlag(Traits.Incremental) && config.Causal ? State(layer, config, tokens) : null, State(softmax, config, tokens));
    }

    static Tensor Text(AttentionConfig c, int n) => Tensor.Normal(new Rng(1)["text"], [1, n, c.Dim]);
    static long Forward(Attention layer, AttentionConfig c, int n) { var x = Text(c, n); return Kernels.Work.Count(() => layer.Forward(x, Pass.Eval)); }
    // Null for a layer that is made for one length.
    static double? Exponent(Attention layer, AttentionConfig c, int n, long work)
    {
        try { return Math.Log2((double)work / Forward(layer, c, n / 2)) / Math.Log2((double)n / (n / 2)); }
        catch (ArgumentException) { return null; }
    }
    static long State(Attention layer, AttentionConfig c, int n)
    {
        var memory = new Memory();
        layer.Forward(Text(c, n), new Pass { Memory = memory });
        return memory.Bytes;
    }

    // Whether some head gives a pair weight.
    static bool[]? Seen(Attention layer, AttentionConfig c, int n)
    {
        if (n > MostLookedAt) return null;
        var probe = new Weighed(n);
        layer.Forward(Text(c, n), new Pass { Probe = probe });
        return probe.Seen;
    }

    sealed class Weighed(int n) : IProbe
    {
        public bool[]? Seen { get; private set; }
        public bool Wants(Site site) => site.Part == Part.Pattern;
        public Tensor Visit(Site site, Tensor p)
        {
            if (p.Shape.Rank != 4 || p.Shape[2] != n || p.Shape[3] != n || !Wants(site)) return p;
            Seen ??= new bool[n * n];
            var all = p.Span;
            for (int i = 0; i < all.Length; i++) if (all[i] != 0) Seen[i % Seen.Length] = true;
            return p;
        }
    }

    static TileCount Count(bool[] seen, int n)
    {
        long visited = 0, partial = 0, across = (n + Tile - 1) / Tile;
        for (int q = 0; q < n; q += Tile)
            for (int k = 0; k < n; k += Tile)
            {
                int some = 0, rows = Math.Min(n, q + Tile) - q, columns = Math.Min(n, k + Tile) - k;
                for (int i = 0; i < rows; i++) some += seen.AsSpan((q + i) * n + k, columns).Count(true);
                if (some > 0) visited++;
                if (some > 0 && some < rows * columns) partial++;
            }
        return new(visited, partial, across * across);
    }
}
