namespace Fovea.Kernels;

/// <summary>Sizes of one attention call: q [B,H,N,D], k [B,G,M,D], v [B,G,M,E] → o [B,H,N,E]; H is a multiple of G.</summary>
public readonly record struct AttentionSize(int Batch, int Heads, int KvHeads, int Queries, int Keys, int Dim, int ValueDim)
{
    /// <summary>Query heads that share a key head.</summary>
    public int Group => Heads / KvHeads;
    /// <summary>What q·k is multiplied with before the score sees it; 1/√D unless set.</summary>
    public Real Scale { get; init; } = 1 / Real.Sqrt(Dim);
    /// <summary>Rows that k and v hold per key head; the first Keys of them count. More than Keys when a cache has spare room.</summary>
    public int KeyRows { get => field == 0 ? Keys : field; init; }
    /// <summary>Throws unless all sizes are positive and Heads is a multiple of KvHeads.</summary>
    public void Check()
    {
        if (Batch < 1 || Heads < 1 || KvHeads < 1 || Queries < 1 || Keys < 0 || KeyRows < Keys || Dim < 1 || ValueDim < 1 || Heads % KvHeads != 0)
            throw new ArgumentException($"{this}: sizes must be positive and Heads a multiple of KvHeads");
    }
}

/// <summary>What is known about a whole tile of (query, key) pairs without asking for each.</summary>
public enum Cover { None, Mixed, All }

/// <summary>Which keys a query may see. A struct; positions are absolute. <see cref="Allows"/> is the definition, <see cref="Tile"/> the speed.</summary>
public interface IPattern
{
    bool Allows(int query, int key);
    /// <summary>All bounds inclusive. Mixed is always correct; None and All must be true.</summary>
    Cover Tile(int firstQuery, int lastQuery, int firstKey, int lastKey);
}

/// <summary>A pattern whose queries see keys that stand side by side. The kernels ask for the range instead of each pair where keys have no positions of their own.</summary>
public interface IRangePattern : IPattern
{
    /// <summary>Keys [First, End) are what the query sees of all keys from 0 on; both may lie outside of those that there are.</summary>
    (int First, int End) Range(int query);
}

/// <summary>A pattern that can tell of many pairs at once, faster than one by one. The kernels ask it where keys have no positions of their own.</summary>
public interface ITilePattern : IPattern
{
    /// <summary>covers[t] becomes what queries [query, queryEnd) see of the keys of tile t: [key + t·width, + width), up to keyEnd.</summary>
    void Tiles(int query, int queryEnd, int key, int keyEnd, int width, Span<Cover> covers);
    /// <summary>row[j] becomes value unless query sees key firstKey + j.</summary>
    void Hide(Span<Real> row, int query, int firstKey, Real value);
    /// <summary>
    /// The same for some tiles of width keys at once: rows[r·stride + t·width + j] becomes value unless query + r sees key firstKeys[t] + j, for r below height. A tile whose first key is negative is left as it is;
    /// what lies behind the last key may become anything.
    /// </summary>
    void Hide(Span<Real> rows, int stride, int query, int height, ReadOnlySpan<int> firstKeys, int width, Real value);
}

/// <summary>Every query sees every key.</summary>
public readonly record struct Everything : IPattern
{
    public bool Allows(int query, int key) => true;
    public Cover Tile(int q0, int q1, int k0, int k1) => Cover.All;
}

/// <summary>A query sees itself and what came before: j ≤ i.</summary>
public readonly record struct Causal : IRangePattern
{
    public (int First, int End) Range(int query) => (0, query + 1);
    public bool Allows(int query, int key) => key <= query;
    public Cover Tile(int q0, int q1, int k0, int k1) => k1 <= q0 ? Cover.All : k0 > q1 ? Cover.None : Cover.Mixed;
}

/// <summary>
/// How a raw score s = scale·q·k becomes the logit that the normaliser sees. Of and Slope are the definition; Row and SlopeRow are the same for
/// consecutive keys and what the kernels call. A law checks that they agree. <see cref="Scores"/> writes the row forms for scores that need no speed.
/// </summary>
public interface IScore
{
    Real Of(Real raw, int head, int query, int key);
    /// <summary>d Of / d raw.</summary>
    Real Slope(Real raw, int head, int query, int key);
    /// <summary>raw[j] becomes Of(raw[j], head, query, firstKey + j).</summary>
    void Row(Span<Real> raw, int head, int query, int firstKey);
    /// <summary>gradient[j] is multiplied with Slope(raw[j], head, query, firstKey + j).</summary>
    void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey);
}

/// <summary>
/// A score with parameters of its own. Backward calls GradRow with d loss / d logit of each run of consecutive keys; calls for one (batch, head) come
/// in order and from one thread, calls for different ones at the same time, so gradients are kept per batch and head and added up by the caller.
/// </summary>
public interface ILearnedScore : IScore
{
    void GradRow(ReadOnlySpan<Real> raw, ReadOnlySpan<Real> dLogit, int batch, int head, int query, int firstKey);
}

/// <summary>Row forms by way of the scalar ones.</summary>
public static class Scores
{
    public static void Row<T>(T score, Span<Real> raw, int head, int query, int firstKey) where T : struct, IScore
    {
        for (int j = 0; j < raw.Length; j++) raw[j] = score.Of(raw[j], head, query, firstKey + j);
    }
    public static void SlopeRow<T>(T score, ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) where T : struct, IScore
    {
        for (int j = 0; j < raw.Length; j++) gradient[j] *= score.Slope(raw[j], head, query, firstKey + j);
    }
}

/// <summary>The raw score itself. The kernels know this type and skip the calls.</summary>
public readonly record struct Plain : IScore
{
    public Real Of(Real raw, int head, int query, int key) => raw;
    public Real Slope(Real raw, int head, int query, int key) => 1;
    public void Row(Span<Real> raw, int head, int query, int firstKey) { }
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) { }
}

/// <summary>
/// How logits become weights. <see cref="SoftmaxWeights"/> is known to the kernels, which run it online with a running maximum; every other normaliser
/// treats each entry alone, so that partial results over key ranges just add. A masked entry has logit −∞ and must get weight 0.
/// </summary>
public interface INormaliser
{
    /// <summary>Logits become weights, in place.</summary>
    static abstract void Weights(Span<Real> logits);
    /// <summary>gradient[j] is multiplied with d weight / d logit, written as a function of the weight.</summary>
    static abstract void Slope(ReadOnlySpan<Real> weights, Span<Real> gradient);
}

/// <summary>exp(s − lse): rows sum to one.</summary>
public readonly struct SoftmaxWeights : INormaliser
{
    public static void Weights(Span<Real> logits) => throw new InvalidOperationException("softmax is not elementwise; the kernels run it online");
    public static void Slope(ReadOnlySpan<Real> weights, Span<Real> gradient) => throw new InvalidOperationException("softmax is not elementwise; the kernels run it online");
}

/// <summary>
/// Data-dependent sparsity: for each (batch, head, block of queries) the list of key blocks that it sees, in ascending order.
/// Start has B·H·⌈N/QueryBlock⌉ + 1 entries; the list of row r = (b·H + h)·⌈N/QueryBlock⌉ + t is Keys[Start[r] .. Start[r+1]], in units of KeyBlock keys.
/// A pattern given beside it still applies pair by pair (causality inside a block).
/// </summary>
public sealed class BlockList
{
    public required int QueryBlock { get; init; }
    public required int KeyBlock { get; init; }
    public required int[] Start { get; init; }
    public required int[] Keys { get; init; }

    /// <summary>Throws unless the list fits these sizes.</summary>
    public void Check(in AttentionSize s)
    {
        if (QueryBlock < 1 || KeyBlock < 1) throw new ArgumentException($"block sizes are {QueryBlock} × {KeyBlock}, must be positive");
        int rows = s.Batch * s.Heads * ((s.Queries + QueryBlock - 1) / QueryBlock), keyBlocks = (s.Keys + KeyBlock - 1) / KeyBlock;
        if (Start.Length != rows + 1 || Start[0] != 0 || Start[rows] > Keys.Length) throw new ArgumentException($"Start has {Start.Length} entries and ends at {Start[^1]}, expected {rows + 1} entries from 0 to at most {Keys.Length}");
        for (int r = 0; r < rows; r++)
        {
            if (Start[r + 1] < Start[r]) throw new ArgumentException($"Start[{r + 1}] = {Start[r + 1]} is before Start[{r}] = {Start[r]}");
            for (int i = Start[r]; i < Start[r + 1]; i++)
                if (Keys[i] < 0 || Keys[i] >= keyBlocks || i > Start[r] && Keys[i] <= Keys[i - 1]) throw new ArgumentException($"Keys[{i}] = {Keys[i]}: key blocks of a row must ascend within [0, {keyBlocks})");
        }
    }
}
