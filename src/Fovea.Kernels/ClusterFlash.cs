using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>
/// Rows of flat tensors in clusters: cluster c holds Rows[Start[c] .. Start[c + 1]], those that come first in the text first, and belongs to the head whose range of clusters Heads gives; heads share no rows. Queries are the rows
/// from Past on, counted from there; earlier ones are keys only. A member sees at most Window members before it, and itself only if there are none.
/// </summary>
public sealed record ClusterLists(int[] Heads, int[] Start, int[] Rows, int Window, int Past = 0)
{
    /// <summary>Throws unless rows lie within [0, rows) and ranges ascend.</summary>
    public void Check(int rows)
    {
        if (Window < 1 || Past < 0 || Past > rows) throw new ArgumentException($"a window of {Window} members and {Past} of {rows} rows that only answer");
        if (Heads[0] != 0 || Heads[^1] != Start.Length - 1 || Start[0] != 0 || Start[^1] != Rows.Length) throw new ArgumentException($"ranges end at {Heads[^1]} clusters and {Start[^1]} rows, expected {Start.Length - 1} and {Rows.Length}");
        for (int x = 1; x < Heads.Length; x++) if (Heads[x] < Heads[x - 1]) throw new ArgumentException($"Heads[{x}] = {Heads[x]} is before Heads[{x - 1}] = {Heads[x - 1]}");
        for (int c = 1; c < Start.Length; c++) if (Start[c] < Start[c - 1]) throw new ArgumentException($"Start[{c}] = {Start[c]} is before Start[{c - 1}] = {Start[c - 1]}");
        foreach (int r in Rows) if ((uint)r >= (uint)rows) throw new ArgumentException($"row {r} of {rows}");
    }
}

/// <summary>
/// Softmax attention inside clusters: the members of a cluster are gathered, attend block by block, and are scattered back. Blocks are filled up with zeros, so that what a member
/// gets depends on nothing outside of its cluster nor on later members, down to the last bit.
/// q [R,D], k [Past + R,D], v [Past + R,E] and o [R,E]. A row counts share[r] times the sum over its clusters.
/// </summary>
public static unsafe class ClusterFlash
{
    internal const int Block = 32;

    /// <summary>Overwrites o; rows in no cluster become zeros.</summary>
    public static void Forward(ClusterLists lists, int dim, int valueDim, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> share, Span<Real> o) => Run(lists, dim, valueDim, q, k, v, share, o, default, default, default, default, Width.Widest);

    /// <summary>Adds into dq, dk and dv.</summary>
    public static void Backward(ClusterLists lists, int dim, int valueDim, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> share, ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv) => Run(lists, dim, valueDim, q, k, v, share, default, dO, dq, dk, dv, Width.Widest);

    internal static void Run(ClusterLists lists, int dim, int valueDim, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> share, Span<Real> o, ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv, Width width)
    {
        Guard.AtLeast(dim, 1); Guard.AtLeast(valueDim, 1); int keys = k.Length / dim, rows = keys - lists.Past; bool back = o.IsEmpty && !dO.IsEmpty;
        lists.Check(keys); Guard.Holds(q, (long)rows * dim); Guard.Holds(v, (long)keys * valueDim); Guard.Holds(share, rows);
        if (back) { Guard.Holds(dO, (long)rows * valueDim); Guard.Holds(dq, (long)rows * dim); Guard.Holds(dk, (long)keys * dim); Guard.Holds(dv, (long)keys * valueDim); }
        else { Guard.Holds(o, (long)rows * valueDim); o[..(rows * valueDim)].Clear(); }
        fixed (int* heads = lists.Heads, start = lists.Start, at = lists.Rows)
        fixed (Real* pq = q, pk = k, pv = v, ps = share, po = o, pg = dO, pdq = dq, pdk = dk, pdv = dv)
            WideRows.For(lists.Heads.Length - 1, 1, new ClusterRows(heads, start, at, lists.Window, lists.Past, dim, valueDim, pq, pk, pv, ps, po, pg, pdq, pdk, pdv), width);
        long pairs = 0;
        for (int c = 0; c + 1 < lists.Start.Length; c++)
        {
            int n = lists.Start[c + 1] - lists.Start[c], first = 0;
            while (first < n && lists.Rows[lists.Start[c] + first] < lists.Past) first++;
            for (int t = first; t < n; t += Block) pairs += (long)Block * (t + Block - Math.Max(0, t - lists.Window));
        }
        Work.Add(pairs * (back ? 3 * dim + 2 * valueDim : dim + valueDim));
    }
}

/// <summary>A task is a head with its clusters, one after the other.</summary>
readonly unsafe struct ClusterRows(int* heads, int* start, int* at, int window, int past, int dim, int valueDim, Real* q, Real* k, Real* v, Real* share, Real* o, Real* dO, Real* dq, Real* dk, Real* dv) : IWideRows
{
    const int Block = ClusterFlash.Block;

    public void Run<TLanes, W>(int from, int to) where TLanes : struct, ILanes<W> where W : struct
    {
        for (int c = heads[from]; c < heads[to]; c++) Cluster<TLanes, W>(at + start[c], start[c + 1] - start[c]);
    }

    static void Gather(Real* x, int* rows, int n, int first, int width, Real* y) { for (int i = 0; i < n; i++) new Span<Real>(x + (long)(rows[i] - first) * width, width).CopyTo(new(y + (long)i * width, width)); }
    static void Scatter<TLanes, W>(Real* y, int* rows, int n, Real* x, int width) where TLanes : struct, ILanes<W> where W : struct { for (int i = 0; i < n; i++) RowProduct.Plus<TLanes, W>(x + (long)rows[i] * width, 1, y + (long)i * width, width); }

    void Cluster<TLanes, W>(int* rows, int n) where TLanes : struct, ILanes<W> where W : struct
    {
        if (n == 0) return;
        using var scratch = Scratch.Open(); int room = n + Block, strip = Math.Min(room, window + Block), first = 0; bool back = dO is not null;
        Real* ks = scratch.Take((long)room * dim), vs = scratch.Take((long)room * valueDim), qs = scratch.Take((long)Block * dim), p = scratch.Take((long)Block * strip), x = scratch.Take((long)Block * valueDim);
        Real* d = back ? scratch.Take((long)Block * strip) : null, dks = back ? scratch.Take((long)room * dim) : null, dvs = back ? scratch.Take((long)room * valueDim) : null, dqs = back ? scratch.Take((long)Block * dim) : null;
        Gather(k, rows, n, 0, dim, ks); Gather(v, rows, n, 0, valueDim, vs);
        new Span<Real>(ks + (nint)n * dim, Block * dim).Clear(); new Span<Real>(vs + (nint)n * valueDim, Block * valueDim).Clear();
        if (back) { new Span<Real>(dks, room * dim).Clear(); new Span<Real>(dvs, room * valueDim).Clear(); }
        while (first < n && rows[first] < past) first++;
        for (int t = first; t < n; t += Block)
        {
            int count = Math.Min(Block, n - t), low = Math.Max(0, t - window), width = t + Block - low;
            Gather(q, rows + t, count, past, dim, qs); new Span<Real>(qs + (nint)count * dim, (Block - count) * dim).Clear();
            Product.Of(Gemm.Kind.NT, qs, ks + (nint)low * dim, p, Block, dim, width, false).Run<TLanes, W>();
            for (int r = 0; r < count; r++) Weights<TLanes, W>(p + (nint)r * width, t + r, low, width);
            new Span<Real>(p + (nint)count * width, (Block - count) * width).Clear();
            if (!back)
            {
                Product.Of(Gemm.Kind.NN, p, vs + (nint)low * valueDim, x, Block, width, valueDim, false).Run<TLanes, W>();
                for (int r = 0; r < count; r++) { int row = rows[t + r] - past; RowProduct.Plus<TLanes, W>(o + (long)row * valueDim, share[row], x + (nint)r * valueDim, valueDim); }
                continue;
            }
            Gather(dO, rows + t, count, past, valueDim, x); new Span<Real>(x + (nint)count * valueDim, (Block - count) * valueDim).Clear();
            for (int r = 0; r < count; r++) FlashRows.Scale<TLanes, W>(x + (nint)r * valueDim, share[rows[t + r] - past], x + (nint)r * valueDim, valueDim, valueDim);
            Product.Of(Gemm.Kind.NT, x, vs + (nint)low * valueDim, d, Block, valueDim, width, false).Run<TLanes, W>();
            Product.Of(Gemm.Kind.TN, p, x, dvs + (nint)low * valueDim, Block, width, valueDim, true).Run<TLanes, W>();
            Real scale = 1 / Real.Sqrt(dim);
            for (int r = 0; r < Block; r++)
            {
                // Weights of what is not seen are 0, so sums may run over the whole strip.
                Real* pr = p + (nint)r * width, dr = d + (nint)r * width; Real delta = RowProduct.Dot<TLanes, W>(pr, dr, width);
                for (int j = 0; j < width; j++) dr[j] = scale * pr[j] * (dr[j] - delta);
            }
            Product.Of(Gemm.Kind.TN, d, qs, dks + (nint)low * dim, Block, width, dim, true).Run<TLanes, W>();
            Product.Of(Gemm.Kind.NN, d, ks + (nint)low * dim, dqs, Block, width, dim, false).Run<TLanes, W>();
            for (int r = 0; r < count; r++) RowProduct.Plus<TLanes, W>(dq + (long)(rows[t + r] - past) * dim, 1, dqs + (nint)r * dim, dim);
        }
        if (back) { Scatter<TLanes, W>(dks, rows, n, dk, dim); Scatter<TLanes, W>(dvs, rows, n, dv, valueDim); }
    }

    // Products of member t with members [low, low + width) become its weights.
    void Weights<TLanes, W>(Real* p, int t, int low, int width) where TLanes : struct, ILanes<W> where W : struct
    {
        int from = Math.Max(0, t - window) - low, seen = Math.Max(t, 1) - low - from;
        TensorPrimitives.Multiply(new ReadOnlySpan<Real>(p + from, seen), 1 / Real.Sqrt(dim), new Span<Real>(p + from, seen));
        var (_, sum) = SoftmaxLoops.MaxAndSum<TLanes, W>(p + from, p + from, seen);
        FlashRows.Scale<TLanes, W>(p + from, 1 / sum, p + from, seen, width - from);
        new Span<Real>(p, from).Clear();
    }
}
