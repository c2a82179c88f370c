using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
namespace Fovea.Kernels;

/// <summary>
/// Logits of one row become its weights, by a rule that needs all of them at once: a sum that is only known at the end, or a threshold. The kernels give it the keys from the first to the last that the
/// query may see; those between that it does not see are −∞ and must get weight 0, and so must a row that sees nothing.
/// </summary>
public interface IRowNormaliser
{
    /// <summary>Logits become weights, in place, up to the factor that is returned: it is applied to the result of the row, which is shorter. The query sees so many of the entries; all others are −∞.</summary>
    Real Weights(Span<Real> row, int seen);
    /// <summary>Logits become weights, in place and with no factor left; gradient [row.Length] holds d loss / d weight and becomes d loss / d logit. Both at once, since they share most of the work. seen is as in <see cref="Weights"/>.</summary>
    void Backward(Span<Real> row, Span<Real> gradient, int seen);
}

/// <summary>
/// Attention whose normaliser sees whole rows: the logits of a block of queries are kept for all of its keys until the rows are weights, so that keys are multiplied once although the rule sweeps them
/// twice. Temporary memory is that of a block and, backward, of some parts of dK and dV, O(N); the weights are computed again in the backward pass.
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

    /// <summary>How many entries of a masked row are not −∞; NaN counts.</summary>
    public static int Seen(ReadOnlySpan<Real> row) => row.Length - (sizeof(Real) == sizeof(int)
        ? MemoryMarshal.Cast<Real, int>(row).Count(BitConverter.SingleToInt32Bits(float.NegativeInfinity)) : MemoryMarshal.Cast<Real, long>(row).Count(BitConverter.DoubleToInt64Bits(double.NegativeInfinity)));

    static void Check(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<int> positions)
    {
        s.Check(); long keys = (long)s.Batch * s.KvHeads * s.KeyRows;
        Guard.Holds(q, (long)s.Batch * s.Heads * s.Queries * s.Dim); Guard.Holds(k, keys * s.Dim); Guard.Holds(v, keys * s.ValueDim);
        if (positions.Length != 0 && positions.Length < s.Keys) throw new ArgumentException($"{positions.Length} key positions for {s.Keys} keys");
    }
}

/// <summary>Keys that groups of neighbouring rows of a block see: from edges[2·g] to edges[2·g + 1]. What a product may leave out.</summary>
readonly unsafe struct RowGroups(int* edges, int count, int tall, int rows)
{
    /// <summary>Keys that every group sees.</summary>
    public (int From, int To) Shared
    {
        get
        {
            int from = edges[0], to = edges[1];
            for (int g = 1; g < count; g++) { from = Math.Max(from, edges[2 * g]); to = Math.Min(to, edges[2 * g + 1]); }
            return from < to ? (from, to) : (edges[0], edges[0]);
        }
    }

    /// <summary>Rows [First, End) outside of which no group sees any of keys [from, to).</summary>
    public (int First, int End) Rows(int from, int to)
    {
        int first = -1, end = 0;
        for (int g = 0; g < count; g++) if (edges[2 * g] < to && edges[2 * g + 1] > from) { if (first < 0) first = g * tall; end = Math.Min(rows, (g + 1) * tall); }
        return (Math.Max(first, 0), end);
    }

    /// <summary>c += a·b for the keys [from, to), of which a has one in each column and b one in each row: groups that see only some of them take only these.</summary>
    public void Sum<TLanes, V>(int from, int to, Real* a, nint stride, Real* b, nint step, int panels, Real* c, nint cs) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count; var (low, high) = Shared;
        if (low <= from && high >= to)
        {
            for (int x = 0; x < panels; x++) Micro.Column<TLanes, V>(a, stride, 1, rows, b + x * step, wide, c + x * wide, cs, to - from, true);
            return;
        }
        for (int g = 0; g < count; g++)
        {
            int start = Math.Max(from, edges[2 * g]), end = Math.Min(to, edges[2 * g + 1]);
            if (start < end) Micro.Across<TLanes, V>(a + (nint)g * tall * stride + start - from, stride, 1, Math.Min(tall, rows - g * tall), b + (nint)(start - from) * wide, wide, step, c + (nint)g * tall * cs, cs, panels, end - start, true);
        }
    }
}

/// <summary>Who sees whom, and what becomes of a row: what both passes share.</summary>
readonly unsafe struct RowView<TPattern, TWeights>(AttentionSize s, FlashView<TPattern> view, TPattern pattern, bool consecutive, TWeights weights) where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser
{
    readonly FlashView<TPattern> view = view; readonly TPattern pattern = pattern; readonly TWeights weights = weights;
    readonly IRangePattern? range = consecutive ? pattern as IRangePattern : null; readonly ITilePattern? tile = consecutive ? pattern as ITilePattern : null;
    public int KeyCount => s.Keys;
    /// <summary>Numbers between two rows of logits.</summary>
    public int Stride => (s.Keys + 15) / 16 * 16 + 48;
    /// <summary>Keys of one step of the products with values and keys: what they read of a panel stays in the first cache while all rows of the block pass over it.</summary>
    public const int Step = 256;
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

    /// <summary>What groups of tall queries of [first, last) see within keys [low, high); edges holds two numbers per group.</summary>
    public RowGroups Groups(int first, int last, int low, int high, int tall, int* edges)
    {
        int count = 0;
        for (int i = first; i < last; i += tall, count++)
        {
            int start = low, end = high;
            if (range is not null)
            {
                (start, end) = (high, low);
                for (int r = i; r < Math.Min(last, i + tall); r++) { var (a, b) = range.Range(view.At(r)); start = Math.Min(start, a); end = Math.Max(end, b); }
            }
            edges[2 * count] = Math.Clamp(start, low, high); edges[2 * count + 1] = Math.Clamp(end, low, high);
        }
        return new(edges, count, tall, last - first);
    }

    /// <summary>Logits of one query over keys [from, to): what it does not see becomes −∞. → the part [First, End) that holds all it sees, and how many it sees.</summary>
    public (int First, int End, int Seen) Mask(Span<Real> row, int query, int from, int to)
    {
        int i = view.At(query);
        if (range is not null) { var (low, high) = range.Range(i); low = Math.Clamp(low, from, to); high = Math.Clamp(high, low, to); return (low, high, high - low); }
        if (to > from && view.Tile(query, query + 1, from, to) == Cover.All) return (from, to, to - from);
        if (tile is not null) tile.Hide(row, i, from, Real.NegativeInfinity);
        else for (int j = from; j < to; j++) if (!pattern.Allows(i, view.KeyAt(j))) row[j - from] = Real.NegativeInfinity;
        return (from, to, RowFlash.Seen(row[..(to - from)]));
    }

    /// <summary>Numbers of the widest register: rows are filled up with −∞ to whole ones, so that sweeps over them have no rest.</summary>
    const int Whole = 16;
    static int Filled(int n) => (n + Whole - 1) / Whole * Whole;

    /// <summary>As <see cref="IRowNormaliser.Weights"/> for n logits, which have room behind them that is overwritten.</summary>
    public Real Weights(Real* row, int n, int seen)
    {
        if (n == 0) return 1;
        new Span<Real>(row + n, Filled(n) - n).Fill(Real.NegativeInfinity);
        return weights.Weights(new(row, Filled(n)), seen);
    }
    public void Backward(Real* row, Real* gradient, int n, int seen)
    {
        if (n == 0) return;
        new Span<Real>(row + n, Filled(n) - n).Fill(Real.NegativeInfinity); new Span<Real>(gradient + n, Filled(n) - n).Clear();
        weights.Backward(new(row, Filled(n)), new(gradient, Filled(n)), seen);
    }
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
        int chunks = (tiles + 15) / 16;
        Threads.For(checked((int)(heads * chunks)), 1, new PackKeys<TLanes, V>(this, kt, values, tiles, chunks, padded));
        Threads.For(s.Batch * s.Heads * blocks, 1, new Blocks<TLanes, V>(this, kt, values, tiles, padded, rows, blocks));
    }

    readonly struct PackKeys<TLanes, V>(RowForward<TPattern, TWeights> f, Real* kt, Real* values, int tiles, int chunks, int padded) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            int wide = 2 * TLanes.Count; var s = f.s;
            for (int x = from; x < to; x++)
            {
                int head = x / chunks, first = x % chunks * 16, last = Math.Min(tiles, first + 16), keys = Math.Min(s.Keys, last * wide) - first * wide; long row = (long)head * s.KeyRows + first * wide;
                for (int t = first; t < last; t++) Pack.Transposed(f.k + ((long)head * s.KeyRows + t * wide) * s.Dim, s.Dim, Math.Min(wide, s.Keys - t * wide), s.Dim, kt + ((long)head * tiles + t) * wide * s.Dim, wide);
                for (int c = 0; c < padded; c += wide)
                    Pack.Straight<TLanes, V>(f.v + row * s.ValueDim + c, s.ValueDim, Math.Min(wide, s.ValueDim - c), keys, values + (long)head * s.Keys * padded + ((long)c * s.Keys + (long)first * wide * wide), wide, 0);
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
            Real* scaled = scratch.Take((long)rows * s.Dim), acc = scratch.Take((long)rows * padded), logits = scratch.Take((long)rows * stride), factors = scratch.Take(rows);
            var (low, high) = f.view.Extent(first, last);
            int origin = low / wide * wide, tall = Micro.Rows<V>(); int* edges = stackalloc int[2 * (n / tall + 1)];
            var groups = f.view.Groups(first, last, low, high, tall, edges);
            FlashRows.Scale<TLanes, V>(f.q + row * s.Dim, s.Scale, scaled, n * s.Dim, n * s.Dim);
            for (int j = origin; j < high; j += wide)
            {
                var (r0, r1) = groups.Rows(j, j + wide);
                Micro.Column<TLanes, V>(scaled + (nint)r0 * s.Dim, s.Dim, 1, r1 - r0, kt + kv * tiles * wide * s.Dim + (nint)j * s.Dim, wide, logits + (nint)r0 * stride + j - origin, stride, s.Dim, false);
            }
            for (int r = 0; r < n; r++)
            {
                Real* l = logits + (nint)r * stride + low - origin;
                var (a, b, seen) = f.view.Mask(new(l, high - low), first + r, low, high);
                factors[r] = f.view.Weights(l + a - low, b - a, seen);
                new Span<Real>(l, a - low).Clear(); new Span<Real>(l + b - low, high - b).Clear();
            }
            new Span<Real>(acc, n * padded).Clear();
            for (int j = low, next; j < high; j = next)
            {
                next = Math.Min(high, j + RowView<TPattern, TWeights>.Step);
                groups.Sum<TLanes, V>(j, next, logits + j - origin, stride, values + kv * s.Keys * padded + (nint)j * wide, (nint)wide * s.Keys, padded / wide, acc, padded);
            }
            for (int r = 0; r < n; r++) FlashRows.Scale<TLanes, V>(acc + (nint)r * padded, factors[r], f.o + (row + r) * s.ValueDim, s.ValueDim, s.ValueDim);
            return (long)n * (high - low);
        }
    }
}
