using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Long Short-attention: the first <paramref name="full"/> heads see all of the past, the others the last <paramref name="window"/> tokens (§3). Parameters are those of multi-head attention.
/// While decoding, a key head with local queries only keeps the window.
/// </summary>
[From("ls-attention", "§3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class LongShortAttention(AttentionConfig c, Weights w, int full = 1, int window = 32) : PerHeadAttention<Window>(c, w)
{
    readonly int full = full >= 0 && full <= c.Heads && window > 0 ? full : throw new ArgumentException($"{full} of {c.Heads} heads with a window of {window} tokens");

    protected override Window Pattern(int head) => new(head < full ? int.MaxValue : window);
    protected override KvState StartKv(int keyHead) => keyHead * (Config.Heads / Config.Groups) < full ? new GrowingKv() : new WindowKv(window);
}
