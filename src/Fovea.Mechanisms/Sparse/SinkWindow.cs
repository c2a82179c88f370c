using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>A window, and the first few tokens for everyone: j ≤ i and (j &lt; S or i − j &lt; W).</summary>
public readonly record struct SinksAndWindow(int Sinks, int Width) : IPattern
{
    public bool Allows(int query, int key) => key <= query && (key < Sinks || query - key < Width);
    public Cover Tile(int q0, int q1, int k0, int k1)
    {
        if (k0 > q1) return Cover.None;
        bool past = k1 <= q0, sinks = k1 < Sinks, near = q1 - k0 < Width;
        if (past && (sinks || near)) return Cover.All;
        return k0 >= Sinks && q0 - k1 >= Width ? Cover.None : Cover.Mixed;
    }
}

/// <summary>
/// Attention sinks and a window (§3.2): a token sees the first <paramref name="sinks"/> tokens and the last <paramref name="window"/>. This is the pattern as a trainable
/// mechanism with true positions; the cache that re-counts positions inside itself belongs to the engine.
/// </summary>
[From("streamingllm", "§3.2")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse | Traits.Linear | Traits.ConstantState)]
public sealed class SinkWindowAttention(AttentionConfig c, Weights w, int sinks = 4, int window = 64) : SoftmaxAttention<Plain, SinksAndWindow>(c, w, new(), new(sinks, window))
{
    protected override KvState StartKv() => new WindowKv(window, sinks);
}
