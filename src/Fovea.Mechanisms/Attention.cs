namespace Fovea.Mechanisms;

/// <summary>Sizes every mechanism shares. KvHeads below Heads means grouped queries.</summary>
/// <param name="Dim">Channels C of the input.</param>
/// <param name="Heads">Query heads H.</param>
/// <param name="KvHeads">Key heads G; H if null.</param>
/// <param name="Causal">Whether a token sees only itself and what came before.</param>
/// <param name="Position">How positions enter queries and keys, or null; mechanisms with positions of their own ignore it.</param>
/// <param name="Length">The length that the layer is made for, in tokens: mechanisms whose parameters or constants depend on it ask here.</param>
public sealed record AttentionConfig(int Dim, int Heads, int? KvHeads = null, bool Causal = true, Position? Position = null, int Length = 1024)
{
    public int HeadDim => Dim / Heads;
    public int Groups => KvHeads ?? Heads;

    /// <summary>Throws unless heads divide the channels and key heads divide the heads.</summary>
    public AttentionConfig Checked()
    {
        if (Dim < 1 || Heads < 1 || Dim % Heads != 0) throw new ArgumentException($"{Dim} channels do not split into {Heads} heads");
        if (Groups < 1 || Heads % Groups != 0) throw new ArgumentException($"{Heads} heads do not share {Groups} key heads");
        return this;
    }
}

/// <summary>Moves information between positions: x [B,N,C] asks, context [B,M,C] answers → [B,N,C].</summary>
public abstract class Attention
{
    public abstract Tensor Forward(Tensor x, Tensor context, Pass pass);
    public Tensor Forward(Tensor x, Pass pass) => Forward(x, x, pass);
}

/// <summary>What a mechanism attends with: q [B,H,N,D], k [B,G,M,D], v [B,G,M,E], the layer's input x [B,N,C] for gates, the position of the first query, and whether keys come from x itself.</summary>
public readonly record struct Heads(Tensor Q, Tensor K, Tensor V, Tensor X, int Start, bool Self);

/// <summary>Projects to heads, attends, merges, projects back. A mechanism overrides Attend, rarely more.</summary>
public abstract class HeadAttention : Attention
{
    protected readonly AttentionConfig Config;
    readonly Linear q, k, v, o;
    readonly int queryDim;

    /// <param name="queryDim">Size D of queries and keys per head, if it is not C/H.</param>
    protected HeadAttention(AttentionConfig c, Weights w, int? queryDim = null)
    {
        Config = c.Checked();
        this.queryDim = queryDim ?? c.HeadDim;
        q = new(w["q_proj"], c.Dim, c.Heads * this.queryDim); k = new(w["k_proj"], c.Dim, c.Groups * this.queryDim);
        v = new(w["v_proj"], c.Dim, c.Groups * c.HeadDim); o = new(w["o_proj"], c.Heads * c.HeadDim, c.Dim);
    }

    public sealed override Tensor Forward(Tensor x, Tensor context, Pass pass)
    {
        Check.Shape(x, [-1, -1, Config.Dim]); Check.Shape(context, [x.Shape[0], -1, Config.Dim]);
        bool self = ReferenceEquals(x, context);
        int n = x.Shape[1], start = self && pass.Memory is { } past ? past.Start(this) : 0;
        var heads = new Heads(
            pass.At(Part.Query, q.Forward(x).SplitHeads(Config.Heads)),
            pass.At(Part.Key, k.Forward(context).SplitHeads(Config.Groups)),
            pass.At(Part.Value, v.Forward(context).SplitHeads(Config.Groups)), x, start, self);
        var y = pass.At(Part.Z, Attend(Prepare(heads), pass));
        if (self) pass.Memory?.Advance(this, n);
        return pass.At(Part.AttnOut, Leave(o.Forward(Finish(y.MergeHeads(), x, pass)), x, pass));
    }

    /// <summary>What happens to queries and keys before positions enter: normalisation and the like.</summary>
    protected virtual Heads Prepare(Heads h) => h;
    /// <summary>What happens to the merged head outputs y [B,N,H·E] before the output projection; x is the layer's input.</summary>
    protected virtual Tensor Finish(Tensor y, Tensor x, Pass pass) => y;
    /// <summary>What happens to the layer's output y [B,N,C] after the output projection.</summary>
    protected virtual Tensor Leave(Tensor y, Tensor x, Pass pass) => y;
    /// <summary>→ [B,H,N,E]</summary>
    protected abstract Tensor Attend(Heads h, Pass pass);

    /// <summary>The same heads with positions in queries and keys, if the configuration has them and keys are the layer's own.</summary>
    protected Heads Positioned(Heads h, Pass pass)
    {
        if (Config.Position?.In(pass) is not { } p || !h.Self) return h;
        int[] at = Consecutive(h.Start, h.Q.Shape[2]);
        return h with { Q = pass.At(Part.QueryRot, p.Apply(h.Q, at)), K = pass.At(Part.KeyRot, p.ApplyToKeys(h.K, at)) };
    }

    /// <summary>
    /// The same heads ready to attend: with positions in queries and keys and, while decoding, with keys and values of the past before their own. Kv is null without a past;
    /// with one, its first Kv.Count key rows count, they stand at Kv.Positions, and Heads.Start is the position of the first query among them. Call Kv.Attended and Kv.Settle after use.
    /// </summary>
    protected (Heads Heads, KvState? Kv) Remember(Heads h, Func<KvState> start, Pass pass)
    {
        KvState? kv = h.Self && Config.Causal ? pass.Memory?.Kv(this, start) : null;
        if (kv is not { PositionsAtRead: true })
        {
            h = Positioned(h, pass);
            kv?.Append(h.K, h.V, h.Start);
            return (kv is null ? h : h with { K = kv.Keys, V = kv.Values }, kv);
        }
        kv.Append(h.K, h.V, h.Start);
        int n = h.Q.Shape[2], first = kv.Count - n;
        h = h with { K = kv.Keys, V = kv.Values, Start = first };
        if (Config.Position?.In(pass) is not { } p) return (h, kv);
        var (q, k) = (p.Apply(h.Q, kv.Positions[first..]), p.ApplyToKeys(h.K.Slice(2, 0, kv.Count), kv.Positions));
        return (h with { Q = pass.At(Part.QueryRot, q), K = pass.At(Part.KeyRot, k), V = h.V.Slice(2, 0, kv.Count) }, kv);
    }
    internal static int[] Consecutive(int from, int count)
    {
        var a = new int[count];
        for (int i = 0; i < count; i++) a[i] = from + i;
        return a;
    }

    /// <summary>[B,G,N,D] → [B,H,N,D]: each key head repeated for the query heads that share it.</summary>
    protected Tensor PerHead(Tensor x)
    {
        int group = Config.Heads / Config.Groups;
        if (group == 1) return x;
        var (b, g, n, d) = x.Shape;
        return x.Reshape([b, g, 1, n, d]).Expand([b, g, group, n, d]).Reshape([b, Config.Heads, n, d]);
    }
}
