using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>
/// Grouped softmax over blocks of tokens, the last key of each of which stands for the block (Landmark Attention, §3.1). Query at position p, in block B = ⌊p/block⌋: the tokens of B up to p and the landmarks of
/// earlier blocks share one softmax; the tokens of an earlier block share one of their own, and their weight is that times the weight of their landmark. Landmarks weigh nothing themselves, and no query
/// sees the landmark of its own block. A tile is one block: its local maximum, sum and output join the running ones with the landmark's score as weight, so that memory grows with the length and not with its square.
/// Keys stand at 0, 1, 2 … A list for each query, if given, names the earlier blocks that it sees; its own one is seen in any case.
/// </summary>
public static unsafe class LandmarkFlash
{
    internal const int Rows = 32;

    /// <summary>q [B,H,N,D], k [B,G,R,D], v [B,G,R,E] → o [B,H,N,E] and lse [B,H,N] of the upper softmax, both overwritten. Query 0 stands at queryOffset; keys reach at least to the last query.</summary>
    public static void Forward(in AttentionSize s, int block, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, BlockList? blocks, Span<Real> o, Span<Real> lse) =>
        Forward(s, block, q, k, v, queryOffset, blocks, o, lse, Width.Widest);

    internal static void Forward(in AttentionSize s, int block, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, BlockList? blocks, Span<Real> o, Span<Real> lse, Width width)
    {
        Check(s, block, q, k, v, queryOffset, blocks); long rows = (long)s.Batch * s.Heads * s.Queries;
        Guard.Holds(o, rows * s.ValueDim); Guard.Holds(lse, rows);
        fixed (Real* pq = q, pk = k, pv = v, po = o, pl = lse)
        {
            var view = new LandmarkView(s, block, pq, pk, pv, queryOffset, blocks);
            WideRows.For(s.Batch * s.Heads * view.Tiles, 1, new LandmarkForward(view, po, pl), width);
            Work.Add(view.Pairs() * (s.Dim + s.ValueDim));
        }
    }

    /// <summary>Adds into dq, dk, dv; o and lse are Forward's. Weights are recomputed.</summary>
    public static void Backward(in AttentionSize s, int block, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, BlockList? blocks,
        ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv) => Backward(s, block, q, k, v, queryOffset, blocks, o, lse, dO, dq, dk, dv, Width.Widest);

    internal static void Backward(in AttentionSize s, int block, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, BlockList? blocks,
        ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv, Width width)
    {
        Check(s, block, q, k, v, queryOffset, blocks); long rows = (long)s.Batch * s.Heads * s.Queries, keys = (long)s.Batch * s.KvHeads * s.KeyRows;
        Guard.Holds(o, rows * s.ValueDim); Guard.Holds(dO, rows * s.ValueDim); Guard.Holds(lse, rows);
        Guard.Holds(dq, rows * s.Dim); Guard.Holds(dk, keys * s.Dim); Guard.Holds(dv, keys * s.ValueDim);
        fixed (Real* pq = q, pk = k, pv = v, po = o, pl = lse, pg = dO, pdq = dq, pdk = dk, pdv = dv)
        {
            var view = new LandmarkView(s, block, pq, pk, pv, queryOffset, blocks);
            WideRows.For(s.Batch * s.KvHeads, 1, new LandmarkBackward(view, po, pl, pg, pdq, pdk, pdv), width);
            Work.Add(view.Pairs() * (3 * s.Dim + 2 * s.ValueDim));
        }
    }

    static void Check(in AttentionSize s, int block, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, BlockList? blocks)
    {
        s.Check(); blocks?.Check(s); Guard.AtLeast(block, 2); Guard.AtLeast(queryOffset, 0); long keys = (long)s.Batch * s.KvHeads * s.KeyRows;
        Guard.Holds(q, (long)s.Batch * s.Heads * s.Queries * s.Dim); Guard.Holds(k, keys * s.Dim); Guard.Holds(v, keys * s.ValueDim);
        if (s.Keys < queryOffset + s.Queries) throw new ArgumentException($"{s.Keys} keys for queries up to position {queryOffset + s.Queries - 1}; a query sees its own token");
        if (blocks is not null && (blocks.KeyBlock != block || blocks.QueryBlock != 1)) throw new ArgumentException($"lists are for {blocks.QueryBlock} queries and blocks of {blocks.KeyBlock} keys, expected one query and blocks of {block}");
    }
}

/// <summary>One call. A tile is some query rows of one head; with lists a single one.</summary>
readonly unsafe struct LandmarkView(AttentionSize s, int block, Real* q, Real* k, Real* v, int offset, BlockList? blocks)
{
    public readonly AttentionSize S = s; public readonly int Block = block;
    // A list belongs to one query.
    int Height => blocks is null ? LandmarkFlash.Rows : 1;
    public int Tiles => (S.Queries + Height - 1) / Height;
    public int At(int query) => offset + query;
    /// <summary>The rows of tile t.</summary>
    public (int First, int Count) Of(int t) => (t * Height, Math.Min(Height, S.Queries - t * Height));

    public Real* Query(int head, int row) => q + ((long)head * S.Queries + row) * S.Dim;
    public int Kv(int head) => head / S.Heads * S.KvHeads + head % S.Heads / S.Group;
    public long KeyRow(int head, int b) => (long)Kv(head) * S.KeyRows + (long)b * Block;
    public Real* Values(int head, int b) => v + KeyRow(head, b) * S.ValueDim;
    public Real* Keys(int head, int b) => k + KeyRow(head, b) * S.Dim;
    public int Width(int b) => Math.Min(Block, S.Keys - b * Block);

    /// <summary>The blocks of a tile in order, up to its last row's own one; next starts at 0 and −1 is the end.</summary>
    public int Next(int head, int t, ref int next)
    {
        var (first, count) = Of(t); int last = At(first + count - 1) / Block;
        if (blocks is null) return next <= last ? next++ : -1;
        int row = head * S.Queries + t; long at = (long)blocks.Start[row] + next;
        if (at < blocks.Start[row + 1] && blocks.Keys[(int)at] < last) { next++; return blocks.Keys[(int)at]; }
        if (next == int.MaxValue) return -1;
        next = int.MaxValue;
        return last;
    }

    /// <summary>First row of [first, first + count) that sees block b.</summary>
    public int From(int first, int count, int b) => Math.Clamp(b * Block - offset, first, first + count) - first;

    /// <summary>Scaled scores of rows [row, row + n) with block b → [n, Width(b)].</summary>
    public void Scores<TLanes, W>(int head, int row, int n, int b, Real* to) where TLanes : struct, ILanes<W> where W : struct
    {
        Product.Of(Gemm.Kind.NT, Query(head, row), Keys(head, b), to, n, S.Dim, Width(b), false).Run<TLanes, W>();
        TensorPrimitives.Multiply(new ReadOnlySpan<Real>(to, n * Width(b)), S.Scale, new Span<Real>(to, n * Width(b)));
    }

    public long Pairs()
    {
        long pairs = 0;
        for (int head = 0; head < S.Batch * S.Heads; head++)
        {
            if (blocks is null && head > 0) return pairs * S.Batch * S.Heads;
            for (int t = 0; t < Tiles; t++)
            {
                var (first, n) = Of(t); int next = 0;
                for (int b; (b = Next(head, t, ref next)) >= 0;) pairs += (long)(n - From(first, n, b)) * Width(b);
            }
        }
        return pairs;
    }
}

readonly unsafe struct LandmarkForward(LandmarkView f, Real* o, Real* lse) : IWideRows
{
    public void Run<TLanes, W>(int from, int to) where TLanes : struct, ILanes<W> where W : struct
    {
        var s = f.S; int e = s.ValueDim; using var scratch = Scratch.Open();
        Real* p = scratch.Take((long)LandmarkFlash.Rows * f.Block), max = scratch.Take(LandmarkFlash.Rows), sum = scratch.Take(LandmarkFlash.Rows);
        for (int task = from; task < to; task++)
        {
            int head = task / f.Tiles, t = task % f.Tiles, next = 0; var (first, n) = f.Of(t);
            Real* acc = o + ((long)head * s.Queries + first) * e;
            new Span<Real>(acc, n * e).Clear(); new Span<Real>(sum, n).Clear(); new Span<Real>(max, n).Fill(Real.NegativeInfinity);
            for (int b; (b = f.Next(head, t, ref next)) >= 0;)
            {
                int start = f.From(first, n, b), width = f.Width(b);
                f.Scores<TLanes, W>(head, first + start, n - start, b, p);
                for (int r = start; r < n; r++) Join<TLanes, W>(p + (nint)(r - start) * width, f.At(first + r) - b * f.Block, width, ref max[r], ref sum[r], acc + (nint)r * e);
                Product.Of(Gemm.Kind.NN, p, f.Values(head, b), acc + (nint)start * e, n - start, width, e, true).Run<TLanes, W>();
            }
            for (int r = 0; r < n; r++)
            {
                FlashRows.Scale<TLanes, W>(acc + (nint)r * e, 1 / sum[r], acc + (nint)r * e, e, e);
                lse[(long)head * s.Queries + first + r] = max[r] + Real.Log(sum[r]);
            }
        }
    }

    /// <summary>Scores of a block become what its values are added with to acc; place is where the query stands in the block, or beyond.</summary>
    void Join<TLanes, W>(Real* p, int place, int width, ref Real max, ref Real sum, Real* acc) where TLanes : struct, ILanes<W> where W : struct
    {
        bool own = place < f.Block; int seen = Math.Min(own ? place + 1 : width, f.Block - 1);
        Real landmark = own ? 0 : p[width - 1]; var (m, u) = SoftmaxLoops.MaxAndSum<TLanes, W>(p, p, seen);
        // Own tokens enter with their own maximum and sum, an earlier block with its landmark's score and weight one.
        Real score = own ? m : landmark, next = Real.Max(max, score), keep = Real.Exp(max - next), w = Real.Exp(score - next);
        sum = sum * keep + (own ? w * u : w); max = next;
        FlashRows.Scale<TLanes, W>(p, own ? w : w / u, p, seen, width);
        if (keep != 1) FlashRows.Scale<TLanes, W>(acc, keep, acc, f.S.ValueDim, f.S.ValueDim);
    }
}

/// <summary>
/// A task is a key head of one batch row with the query heads that share it. With L the upper log-sum-exp and δ = dO·o: own tokens have p = e^(s − L) and ds = p(dP − δ); an earlier block has w = e^(landmark − L),
/// weights w·p with its own softmax p, ds = w·p(dP − r) with r = Σ p dP, and for its landmark w(r − δ).
/// </summary>
readonly unsafe struct LandmarkBackward(LandmarkView f, Real* o, Real* lse, Real* dO, Real* dq, Real* dk, Real* dv) : IWideRows
{
    public void Run<TLanes, W>(int from, int to) where TLanes : struct, ILanes<W> where W : struct
    {
        var s = f.S; using var scratch = Scratch.Open();
        Real* p = scratch.Take((long)LandmarkFlash.Rows * f.Block), d = scratch.Take((long)LandmarkFlash.Rows * f.Block), delta = scratch.Take(LandmarkFlash.Rows);
        for (int kv = from; kv < to; kv++)
            for (int g = 0; g < s.Group; g++)
                for (int t = 0; t < f.Tiles; t++) Tile<TLanes, W>(kv / s.KvHeads * s.Heads + kv % s.KvHeads * s.Group + g, t, p, d, delta);
    }

    void Tile<TLanes, W>(int head, int t, Real* p, Real* d, Real* delta) where TLanes : struct, ILanes<W> where W : struct
    {
        var s = f.S; int e = s.ValueDim, next = 0; var (first, n) = f.Of(t); long at = (long)head * s.Queries + first;
        for (int r = 0; r < n; r++) delta[r] = RowProduct.Dot<TLanes, W>(dO + (at + r) * e, o + (at + r) * e, e);
        for (int b; (b = f.Next(head, t, ref next)) >= 0;)
        {
            int start = f.From(first, n, b), width = f.Width(b), rows = n - start; Real* g = dO + (at + start) * e;
            f.Scores<TLanes, W>(head, first + start, rows, b, p);
            Product.Of(Gemm.Kind.NT, g, f.Values(head, b), d, rows, e, width, false).Run<TLanes, W>();
            for (int r = 0; r < rows; r++) Slopes<TLanes, W>(p + (nint)r * width, d + (nint)r * width, f.At(first + start + r) - b * f.Block, width, lse[at + start + r], delta[start + r]);
            long row = f.KeyRow(head, b);
            Product.Of(Gemm.Kind.TN, p, g, dv + row * e, rows, width, e, true).Run<TLanes, W>();
            Product.Of(Gemm.Kind.TN, d, f.Query(head, first + start), dk + row * s.Dim, rows, width, s.Dim, true).Run<TLanes, W>();
            Product.Of(Gemm.Kind.NN, d, f.Keys(head, b), dq + (at + start) * s.Dim, rows, width, s.Dim, true).Run<TLanes, W>();
        }
    }

    // p becomes the weights of the values, d from their gradients to those of q·k.
    void Slopes<TLanes, W>(Real* p, Real* d, int place, int width, Real lse, Real delta) where TLanes : struct, ILanes<W> where W : struct
    {
        bool own = place < f.Block; int seen = Math.Min(own ? place + 1 : width, f.Block - 1); Real landmark = own ? 0 : p[width - 1];
        var (m, u) = SoftmaxLoops.MaxAndSum<TLanes, W>(p, p, seen);
        Real w = Real.Exp(landmark - lse), inner = own ? 0 : RowProduct.Dot<TLanes, W>(p, d, seen) / u;
        FlashRows.Scale<TLanes, W>(p, own ? Real.Exp(m - lse) : w / u, p, seen, width);
        Real minus = own ? delta : inner;
        for (int j = 0; j < seen; j++) d[j] = f.S.Scale * p[j] * (d[j] - minus);
        for (int j = seen; j < width; j++) d[j] = 0;
        if (!own) d[width - 1] = f.S.Scale * w * (inner - delta);
    }
}
