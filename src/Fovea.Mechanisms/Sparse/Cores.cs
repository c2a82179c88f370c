using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Keys are summaries of groups of tokens, and after them the tokens: key r &lt; Tokens is the summary of group r, key Tokens + j is token j. Query i sees the summaries of the
/// first u = max(0, ⌊(i + 1 − Span)/Group⌋) groups, and tokens u·Group to i: every token up to itself once, by itself or through its group.
/// </summary>
public readonly record struct GroupsAndTokens(int Group, int Span, int Tokens) : IPattern
{
    /// <summary>Groups whose summary stands for them, for this query.</summary>
    public int Used(int query) => Math.Max(0, (query + 1 - Span) / Group);
    public bool Allows(int query, int key) => key < Tokens ? key < Used(query) : key - Tokens <= query && key - Tokens >= Used(query) * Group;
    public Cover Tile(int q0, int q1, int k0, int k1)
    {
        Cover groups = Math.Min(k1, Tokens - 1) < Used(q0) ? Cover.All : k0 >= Used(q1) ? Cover.None : Cover.Mixed;
        if (k1 < Tokens) return groups;
        int from = Math.Max(k0 - Tokens, 0), to = k1 - Tokens;
        Cover tokens = to <= q0 && from >= Used(q1) * Group ? Cover.All : from > q1 || to < Used(q0) * Group ? Cover.None : Cover.Mixed;
        return k0 >= Tokens || groups == tokens ? tokens : Cover.Mixed;
    }
}

/// <summary>Summaries of all groups so far, the tokens that a later query sees by themselves, and the open group from which the next summary is made.</summary>
public sealed class GroupKv(int group, int span) : LayerState
{
    internal GrowingKv Summaries { get; } = new();
    internal RuleKv Near { get; } = new((position, next) => position >= Math.Max(0, (next + 1 - span) / group) * group);
    internal RuleKv Open { get; } = new((position, next) => position / group == next / group);
    public override long Bytes => Summaries.Bytes + Near.Bytes + Open.Bytes;
    /// <summary>Summaries and tokens that the next query can see, per head.</summary>
    public int Entries => Summaries.Count + Near.Count;
}

/// <summary>
/// One softmax over summaries of distant groups of tokens and over the near tokens themselves, in O(N·(N/group + span + group)). A mechanism says how a group becomes one key and one value.
/// Summaries differ from query head to query head, so key heads are repeated.
/// </summary>
public abstract class GroupedAttention(AttentionConfig c, Weights w, int group, int span) : HeadAttention(c, w)
{
    // Later than the number of any group.
    const int Later = 1 << 28;
    readonly GroupsAndTokens pattern = group > 0 && span > 0 ? new(group, span, Later) : throw new ArgumentException($"groups of {group} tokens and a span of {span} must be positive");

    /// <summary>Whether groups are summarised with positions in their queries and keys.</summary>
    protected abstract bool Turned { get; }
    /// <summary>q, k [R,1,group,D] and v [R,1,group,E] of R groups → keys [R,1,1,D] and values [R,1,1,E].</summary>
    protected abstract (Tensor K, Tensor V) Summarise(Tensor q, Tensor k, Tensor v);

    // Whole groups q, k [B,H,R·group,D], v, the first of which stands at start → [B,H,R,·].
    (Tensor K, Tensor V) Summaries(Tensor q, Tensor k, Tensor v, int start)
    {
        var (b, h, n, d) = q.Shape; int r = n / group, e = v.Shape[3];
        var (ck, cv) = Summarise(q.Reshape([b * h * r, 1, group, d]), k.Reshape([b * h * r, 1, group, d]), v.Reshape([b * h * r, 1, group, e]));
        ck = ck.Reshape([b, h, r, d]);
        if (!Turned && Config.Position is { } p) ck = p.Apply(ck, [.. Enumerable.Range(0, r).Select(i => start + (i + 1) * group - 1)]);
        return (ck, cv.Reshape([b, h, r, e]));
    }

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self || !Config.Causal) throw new ArgumentException($"{GetType().Name} looks back only; it needs Causal = true and no other context");
        h = h with { K = PerHead(h.K), V = PerHead(h.V) };
        var turned = Positioned(h, pass); var raw = Turned ? turned : h;
        bool plain = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern);
        if (pass.Memory is { } memory) return Step(memory.Get(this, () => new GroupKv(group, span)), raw, turned, plain, pass);
        int n = h.Q.Shape[2], groups = n / group, whole = groups * group;
        if (groups == 0) return Run(turned.Q, turned.K, h.V, new(), pattern with { Tokens = 0 }, plain, pass);
        var (k, v) = Summaries(First(raw.Q), First(raw.K), First(h.V), 0);
        return Run(turned.Q, Tensor.Concat(2, k, turned.K), Tensor.Concat(2, v, h.V), new(), pattern with { Tokens = groups }, plain, pass);
        Tensor First(Tensor x) => whole == n ? x : x.Slice(2, 0, whole);
    }

    Tensor Step(GroupKv kv, Heads raw, Heads turned, bool plain, Pass pass)
    {
        int d = raw.Q.Shape[3], start = raw.Start;
        kv.Open.Append(Tensor.Concat(-1, raw.Q, raw.K), raw.V, start);
        kv.Near.Append(turned.K, turned.V, start);
        int groups = kv.Open.Count / group, first = kv.Open.Positions[0];
        if (groups > 0)
        {
            var qk = kv.Open.Keys.Slice(2, 0, groups * group);
            var (k, v) = Summaries(qk.Slice(3, 0, d), qk.Slice(3, d, 2 * d), kv.Open.Values.Slice(2, 0, groups * group), first);
            kv.Summaries.Append(k, v, first / group);
        }
        int[] at = [.. kv.Summaries.Positions, .. kv.Near.Positions.ToArray().Select(p => Later + p)];
        Tensor keys = kv.Near.Keys.Slice(2, 0, kv.Near.Count), values = kv.Near.Values.Slice(2, 0, kv.Near.Count);
        if (kv.Summaries.Count > 0) (keys, values) = (Tensor.Concat(2, kv.Summaries.Keys.Slice(2, 0, kv.Summaries.Count), keys), Tensor.Concat(2, kv.Summaries.Values.Slice(2, 0, kv.Summaries.Count), values));
        var o = Run(turned.Q, keys, values, new(Start: start, Positions: at), pattern, plain, pass);
        kv.Open.Settle(); kv.Near.Settle();
        return o;
    }

    static Tensor Run(Tensor q, Tensor k, Tensor v, Softmax.Call call, GroupsAndTokens pattern, bool plain, Pass pass) => plain
        ? Softmax.Plain<Plain, GroupsAndTokens, SoftmaxWeights>(q, k, v, new(), pattern, call, pass) : Softmax.Fused<Plain, GroupsAndTokens, SoftmaxWeights>(q, k, v, new(), pattern, call);
}
