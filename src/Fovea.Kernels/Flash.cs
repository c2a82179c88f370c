namespace Fovea.Kernels;

/// <summary>Exact attention in O(N) memory: tiles of keys, a running maximum and a running sum per query.</summary>
public static unsafe class Flash
{
    /// <summary>Queries and keys of the smallest tile that the forward kernel skips or computes on this machine.</summary>
    public static (int Queries, int Keys) TileSize { get { var t = new TileOf(); Wide.Run(ref t); return (t.Queries, t.Keys); } }
    /// <summary>The same for patterns whose tiles are scattered (<see cref="ITilePattern"/>).</summary>
    public static (int Queries, int Keys) ScatteredTileSize => (ScatteredQueries, Wide.Count);
    internal const int ScatteredQueries = 4;

    struct TileOf : IWide
    {
        public int Queries, Keys;
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct => (Queries, Keys) = (Micro.Rows<V>(), 2 * TLanes.Count);
    }

    /// <summary>
    /// Softmax attention. o [B,H,N,E] and lse [B,H,N] are overwritten. Query i stands at position queryOffset + i, key j at keyPositions[j] (ascending), or j if that is empty.
    /// A row that sees nothing gets zeros and lse −∞.
    /// </summary>
    public static void Forward<TScore, TPattern>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, Span<Real> o, Span<Real> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern
        => Forward<TScore, TPattern, SoftmaxWeights>(s, q, k, v, queryOffset, keyPositions, score, pattern, null, o, lse);

    /// <summary>As above with any normaliser and, if blocks is given, only over the listed key blocks. lse is written for softmax only and may be empty otherwise.</summary>
    public static void Forward<TScore, TPattern, TWeights>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, BlockList? blocks, Span<Real> o, Span<Real> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
        => Forward<TScore, TPattern, TWeights, Widest>(default, s, q, k, v, queryOffset, keyPositions, score, pattern, blocks, o, lse);

    /// <summary>As above at a width chosen by the caller, so that every width is tested on every machine.</summary>
    internal static void Forward<TScore, TPattern, TWeights, TWidth>(TWidth width, in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, BlockList? blocks, Span<Real> o, Span<Real> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser where TWidth : struct, IWidth
    {
        s.Check(); blocks?.Check(s); long rows = (long)s.Batch * s.Heads * s.Queries, keys = (long)s.Batch * s.KvHeads * s.KeyRows;
        Guard.Holds(q, rows * s.Dim); Guard.Holds(k, keys * s.Dim); Guard.Holds(v, keys * s.ValueDim); Guard.Holds(o, rows * s.ValueDim);
        if (typeof(TWeights) == typeof(SoftmaxWeights)) Guard.Holds(lse, rows);
        Check(keyPositions, s.Keys);
        long work = 0;
        fixed (Real* pq = q, pk = k, pv = v, po = o, pl = lse) fixed (int* at = keyPositions)
        {
            var view = new FlashView<TPattern>(s.Queries, queryOffset, at, pattern, blocks);
            if (s.Queries <= FlashDecode<TScore, TPattern, TWeights, DenseRows, DenseRows>.Few || blocks is { QueryBlock: <= 2 })
            {
                var few = new FlashDecode<TScore, TPattern, TWeights, DenseRows, DenseRows>(s, view, score, pq, new(pk, s.KeyRows, s.Dim), new(pv, s.KeyRows, s.ValueDim), po, pl, &work);
                width.Run(ref few);
            }
            else
            {
                var many = new FlashForward<TScore, TPattern, TWeights>(s, view, score, pq, pk, pv, po, pl, &work);
                width.Run(ref many);
            }
        }
        Work.Add(work);
    }

    /// <summary>
    /// Attention over keys and values that a row source hands out, such as the pages of a cache: as Forward, meant for few queries (each four of them read all keys again).
    /// </summary>
    public static void Few<TScore, TPattern, TWeights, TKeys, TValues>(in AttentionSize s, ReadOnlySpan<Real> q, TKeys keys, TValues values,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, BlockList? blocks, Span<Real> o, Span<Real> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser where TKeys : struct, IRowSource where TValues : struct, IRowSource
    {
        s.Check(); blocks?.Check(s); long rows = (long)s.Batch * s.Heads * s.Queries;
        Guard.Holds(q, rows * s.Dim); Guard.Holds(o, rows * s.ValueDim);
        if (typeof(TWeights) == typeof(SoftmaxWeights)) Guard.Holds(lse, rows);
        Check(keyPositions, s.Keys);
        long work = 0;
        fixed (Real* pq = q, po = o, pl = lse) fixed (int* at = keyPositions)
        {
            var few = new FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>(s, new(s.Queries, queryOffset, at, pattern, blocks), score, pq, keys, values, po, pl, &work);
            Wide.Run(ref few);
        }
        Work.Add(work);
    }

    static void Check(ReadOnlySpan<int> keyPositions, int keys)
    {
        if (keyPositions.IsEmpty) return;
        if (keyPositions.Length < keys) throw new ArgumentException($"keyPositions holds {keyPositions.Length} numbers, needs {keys}");
        for (int j = 1; j < keys; j++) if (keyPositions[j] < keyPositions[j - 1]) throw new ArgumentException($"keyPositions[{j}] = {keyPositions[j]} is before keyPositions[{j - 1}] = {keyPositions[j - 1]}");
    }

    /// <summary>Adds into dq, dk, dv. Recomputes weights from lse (softmax) or from the logits, so nothing quadratic is stored.</summary>
    public static void Backward<TScore, TPattern>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO,
        Span<Real> dq, Span<Real> dk, Span<Real> dv)
        where TScore : struct, IScore where TPattern : struct, IPattern
        => Backward<TScore, TPattern, SoftmaxWeights>(s, q, k, v, queryOffset, keyPositions, score, pattern, null, o, lse, default, dO, dq, dk, dv);

    /// <summary>
    /// As above with any normaliser and block list. dLse [B,H,N] is the gradient that flows into lse, or empty. If TScore is an <see cref="ILearnedScore"/> its GradRow is called.
    /// </summary>
    public static void Backward<TScore, TPattern, TWeights>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, BlockList? blocks, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dLse, ReadOnlySpan<Real> dO,
        Span<Real> dq, Span<Real> dk, Span<Real> dv)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
        => Backward<TScore, TPattern, TWeights, Widest>(default, s, q, k, v, queryOffset, keyPositions, score, pattern, blocks, o, lse, dLse, dO, dq, dk, dv);

    /// <summary>As above at a width chosen by the caller.</summary>
    internal static void Backward<TScore, TPattern, TWeights, TWidth>(TWidth width, in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, BlockList? blocks, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dLse, ReadOnlySpan<Real> dO,
        Span<Real> dq, Span<Real> dk, Span<Real> dv)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser where TWidth : struct, IWidth
    {
        s.Check(); blocks?.Check(s); long rows = (long)s.Batch * s.Heads * s.Queries, keys = (long)s.Batch * s.KvHeads * s.KeyRows;
        Guard.Holds(q, rows * s.Dim); Guard.Holds(k, keys * s.Dim); Guard.Holds(v, keys * s.ValueDim); Guard.Holds(dO, rows * s.ValueDim);
        Guard.Holds(dq, rows * s.Dim); Guard.Holds(dk, keys * s.Dim); Guard.Holds(dv, keys * s.ValueDim);
        if (typeof(TWeights) == typeof(SoftmaxWeights)) { Guard.Holds(o, rows * s.ValueDim); Guard.Holds(lse, rows); }
        if (!dLse.IsEmpty) Guard.Holds(dLse, rows);
        Check(keyPositions, s.Keys);
        long work = 0;
        fixed (Real* pq = q, pk = k, pv = v, po = o, pl = lse, pdl = dLse, pdo = dO, pdq = dq, pdk = dk, pdv = dv) fixed (int* at = keyPositions)
        {
            var view = new FlashView<TPattern>(s.Queries, queryOffset, at, pattern, blocks);
            var body = new FlashBackward<TScore, TPattern, TWeights>(s, view, score, score as ILearnedScore, new(pq, pk, pv, po, pl, pdl, pdo, pdq, pdk, pdv), &work);
            width.Run(ref body);
        }
        Work.Add(work);
    }

    /// <summary>
    /// Merges two partial softmax results over disjoint key sets: o, lse become those of the union. rows results of size dim each.
    /// An empty part is (0, −∞). L = max + log(e^(a−max) + e^(b−max)), o = e^(a−L)·o_a + e^(b−L)·o_b.
    /// </summary>
    public static void Merge(int rows, int dim, Span<Real> o, Span<Real> lse, ReadOnlySpan<Real> otherO, ReadOnlySpan<Real> otherLse)
    {
        Guard.AtLeast(rows, 0); Guard.AtLeast(dim, 0);
        Guard.Holds(o, (long)rows * dim); Guard.Holds(otherO, (long)rows * dim); Guard.Holds(lse, rows); Guard.Holds(otherLse, rows);
        fixed (Real* po = o, pl = lse, px = otherO, pm = otherLse)
        {
            var body = new Union(rows, dim, po, pl, px, pm);
            Wide.Run(ref body);
        }
    }

    readonly struct Union(int rows, int dim, Real* o, Real* lse, Real* otherO, Real* otherLse) : IWide
    {
        readonly int dim = dim; readonly Real* o = o, lse = lse, otherO = otherO, otherLse = otherLse;
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct => Threads.For(rows, Math.Max(1, (1 << 15) / Math.Max(1, dim)), new UnionRows<TLanes, V>(this));

        readonly struct UnionRows<TLanes, V>(Union u) : IRows where TLanes : struct, ILanes<V> where V : struct
        {
            public void Run(int from, int to)
            {
                for (int r = from; r < to; r++)
                {
                    Real a = u.lse[r], b = u.otherLse[r], max = Real.Max(a, b);
                    if (Real.IsNegativeInfinity(max)) continue;
                    Real l = max + Real.Log(Real.Exp(a - max) + Real.Exp(b - max));
                    Real* x = u.o + (nint)r * u.dim;
                    FlashRows.Scale<TLanes, V>(x, Real.Exp(a - l), x, u.dim, u.dim);
                    RowProduct.Plus<TLanes, V>(x, Real.Exp(b - l), u.otherO + (nint)r * u.dim, u.dim);
                    u.lse[r] = l;
                }
            }
        }
    }
}
