using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Keys are tokens as ends of the rows that they stand in, and after them the tokens themselves: key j &lt; Tokens stands for all of row ⌊j/Columns⌋, key Tokens + j for token j. A query sees every earlier row
/// by its end in the query's own column, and its own row up to itself.
/// </summary>
public readonly record struct RowsAndTokens(int Columns, int Tokens) : IPattern
{
    public bool Allows(int query, int key) => key < Tokens ? key % Columns == query % Columns && key / Columns < query / Columns : (key - Tokens) / Columns == query / Columns && key - Tokens <= query;
    public Cover Tile(int q0, int q1, int k0, int k1) =>
        k1 < Tokens ? k0 / Columns >= q1 / Columns ? Cover.None : Cover.Mixed : k0 < Tokens ? Cover.Mixed : k0 - Tokens > q1 || (k1 - Tokens) / Columns < q0 / Columns ? Cover.None : Cover.Mixed;
}

/// <summary>What earlier rows leave for each column, and the tokens of the open row.</summary>
public sealed class AxialKv(int columns) : LayerState
{
    internal GrowingKv Ends { get; } = new();
    internal RuleKv Open { get; } = new((position, next) => position / columns == next / columns);
    public override long Bytes => Ends.Bytes + Open.Bytes;
}

/// <summary>
/// Combiner-Axial: full attention over a grid of tokens, read row by row. A token at (r, c) sees its own row directly as far as itself, and every earlier row r' through the key of the token (r', c) and the value
/// v̄_(r',c) = Σ_j softmax_j(q_(r',c)·k_(r',j)/√D) v_(r',j), which is what that token gets from its whole row; one softmax over both (§4.3). Each v̄ is computed once and serves all later tokens of the column, so N tokens cost
/// O(N·(columns + rows)), and every weight is positive. While decoding, closed rows are kept as (k, v̄). The last row may be shorter.
/// </summary>
/// <param name="columns">Tokens per row.</param>
[From("combiner", "§4.3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class AxialCombinerAttention(AttentionConfig c, Weights w, int columns = 16) : HeadAttention(c, w)
{
    // Later than any token.
    const int Later = 1 << 28;
    readonly int columns = columns > 0 ? columns : throw new ArgumentException($"rows of {columns} tokens must be positive");

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self || !Config.Causal) throw new ArgumentException($"{GetType().Name} looks back only; it needs Causal = true and no other context");
        h = Positioned(h with { K = PerHead(h.K), V = PerHead(h.V) }, pass);
        bool plain = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern);
        if (pass.Memory is { } memory) return Step(memory.Get(this, () => new AxialKv(columns)), h, plain, pass);
        if (!plain) return Fused(h.Q, h.K, h.V);
        int n = h.Q.Shape[2], whole = n / columns * columns;
        if (whole == 0) return Run(h.Q, h.K, h.V, new(columns, 0), new(), plain, pass);
        Tensor First(Tensor x) => x.Slice(2, 0, whole);
        return Run(h.Q, Tensor.Concat(2, First(h.K), h.K), Tensor.Concat(2, Ends(First(h.Q), First(h.K), First(h.V)), h.V), new(columns, whole), new(), plain, pass);
    }

    // [B,H,R·columns,·] → [B·H·R,1,columns,·]
    Tensor Rows(Tensor x) { var (b, h, n, d) = x.Shape; return x.Reshape([b * h * n / columns, 1, columns, d]); }
    // What every token of whole rows gets from its row.
    Tensor Ends(Tensor q, Tensor k, Tensor v) => Softmax.Fused<Plain, Everything, SoftmaxWeights>(Rows(q), Rows(k), Rows(v), new(), new(), new()).Reshape(v.Shape);

    // Rows and columns apart, each a batch of short attentions, put together by their log-sum-exps.
    Tensor Fused(Tensor q, Tensor k, Tensor v)
    {
        var (b, h, n, d) = q.Shape; int e = v.Shape[3], rows = (n + columns - 1) / columns, full = rows * columns;
        Tensor Filled(Tensor x) => full == n ? x : Tensor.Concat(2, x, Tensor.Zeros([b, h, full - n, x.Shape[3]]));
        (q, k, v) = (Filled(q), Filled(k), Filled(v));
        var (own, ownLse) = Softmax.FusedWithLse<Plain, Causal, SoftmaxWeights>(Rows(q), Rows(k), Rows(v), new(), new(), new());
        own = own.Reshape([b, h, full, e]);
        if (rows > 1)
        {
            Tensor Columns(Tensor x) => x.Reshape([b * h, rows, columns, x.Shape[3]]).SwapMiddle();
            var (past, pastLse) = Softmax.FusedWithLse<Plain, EarlierChunks, SoftmaxWeights>(Columns(q), Columns(k), Columns(Ends(q, k, v)), new(), new(1), new());
            own += (past.SwapMiddle().Reshape([b, h, full, e]) - own) * (pastLse.Transpose().Reshape([b, h, full, 1]) - ownLse.Reshape([b, h, full, 1])).Sigmoid();
        }
        return full == n ? own : own.Slice(2, 0, n);
    }

    Tensor Step(AxialKv kv, Heads h, bool plain, Pass pass)
    {
        int d = h.Q.Shape[3];
        kv.Open.Append(Tensor.Concat(-1, h.Q, h.K), h.V, h.Start);
        int count = kv.Open.Count, whole = count / columns * columns; var qk = kv.Open.Keys.Slice(2, 0, count); Tensor q = qk.Slice(3, 0, d), k = qk.Slice(3, d, 2 * d), v = kv.Open.Values.Slice(2, 0, count);
        if (whole > 0) kv.Ends.Append(k.Slice(2, 0, whole), Ends(q.Slice(2, 0, whole), k.Slice(2, 0, whole), v.Slice(2, 0, whole)), kv.Open.Positions[0]);
        int[] at = [.. kv.Ends.Positions, .. kv.Open.Positions.ToArray().Select(p => Later + p)];
        if (kv.Ends.Count > 0) (k, v) = (Tensor.Concat(2, kv.Ends.Keys.Slice(2, 0, kv.Ends.Count), k), Tensor.Concat(2, kv.Ends.Values.Slice(2, 0, kv.Ends.Count), v));
        var o = Run(h.Q, k, v, new(columns, Later), new(Start: h.Start, Positions: at), plain, pass);
        kv.Open.Settle();
        return o;
    }

    static Tensor Run(Tensor q, Tensor k, Tensor v, RowsAndTokens pattern, Softmax.Call call, bool plain, Pass pass) => plain
        ? Softmax.Plain<Plain, RowsAndTokens, SoftmaxWeights>(q, k, v, new(), pattern, call, pass) : Softmax.Fused<Plain, RowsAndTokens, SoftmaxWeights>(q, k, v, new(), pattern, call);
}
