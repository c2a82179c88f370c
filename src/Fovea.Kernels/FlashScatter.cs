using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// A block of queries against tiles of keys that are scattered: the windows of neighbours on a grid, where half of what lies between the first and the last key that a query sees is not seen. Tiles are one register of
/// keys wide and queries go in groups of four, so that little more than the pairs that are seen is computed: four rows by three tiles, wherever these lie, fill the registers. The tiles that a block sees are taken
/// some at a time, whatever their place, and stay in the first cache while all groups pass over them; the scores of a group stand side by side.
/// </summary>
readonly unsafe struct FlashScatter<TScore, TPattern, TWeights, TLanes, V>(AttentionSize s, FlashView<TPattern> view, TScore score, Real* keys, Real* values, int padded, ulong* marks, int head, int first, int last)
    where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser where TLanes : struct, ILanes<V> where V : struct
{
    const int Group = Flash.ScatteredQueries, Side = 3, Most = 96 / Group;
    readonly AttentionSize s = s; readonly FlashView<TPattern> view = view; readonly TScore score = score; readonly Real* keys = keys, values = values;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);
    static int W => TLanes.Count;
    /// <summary>Tiles of one step of the online softmax, and those whose keys stay in the first cache.</summary>
    static int Batch => FlashView<TPattern>.Window / W;
    static int Near => Math.Max(Side, 64 / W);

    /// <summary>Rows of q and of acc, from the first of the block on, are read in fours; scores has rows of stride numbers. Returns how many pairs were computed.</summary>
    public long Run(Real* q, Real* acc, Real* max, Real* sum, Real* scores, nint stride)
    {
        int n = last - first, all = (s.Keys + W - 1) / W, count = 0; long done = 0;
        new Span<Real>(q + (nint)n * s.Dim, ((n + Group - 1) / Group * Group - n) * s.Dim).Clear();
        using var scratch = Scratch.Open(); int* seen = scratch.TakeInts(all);
        for (int t = 0; t < all; t++) if (marks[t] != 0) seen[count++] = t;
        for (int at = 0; at < count; at += Batch) done += Step(seen + at, Math.Min(Batch, count - at), q, acc, max, sum, scores, stride);
        return done;
    }

    long Step(int* tiles, int count, Real* q, Real* acc, Real* max, Real* sum, Real* scores, nint stride)
    {
        int n = last - first, groups = (n + Group - 1) / Group, room = Batch + Side; long done = 0;
        int* own = stackalloc int[Most * room], counts = stackalloc int[Most], next = stackalloc int[Most], cuts = stackalloc int[Most * room];
        for (int g = 0; g < groups; g++)
        {
            int* mine = own + g * room, cut = cuts + g * room; int found = 0;
            for (int x = 0; x < count; x++)
            {
                var cover = (Cover)(marks[tiles[x]] >> 2 * g & 3);
                if (cover == Cover.None) continue;
                mine[found] = tiles[x]; cut[found++] = cover == Cover.All ? -1 : tiles[x] * W;
            }
            counts[g] = found; next[g] = 0;
        }
        for (int at = 0; at < count; at += Near)
        {
            // What does not fill three tiles waits for those of the next part; the last part ends with tiles twice, whose scores nobody reads.
            bool end = at + Near >= count; int limit = end ? int.MaxValue : tiles[at + Near];
            for (int g = 0; g < groups; g++)
            {
                int* mine = own + g * room; int from = next[g], to = from;
                while (to + Side <= counts[g] && mine[to + Side - 1] < limit) to += Side;
                if (end && to < counts[g]) { for (int x = counts[g]; x < to + Side; x++) mine[x] = mine[counts[g] - 1]; to += Side; }
                next[g] = to;
                Products(q + (nint)g * Group * s.Dim, keys, s.Dim, mine + from, to - from, scores + g * Group * stride + from * W, stride);
            }
        }
        for (int g = 0; g < groups; g++)
        {
            int height = Math.Min(Group, n - g * Group); Real* at = scores + g * Group * stride;
            if (counts[g] == 0) continue;
            Logits(at, stride, g * Group, height, own + g * room, cuts + g * room, counts[g]);
            int places = counts[g] * W;
            for (int r = 0; r < height; r++)
            {
                Real* row = at + r * stride; int x = g * Group + r;
                if (!Soft) { TWeights.Weights(new(row, places)); continue; }
                Real keep = FlashRows.Online<TLanes, V>(row, places, ref max[x], ref sum[x]);
                if (keep != 1) FlashRows.Scale<TLanes, V>(acc + (nint)x * padded, keep, acc + (nint)x * padded, padded, padded);
            }
            done += (long)height * places;
        }
        // Some columns of the values of all these tiles stay in the first cache: three registers wide as long as two are not what is left.
        for (int c = 0, wide; c < padded; c += wide)
        {
            wide = padded - c == 2 * W || padded - c == 4 * W ? 2 * W : 3 * W;
            for (int g = 0; g < groups; g++)
            {
                Real* p = scores + g * Group * stride, to = acc + (nint)g * Group * padded + c;
                if (wide == 2 * W) Two(p, stride, Column(c), s.Keys, own + g * room, counts[g], to, padded);
                else Three(p, stride, Column(c), Column(c + W), Column(c + 2 * W), s.Keys, own + g * room, counts[g], to, padded);
            }
        }
        return done;
    }

    /// <summary>
    /// What each group of queries [first, last) sees of each tile: two bits per group, of its <see cref="Cover"/>. It is the same for all heads, so it is asked for once.
    /// </summary>
    public static void Mark(in FlashView<TPattern> view, int first, int last, int keys, ulong* marks)
    {
        const int Part = 256; Cover* covers = stackalloc Cover[Part], own = stackalloc Cover[Part]; int all = (keys + W - 1) / W;
        for (int t0 = 0; t0 < all; t0 += Part)
        {
            int count = Math.Min(all - t0, Part);
            view.Tiles(first, last, t0 * W, Math.Min(keys, (t0 + count) * W), W, covers);
            new Span<ulong>(marks + t0, count).Clear();
            for (int x = 0, end; x < count; x = end)
            {
                end = x + 1;
                if (covers[x] == Cover.None) continue;
                while (end < count && covers[end] != Cover.None) end++;
                for (int q = first, shift = 0; q < last; q += Group, shift += 2)
                {
                    view.Tiles(q, Math.Min(last, q + Group), (t0 + x) * W, Math.Min(keys, (t0 + end) * W), W, own);
                    for (int t = x; t < end; t++) marks[t0 + t] |= (ulong)own[t - x] << shift;
                }
            }
        }
    }

    // Raw scores of a group become logits: −∞ where a query does not see the key, or where there is none. cut holds the first keys of its tiles, −1 where all of it is seen.
    void Logits(Real* at, nint stride, int group, int height, int* own, int* cut, int count)
    {
        int end = own[count - 1] * W + W - s.Keys;
        if (typeof(TScore) != typeof(Plain))
            for (int t = 0; t < count; t++)
                for (int r = 0; r < height; r++) score.Row(new(at + r * stride + t * W, Math.Min(W, s.Keys - own[t] * W)), head % s.Heads, view.At(first + group + r), own[t] * W);
        view.Hide(at, stride, first + group, height, new(cut, count), W, Real.NegativeInfinity);
        for (int r = 0; r < height && end > 0; r++) new Span<Real>(at + r * stride + count * W - end, end).Fill(Real.NegativeInfinity);
    }

    // scores = q·k of four rows and threes of tiles: a row of k has the keys of two tiles side by side.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Products(Real* q, Real* keys, nint dim, int* tiles, int count, Real* c, nint cs)
    {
        nint w = TLanes.Count; Real* q1 = q + dim, q2 = q1 + dim, q3 = q2 + dim;
        for (; count > 0; count -= Side, tiles += Side, c += Side * w)
        {
            Real* x = keys + (tiles[0] >> 1) * 2 * w * dim + (tiles[0] & 1) * w, y = keys + (tiles[1] >> 1) * 2 * w * dim + (tiles[1] & 1) * w, z = keys + (tiles[2] >> 1) * 2 * w * dim + (tiles[2] & 1) * w;
            V x0 = TLanes.Set(0), x1 = x0, x2 = x0, x3 = x0, y0 = x0, y1 = x0, y2 = x0, y3 = x0, z0 = x0, z1 = x0, z2 = x0, z3 = x0;
            for (nint d = 0; d < dim; d++, x += 2 * w, y += 2 * w, z += 2 * w)
            {
                V l = TLanes.Load(x), m = TLanes.Load(y), r = TLanes.Load(z), a = TLanes.Set(q[d]);
                x0 = TLanes.Fma(a, l, x0); y0 = TLanes.Fma(a, m, y0); z0 = TLanes.Fma(a, r, z0);
                a = TLanes.Set(q1[d]); x1 = TLanes.Fma(a, l, x1); y1 = TLanes.Fma(a, m, y1); z1 = TLanes.Fma(a, r, z1);
                a = TLanes.Set(q2[d]); x2 = TLanes.Fma(a, l, x2); y2 = TLanes.Fma(a, m, y2); z2 = TLanes.Fma(a, r, z2);
                a = TLanes.Set(q3[d]); x3 = TLanes.Fma(a, l, x3); y3 = TLanes.Fma(a, m, y3); z3 = TLanes.Fma(a, r, z3);
            }
            TLanes.Store(c, x0); TLanes.Store(c + w, y0); TLanes.Store(c + 2 * w, z0);
            TLanes.Store(c + cs, x1); TLanes.Store(c + cs + w, y1); TLanes.Store(c + cs + 2 * w, z1);
            TLanes.Store(c + 2 * cs, x2); TLanes.Store(c + 2 * cs + w, y2); TLanes.Store(c + 2 * cs + 2 * w, z2);
            TLanes.Store(c + 3 * cs, x3); TLanes.Store(c + 3 * cs + w, y3); TLanes.Store(c + 3 * cs + 2 * w, z3);
        }
    }

    // One register of the columns of values, which lie in panels two registers wide.
    Real* Column(int c) => values + (nint)(c / (2 * W) * (2 * W)) * s.Keys + c % (2 * W);

    // acc += weights·values of four rows and three registers of columns over the keys of these tiles.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Three(Real* p, nint stride, Real* left, Real* middle, Real* right, int keys, int* tiles, int count, Real* c, nint cs)
    {
        nint w = TLanes.Count; Real* p1 = p + stride, p2 = p1 + stride, p3 = p2 + stride, c1 = c + cs, c2 = c1 + cs, c3 = c2 + cs;
        V l0 = TLanes.Load(c), m0 = TLanes.Load(c + w), r0 = TLanes.Load(c + 2 * w), l1 = TLanes.Load(c1), m1 = TLanes.Load(c1 + w), r1 = TLanes.Load(c1 + 2 * w);
        V l2 = TLanes.Load(c2), m2 = TLanes.Load(c2 + w), r2 = TLanes.Load(c2 + 2 * w), l3 = TLanes.Load(c3), m3 = TLanes.Load(c3 + w), r3 = TLanes.Load(c3 + 2 * w);
        for (int t = 0; t < count; t++, p += w, p1 += w, p2 += w, p3 += w)
        {
            nint key = tiles[t] * w, width = Math.Min(w, keys - key); Real* x = left + key * 2 * w, y = middle + key * 2 * w, z = right + key * 2 * w;
            for (nint j = 0; j < width; j++, x += 2 * w, y += 2 * w, z += 2 * w)
            {
                V l = TLanes.Load(x), m = TLanes.Load(y), r = TLanes.Load(z), a = TLanes.Set(p[j]);
                l0 = TLanes.Fma(a, l, l0); m0 = TLanes.Fma(a, m, m0); r0 = TLanes.Fma(a, r, r0);
                a = TLanes.Set(p1[j]); l1 = TLanes.Fma(a, l, l1); m1 = TLanes.Fma(a, m, m1); r1 = TLanes.Fma(a, r, r1);
                a = TLanes.Set(p2[j]); l2 = TLanes.Fma(a, l, l2); m2 = TLanes.Fma(a, m, m2); r2 = TLanes.Fma(a, r, r2);
                a = TLanes.Set(p3[j]); l3 = TLanes.Fma(a, l, l3); m3 = TLanes.Fma(a, m, m3); r3 = TLanes.Fma(a, r, r3);
            }
        }
        TLanes.Store(c, l0); TLanes.Store(c + w, m0); TLanes.Store(c + 2 * w, r0); TLanes.Store(c1, l1); TLanes.Store(c1 + w, m1); TLanes.Store(c1 + 2 * w, r1);
        TLanes.Store(c2, l2); TLanes.Store(c2 + w, m2); TLanes.Store(c2 + 2 * w, r2); TLanes.Store(c3, l3); TLanes.Store(c3 + w, m3); TLanes.Store(c3 + 2 * w, r3);
    }

    // The same for two registers, which are one panel.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Two(Real* p, nint stride, Real* panel, int keys, int* tiles, int count, Real* c, nint cs)
    {
        nint w = TLanes.Count; Real* p1 = p + stride, p2 = p1 + stride, p3 = p2 + stride, c1 = c + cs, c2 = c1 + cs, c3 = c2 + cs;
        V l0 = TLanes.Load(c), r0 = TLanes.Load(c + w), l1 = TLanes.Load(c1), r1 = TLanes.Load(c1 + w), l2 = TLanes.Load(c2), r2 = TLanes.Load(c2 + w), l3 = TLanes.Load(c3), r3 = TLanes.Load(c3 + w);
        for (int t = 0; t < count; t++, p += w, p1 += w, p2 += w, p3 += w)
        {
            nint key = tiles[t] * w, width = Math.Min(w, keys - key); Real* b = panel + key * 2 * w;
            for (nint j = 0; j < width; j++, b += 2 * w)
            {
                V l = TLanes.Load(b), r = TLanes.Load(b + w), a = TLanes.Set(p[j]); l0 = TLanes.Fma(a, l, l0); r0 = TLanes.Fma(a, r, r0);
                a = TLanes.Set(p1[j]); l1 = TLanes.Fma(a, l, l1); r1 = TLanes.Fma(a, r, r1);
                a = TLanes.Set(p2[j]); l2 = TLanes.Fma(a, l, l2); r2 = TLanes.Fma(a, r, r2);
                a = TLanes.Set(p3[j]); l3 = TLanes.Fma(a, l, l3); r3 = TLanes.Fma(a, r, r3);
            }
        }
        TLanes.Store(c, l0); TLanes.Store(c + w, r0); TLanes.Store(c1, l1); TLanes.Store(c1 + w, r1);
        TLanes.Store(c2, l2); TLanes.Store(c2 + w, r2); TLanes.Store(c3, l3); TLanes.Store(c3 + w, r3);
    }
}
