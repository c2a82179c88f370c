using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>What a layer's attention is made of; null where a model has none of it.</summary>
public sealed record AttentionParts(int Layer, int Heads, int KvHeads, int Dim, int ValueDim, Projection Q, Projection K, Projection V, Projection Out, Rotations? Rotary)
{
    public RowNorm? QueryNorm { get; init; }
    public RowNorm? KeyNorm { get; init; }
    /// <summary>What q·k is multiplied with; 1/√D if null.</summary>
    public double? Scale { get; init; }
    /// <summary>Tokens that a token sees, itself included; null for all before it.</summary>
    public int? Window { get; init; }
    public int Group => Heads / KvHeads;
}

/// <summary>Causal attention of a layer over the caches of sequences. Scores and patterns are types, so that each kind has a loop of its own.</summary>
public abstract class AttentionRows(AttentionParts parts) : MixingRows
{
    public AttentionParts Parts => parts;
    private protected float Scale { get; } = (float)(parts.Scale ?? 1 / Math.Sqrt(parts.Dim));
    float[] q = [], k = [], v = [], o = [], lse = [], flatQ = [], flatK = [], flatV = [], flatO = [];

    internal override KvLayer Cache(LanguageModel model, KvFormat format, KvBudget? budget)
    {
        var rotary = format.Checked().Positions == KeyPositions.Rotated ? null : parts.Rotary;
        if (format.ByChannel && budget?.Policy is { } p) throw new ArgumentException($"{format}: keys in groups of {ChannelRows.Group} tokens per channel do not leave one by one, as {p.GetType().Name} asks; expected a format by token like q8 or q4, or a rule that only looks");
        CachedRows Keys() => format.ByChannel ? new ChannelRows(format.Keys, parts.Dim, model.Pools.For(ChannelRows.PageBytes(format.Keys, parts.Dim))) : Rows(format.Keys, parts.Dim);
        PagedRows Rows(NumberFormat f, int dim) => new(f, dim, model.Pools.For(PagedRows.PageBytes(f, dim)));
        return new(format, [.. Enumerable.Range(0, parts.KvHeads).Select(_ => new KvHead(Keys(), Rows(format.Values, parts.ValueDim), rotary, format.Positions == KeyPositions.Renumbered))], parts.Window, QueryWatch.For(budget?.Policy, parts), KvSelection.For(budget, parts, parts.Layer, model.Layers.Count));
    }

    public override void Apply(ReadOnlySpan<float> x, int tokens, ReadOnlySpan<Piece> pieces, Span<float> y, bool apart)
    {
        int heads = parts.Heads, groups = parts.KvHeads, d = parts.Dim, e = parts.ValueDim;
        Span<float> fq = Room(ref flatQ, tokens * heads * d), fk = Room(ref flatK, tokens * groups * d), fv = Room(ref flatV, tokens * groups * e), fo = Room(ref flatO, tokens * heads * e);
        parts.Q.Apply(x, tokens, fq, apart); parts.K.Apply(x, tokens, fk, apart); parts.V.Apply(x, tokens, fv, apart);
        parts.QueryNorm?.Apply(fq, fq, tokens * heads); parts.KeyNorm?.Apply(fk, fk, tokens * groups);
        int at = 0;
        foreach (var p in pieces)
            for (int done = 0, n = p.Tentative ? 1 : p.Length; done < p.Length; done += n, at += n) Read(p.Sequence.Cache[parts.Layer], p.Sequence.Length + done, n, fq[(at * heads * d)..], fk[(at * groups * d)..], fv[(at * groups * e)..], fo[(at * heads * e)..]);
        parts.Out.Apply(fo, tokens, y, apart);
    }

    // n tokens of one sequence from start on; rows of all heads [n,heads,·], fo overwritten.
    void Read(KvLayer layer, int start, int n, ReadOnlySpan<float> fq, ReadOnlySpan<float> fk, ReadOnlySpan<float> fv, Span<float> fo)
    {
        int heads = parts.Heads, groups = parts.KvHeads, d = parts.Dim, e = parts.ValueDim;
        Span<float> qs = Room(ref q, n * heads * d), ks = Room(ref k, n * groups * d), vs = Room(ref v, n * groups * e), os = Room(ref o, n * heads * e);
        Split(fq[..qs.Length], qs, n, heads, d); Split(fk[..ks.Length], ks, n, groups, d); Split(fv[..vs.Length], vs, n, groups, e);
        bool atRead = layer.Format.Positions != KeyPositions.Rotated;
        if (atRead) { parts.Rotary?.Order(ks, groups * n, d); parts.Rotary?.Ready(start + n); } else { parts.Rotary?.Apply(qs, heads, n, d, start); parts.Rotary?.Apply(ks, groups, n, d, start); }
        if (layer.Format.Rotate) { Turn(qs, d); Turn(ks, d); Turn(vs, e); }
        for (int g = 0; g < groups; g++) layer.Heads[g].Append(ks.Slice(g * n * d, n * d), vs.Slice(g * n * e, n * e), start);
        // Renumbered queries stand at the places of their own keys, which differ between heads that hold different entries.
        for (int g = 0; g < groups && atRead; g++) parts.Rotary?.Apply(qs.Slice(g * parts.Group * n * d, parts.Group * n * d), parts.Group, n, d, layer.Format.Positions == KeyPositions.Renumbered ? layer.Heads[g].Count - n : start);
        Room(ref lse, n * heads);
        Threads.For(groups, Alone(groups) ? groups : 1, new HeadTasks(this, layer, n, start));
        layer.Watch?.See(layer.Heads, this, qs, n, start, lse.AsSpan(0, n * heads));
        if (layer.Format.Rotate) Turn(os, e);
        Join(os, fo[..os.Length], n, heads, e);
    }

    // With fewer heads than threads each head is better worked on by all.
    static bool Alone(int groups) => groups < Threads.Max;

    readonly struct HeadTasks(AttentionRows a, KvLayer layer, int n, int start) : IRows
    {
        public void Run(int from, int to)
        {
            var (group, d, e) = (a.Parts.Group, a.Parts.Dim, a.Parts.ValueDim);
            for (int g = from; g < to; g++)
                a.Head(layer.Heads[g], n == 1 ? layer.Select(g, group, a.q.AsSpan(g * group * d, group * d)) : null, n, start, a.q.AsSpan(g * group * n * d, group * n * d), a.o.AsSpan(g * group * n * e, group * n * e), a.lse.AsSpan(g * group * n, group * n));
        }
    }

    private protected abstract void Head(KvHead head, BlockList? blocks, int n, int start, ReadOnlySpan<float> q, Span<float> o, Span<float> lse);
    /// <summary>Adds to mass [Count] the weights that queries q [Group,n,D], the last of them n tokens from start on, give the entries of a head; lse is the forward pass's.</summary>
    public abstract void AddMass(KvHead head, int n, int start, ReadOnlySpan<float> q, ReadOnlySpan<float> lse, Span<float> mass);

    static Span<float> Room(ref float[] buffer, int n) => (buffer.Length < n ? buffer = new float[Math.Max(n, Math.Min(2 * buffer.Length, 1 << 24))] : buffer).AsSpan(0, n);
    static void Turn(Span<float> x, int d) { int block = d & -d; Hadamard.Transform(x, x.Length / block, block); }

    // [n,heads,d] → [heads,n,d]
    static void Split(ReadOnlySpan<float> from, Span<float> to, int n, int heads, int d)
    {
        if (n == 1) { from.CopyTo(to); return; }
        for (int i = 0; i < n; i++) for (int h = 0; h < heads; h++) from.Slice((i * heads + h) * d, d).CopyTo(to[((h * n + i) * d)..]);
    }
    static void Join(ReadOnlySpan<float> from, Span<float> to, int n, int heads, int d)
    {
        if (n == 1) { from.CopyTo(to); return; }
        for (int i = 0; i < n; i++) for (int h = 0; h < heads; h++) from.Slice((h * n + i) * d, d).CopyTo(to[((i * heads + h) * d)..]);
    }
}

/// <summary>Attention with a score and a pattern.</summary>
public sealed class AttentionRows<TScore, TPattern>(AttentionParts parts, TScore score, TPattern pattern) : AttentionRows(parts) where TScore : struct, IScore where TPattern : struct, IPattern
{
    private protected override void Head(KvHead head, BlockList? blocks, int n, int start, ReadOnlySpan<float> q, Span<float> o, Span<float> lse) =>
        PagedAttention.Forward(Parts.Group, n, Scale, q, head.Keys, head.Values, start, head.Gaps, score, pattern, blocks, o, lse, head.Turn);
    public override void AddMass(KvHead head, int n, int start, ReadOnlySpan<float> q, ReadOnlySpan<float> lse, Span<float> mass) =>
        PagedAttention.AddMass(Parts.Group, n, Scale, q, head.Keys, start, head.Gaps, score, pattern, lse, mass, head.Turn);
}
