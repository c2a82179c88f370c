using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Logits of one row become its weights, by a rule that needs all of them at once: a sum that is only known at the end, or a threshold. The kernels give it the keys from the first to the last that the
/// query may see; those between that it does not see are −∞ and must get weight 0, and so must a row that sees nothing.
/// </summary>
public interface IRowNormaliser
{
    /// <summary>Logits become weights, in place.</summary>
    void Weights(Span<Real> row);
    /// <summary>gradient holds d loss / d weight and becomes d loss / d logit; logits may be overwritten.</summary>
    void Slope(Span<Real> logits, ReadOnlySpan<Real> weights, Span<Real> gradient);
}

/// <summary>
/// Attention whose normaliser sees whole rows: the logits of a block of queries are kept for all of its keys until the rows are weights, so that keys are multiplied once although the rule sweeps them
/// twice. Temporary memory is that of a block, O(N); the weights are computed again in the backward pass.
/// </summary>
public static unsafe class RowFlash
{
    /// <summary>o [B,H,N,E] is overwritten. Query i stands at position queryOffset + i, key j at keyPositions[j] (ascending), or j if that is empty.</summary>
    public static void Forward<TPattern, TWeights>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, ReadOnlySpan<int> keyPositions, TPattern pattern, TWeights weights, Span<Real> o)
        where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser => Forward<TPattern, TWeights, Widest>(default, s, q, k, v, queryOffset, keyPositions, pattern, weights, o);

    internal static void Forward<TPattern, TWeights, TWidth>(TWidth width, in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, ReadOnlySpan<int> keyPositions, TPattern pattern, TWeights weights, Span<Real> o)
        where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser where TWidth : struct, IWidth
    {
        Check(s, q, k, v, keyPositions); Guard.Holds(o, (long)s.Batch * s.Heads * s.Queries * s.ValueDim);
        long work = 0;
        fixed (Real* pq = q, pk = k, pv = v, po = o) fixed (int* at = keyPositions)
        {
            var body = new RowForward<TPattern, TWeights>(s, new(s, new FlashView<TPattern>(s.Queries, queryOffset, at, pattern, null), pattern, at is null, weights), pq, pk, pv, po, &work);
            width.Run(ref body);
        }
        Work.Add(work);
    }

    /// <summary>Adds to dq, dk and dv what dO [B,H,N,E] makes of them; other arguments as in Forward.</summary>
    public static void Backward<TPattern, TWeights>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, ReadOnlySpan<int> keyPositions, TPattern pattern, TWeights weights,
        ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv) where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser => Backward<TPattern, TWeights, Widest>(default, s, q, k, v, queryOffset, keyPositions, pattern, weights, dO, dq, dk, dv);

    internal static void Backward<TPattern, TWeights, TWidth>(TWidth width, in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, int queryOffset, ReadOnlySpan<int> keyPositions, TPattern pattern, TWeights weights,
        ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv) where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser where TWidth : struct, IWidth
    {
        Check(s, q, k, v, keyPositions); Guard.Holds(dO, (long)s.Batch * s.Heads * s.Queries * s.ValueDim); Guard.Holds(dq, q.Length); Guard.Holds(dk, k.Length); Guard.Holds(dv, v.Length);
        long work = 0;
        fixed (Real* pq = q, pk = k, pv = v, pg = dO, pdq = dq, pdk = dk, pdv = dv) fixed (int* at = keyPositions)
        {
            var body = new RowBackward<TPattern, TWeights>(s, new(s, new FlashView<TPattern>(s.Queries, queryOffset, at, pattern, null), pattern, at is null, weights), new(pq, pk, pv, null, null, null, pg, pdq, pdk, pdv), &work);
            width.Run(ref body);
        }
        Work.Add(work);
    }

    static void Check(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<int> positions)
    {
        s.Check(); long keys = (long)s.Batch * s.KvHeads * s.KeyRows;
        Guard.Holds(q, (long)s.Batch * s.Heads * s.Queries * s.Dim); Guard.Holds(k, keys * s.Dim); Guard.Holds(v, keys * s.ValueDim);
        if (positions.Length != 0 && positions.Length < s.Keys) throw new ArgumentException($"{positions.Length} key positions for {s.Keys} keys");
    }
}

/// <summary>Who sees whom, and what becomes of a row: what both passes share.</summary>
readonly struct RowView<TPattern, TWeights>(AttentionSize s, FlashView<TPattern> view, TPattern pattern, bool consecutive, TWeights weights) where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser
{
    readonly FlashView<TPattern> view = view; readonly TPattern pattern = pattern; readonly TWeights weights = weights;
    readonly IRangePattern? range = consecutive ? pattern as IRangePattern : null; readonly ITilePattern? tile = consecutive ? pattern as ITilePattern : null;
    public int KeyCount => s.Keys;
    /// <summary>Numbers between two rows of logits.</summary>
    public int Stride => (s.Keys + 15) / 16 * 16 + 48;
    /// <summary>Rows of a block: as many as keep its logits in the second cache.</summary>
    public int Rows => Math.Clamp((1 << 16) / Stride / 12 * 12, 12, 96);

    /// <summary>Keys [from, to) outside of which queries [first, last) see nothing.</summary>
    public (int From, int To) Extent(int first, int last)
    {
        int from = s.Keys, to = 0;
        for (int k0 = 0, k1; k0 < s.Keys; k0 = k1)
        {
            k1 = Math.Min(s.Keys, k0 + 64);
            if (view.Tile(first, last, k0, k1) == Cover.None) continue;
            from = Math.Min(from, k0); to = k1;
        }
        return (Math.Min(from, to), to);
    }

    /// <summary>Logits of one query over keys [from, to): what it does not see becomes −∞. → the part [First, End) that holds all it sees.</summary>
    public (int First, int End) Mask(Span<Real> row, int query, int from, int to)
    {
        int i = view.At(query);
        if (range is not null) { var (low, high) = range.Range(i); low = Math.Clamp(low, from, to); return (low, Math.Clamp(high, low, to)); }
        if (to > from && view.Tile(query, query + 1, from, to) == Cover.All) return (from, to);
        if (tile is not null) tile.Hide(row, i, from, Real.NegativeInfinity);
        else for (int j = from; j < to; j++) if (!pattern.Allows(i, view.KeyAt(j))) row[j - from] = Real.NegativeInfinity;
        return (from, to);
    }

    public void Weights(Span<Real> row) { if (row.Length > 0) weights.Weights(row); }
    public void Slope(Span<Real> logits, ReadOnlySpan<Real> p, Span<Real> gradient) { if (p.Length > 0) weights.Slope(logits, p, gradient); }
}

readonly unsafe struct RowForward<TPattern, TWeights>(AttentionSize s, RowView<TPattern, TWeights> view, Real* q, Real* k, Real* v, Real* o, long* work) : IWide where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser
{
    readonly AttentionSize s = s; readonly RowView<TPattern, TWeights> view = view; readonly Real* q = q, k = k, v = v, o = o; readonly long* work = work;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, tiles = (s.Keys + wide - 1) / wide, padded = (s.ValueDim + wide - 1) / wide * wide, rows = view.Rows, blocks = (s.Queries + rows - 1) / rows;
        using var scratch = Scratch.Open();
        long heads = (long)s.Batch * s.KvHeads;
        Real* kt = scratch.Take(heads * tiles * wide * s.Dim), values = scratch.Take(heads * s.Keys * padded);
        Threads.For(checked((int)heads), 1, new PackKeys<TLanes, V>(this, kt, values, tiles, padded));
        Threads.For(s.Batch * s.Heads * blocks, 1, new Blocks<TLanes, V>(this, kt, values, tiles, padded, rows, blocks));
    }

    readonly struct PackKeys<TLanes, V>(RowForward<TPattern, TWeights> f, Real* kt, Real* values, int tiles, int padded) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            int wide = 2 * TLanes.Count; var s = f.s;
            for (int head = from; head < to; head++)
            {
                for (int t = 0; t < tiles; t++) Pack.Transposed(f.k + ((long)head * s.KeyRows + t * wide) * s.Dim, s.Dim, Math.Min(wide, s.Keys - t * wide), s.Dim, kt + ((long)head * tiles + t) * wide * s.Dim, wide);
                for (int c = 0; c < padded; c += wide)
                    Pack.Straight<TLanes, V>(f.v + (long)head * s.KeyRows * s.ValueDim + c, s.ValueDim, Math.Min(wide, s.ValueDim - c), s.Keys, values + (long)head * s.Keys * padded + (long)c * s.Keys, wide, 0);
            }
        }
    }

    readonly struct Blocks<TLanes, V>(RowForward<TPattern, TWeights> f, Real* kt, Real* values, int tiles, int padded, int rows, int blocks) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            long pairs = 0;
            for (int x = from; x < to; x++)
            {
                using var scratch = Scratch.Open();
                // Late blocks first: under a causal pattern they are the long ones.
                int first = (blocks - 1 - x % blocks) * rows;
                pairs += Block(scratch, x / blocks, first, Math.Min(f.s.Queries, first + rows));
            }
            Interlocked.Add(ref *f.work, pairs * (f.s.Dim + f.s.ValueDim));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Block(Scratch scratch, int head, int first, int last)
        {
            var s = f.s; int wide = 2 * TLanes.Count, n = last - first, stride = f.view.Stride; long row = (long)head * s.Queries + first, kv = head / s.Heads * s.KvHeads + head % s.Heads / s.Group;
            Real* scaled = scratch.Take((long)rows * s.Dim), acc = scratch.Take((long)rows * padded), logits = scratch.Take((long)rows * stride);
            var (low, high) = f.view.Extent(first, last);
            int origin = low / wide * wide;
            FlashRows.Scale<TLanes, V>(f.q + row * s.Dim, s.Scale, scaled, n * s.Dim, n * s.Dim);
            for (int j = origin; j < high; j += wide) Micro.Column<TLanes, V>(scaled, s.Dim, 1, n, kt + kv * tiles * wide * s.Dim + (nint)j * s.Dim, wide, logits + j - origin, stride, s.Dim, false);
            for (int r = 0; r < n; r++)
            {
                Real* l = logits + (nint)r * stride + low - origin;
                var (a, b) = f.view.Mask(new(l, high - low), first + r, low, high);
                f.view.Weights(new(l + a - low, b - a));
                new Span<Real>(l, a - low).Clear(); new Span<Real>(l + b - low, high - b).Clear();
            }
            for (int c = 0; c < padded; c += wide) Micro.Column<TLanes, V>(logits + low - origin, stride, 1, n, values + kv * s.Keys * padded + (nint)c * s.Keys + (nint)low * wide, wide, acc + c, padded, high - low, false);
            for (int r = 0; r < n; r++) new Span<Real>(acc + (nint)r * padded, s.ValueDim).CopyTo(new(f.o + (row + r) * s.ValueDim, s.ValueDim));
            return (long)n * (high - low);
        }
    }
}

/// <summary>Gradients: a task is a key head, whose dK and dV it alone writes, and takes its queries block by block.</summary>
readonly unsafe struct RowBackward<TPattern, TWeights>(AttentionSize s, RowView<TPattern, TWeights> view, FlashBackwardData data, long* work) : IWide where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser
{
    readonly AttentionSize s = s; readonly RowView<TPattern, TWeights> view = view; readonly FlashBackwardData data = data; readonly long* work = work;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct => Threads.For(s.Batch * s.KvHeads, 1, new Heads<TLanes, V>(this));

    readonly struct Heads<TLanes, V>(RowBackward<TPattern, TWeights> f) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s; int rows = f.view.Rows; long pairs = 0;
            for (int kv = from; kv < to; kv++)
            {
                using var scratch = Scratch.Open();
                var t = new FlashBackwardMemory<TLanes, V>(scratch, s, f.data, kv, 0, s.Keys, rows, f.view.Stride);
                for (int h = 0; h < s.Group; h++)
                    for (int first = 0; first < s.Queries; first += rows) pairs += Block(t, kv * s.Group + h, first, Math.Min(s.Queries, first + rows));
                t.Close(s, f.data);
            }
            Interlocked.Add(ref *f.work, pairs * (s.Dim + s.ValueDim) * 5 / 2);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Block(in FlashBackwardMemory<TLanes, V> t, int head, int first, int last)
        {
            var s = f.s; int wide = 2 * TLanes.Count, n = last - first, stride = f.view.Stride; long row = (long)head * s.Queries + first;
            var (low, high) = f.view.Extent(first, last);
            if (low == high) return 0;
            t.Open(s, f.data, row, n);
            for (int j = low / wide * wide; j < high; j += wide) Micro.Column<TLanes, V>(t.Q, t.D, 1, n, t.KT + (nint)j * s.Dim, wide, t.P + j, stride, s.Dim, false);
            for (int j = low / wide * wide; j < high; j += wide) Micro.Column<TLanes, V>(t.DO, t.E, 1, n, t.VT + (nint)j * s.ValueDim, wide, t.G + j, stride, s.ValueDim, false);
            for (int r = 0; r < n; r++)
            {
                Real* p = t.P + (nint)r * stride + low, g = t.G + (nint)r * stride + low;
                var (a, b) = f.view.Mask(new(p, high - low), first + r, low, high); int count = b - a; Span<Real> own = new(p + a - low, count), slope = new(g + a - low, count), raw = new(t.Raw, count);
                own.CopyTo(raw);
                f.view.Weights(own); f.view.Slope(raw, own, slope);
                new Span<Real>(p, a - low).Clear(); new Span<Real>(g, a - low).Clear(); new Span<Real>(p + b - low, high - b).Clear(); new Span<Real>(g + b - low, high - b).Clear();
            }
            Real* w = t.P + low, d = t.G + low; int keys = high - low;
            for (int c = 0; c < t.E; c += wide) Micro.Column<TLanes, V>(w, 1, stride, keys, t.GradientPanel(c, 0), wide, t.DV + (nint)low * t.E + c, t.E, n, true);
            for (int c = 0; c < t.D; c += wide) Micro.Column<TLanes, V>(d, 1, stride, keys, t.QueryPanel(c, 0), wide, t.DK + (nint)low * t.D + c, t.D, n, true);
            for (int c = 0; c < t.D; c += wide) Micro.Column<TLanes, V>(d, stride, 1, n, t.K(c, low), wide, t.DQ + c, t.D, keys, true);
            for (int r = 0; r < n; r++) RowProduct.Plus<TLanes, V>(f.data.DQ + (row + r) * s.Dim, s.Scale, t.DQ + (nint)r * t.D, s.Dim);
            return (long)n * keys;
        }
    }
}
