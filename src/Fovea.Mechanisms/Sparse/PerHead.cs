using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>A key-value state of its own for each key head, so that each keeps what its queries can still see and no more.</summary>
public sealed class HeadsKv : LayerState
{
    readonly KvState[] heads;

    public HeadsKv(int heads, Func<int, KvState> start) => this.heads = [.. Enumerable.Range(0, heads).Select(start)];

    public KvState this[int keyHead] => heads[keyHead];
    public override long Bytes => heads.Sum(h => h.Bytes);

    /// <summary>Adds k [B,G,N,D] and v [B,G,N,E], whose first token stands at position, head by head.</summary>
    public void Append(Tensor k, Tensor v, int position)
    {
        for (int g = 0; g < heads.Length; g++) heads[g].Append(k.Slice(1, g, g + 1), v.Slice(1, g, g + 1), position);
    }

    public void Settle() { foreach (var h in heads) h.Settle(); }
}

/// <summary>Keeps the entries that a rule keeps: keeps(position, next) tells whether a query at position next or later may see the entry.</summary>
public sealed class RuleKv(Func<int, int, bool> keeps) : GrowingKv
{
    public override void Settle()
    {
        if (Count == 0) return;
        int next = Tokens[^1] + 1; var keep = new List<int>();
        for (int i = 0; i < Count; i++) if (keeps(Tokens[i], next)) keep.Add(i);
        if (keep.Count < Count) Retain(keep.ToArray());
    }
}

/// <summary>Softmax attention whose heads see different keys: a causal pattern per query head, and while decoding a cache per key head.</summary>
public abstract class PerHeadAttention<T>(AttentionConfig c, Weights w) : HeadAttention(c, w) where T : struct, IPattern
{
    /// <summary>What this query head sees; neighbouring heads with equal patterns are computed together.</summary>
    protected abstract T Pattern(int head);
    /// <summary>The cache of a key head, which keeps what any of its query heads may still see.</summary>
    protected abstract KvState StartKv(int keyHead);

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self || !Config.Causal) throw new ArgumentException($"{GetType().Name} looks back only; it needs Causal = true and no other context");
        h = Positioned(h, pass);
        bool plain = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern);
        if (pass.Memory is not { } memory) return plain ? Plain(h, pass) : Whole(h);
        var kv = memory.Get(this, () => new HeadsKv(Config.Groups, StartKv));
        kv.Append(h.K, h.V, h.Start);
        int group = Config.Heads / Config.Groups; var o = new Tensor[Config.Heads];
        for (int i = 0; i < o.Length; i++)
        {
            var past = kv[i / group]; var q = h.Q.Slice(1, i, i + 1); var call = new Softmax.Call(Start: h.Start, Positions: past.Positions.ToArray(), Keys: past.Count);
            o[i] = plain ? Softmax.Plain<Plain, T, SoftmaxWeights>(q, past.Keys, past.Values, new(), Pattern(i), call, pass) : Softmax.Fused<Plain, T, SoftmaxWeights>(q, past.Keys, past.Values, new(), Pattern(i), call);
        }
        kv.Settle();
        return Tensor.Concat(1, o);
    }

    /// <summary>The fused form without a past: one call for each run of heads with equal patterns.</summary>
    protected virtual Tensor Whole(Heads h)
    {
        Tensor k = PerHead(h.K), v = PerHead(h.V); var parts = new List<Tensor>();
        for (int from = 0, to; from < Config.Heads; from = to)
        {
            var pattern = Pattern(from);
            for (to = from + 1; to < Config.Heads && Pattern(to).Equals(pattern);) to++;
            parts.Add(Softmax.Fused<Plain, T, SoftmaxWeights>(Of(h.Q), Of(k), Of(v), new(), pattern, new()));
            Tensor Of(Tensor x) => from == 0 && to == Config.Heads ? x : x.Slice(1, from, to);
        }
        return parts.Count == 1 ? parts[0] : Tensor.Concat(1, parts.ToArray());
    }

    // One matrix [B,H,N,N] for all heads, so that a probe sees the layer as one.
    Tensor Plain(Heads h, Pass pass) => Softmax.Plain<HeadMask<T>, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new([.. Enumerable.Range(0, Config.Heads).Select(Pattern)]), new(), new(), pass);
}

/// <summary>s where the pattern of the head allows it, −∞ elsewhere: patterns per head as a score, for the plain path.</summary>
public readonly struct HeadMask<T>(T[] patterns) : IScore where T : struct, IPattern
{
    public Real Of(Real raw, int head, int query, int key) => patterns[head].Allows(query, key) ? raw : Real.NegativeInfinity;
    public Real Slope(Real raw, int head, int query, int key) => patterns[head].Allows(query, key) ? 1 : 0;
    public void Row(Span<Real> raw, int head, int query, int firstKey) => Scores.Row(this, raw, head, query, firstKey);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) => Scores.SlopeRow(this, raw, gradient, head, query, firstKey);
}
