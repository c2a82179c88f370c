namespace Fovea.Kernels;

/// <summary>
/// Attention for few queries, or for lists that differ from query to query: nothing is packed, keys and values are read once, where they lie and in the form that they have.
/// A task is a key head with its queries, over a fixed range of keys; the partial results of the ranges are then joined in their order.
/// </summary>
readonly unsafe partial struct FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>(AttentionSize s, FlashView<TPattern> view, TScore score, Real* q, TKeys keys, TValues values, Real* o, Real* lse, long* work) : IWide
    where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser where TKeys : struct, IRowSource where TValues : struct, IRowSource
{
    readonly AttentionSize s = s; readonly FlashView<TPattern> view = view; readonly TScore score = score;
    readonly Real* q = q, o = o, lse = lse; readonly TKeys keys = keys; readonly TValues values = values; readonly long* work = work;
    /// <summary>Queries up to which this is faster than packing the keys.</summary>
    public const int Few = 4;
    // Keys are looked at in tiles, and read in steps of up to so many that follow each other: what is done once a step weighs little.
    const int Tile = 64, Step = 512, Range = 1024;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int ranges = view.Blocks is null && s.Keys > 2 * Range ? (s.Keys + Range - 1) / Range : 1, parts = (s.Queries + Few - 1) / Few;
        long rows = (long)s.Batch * s.Heads * s.Queries, each = (long)s.Group * Few * (s.Keys / ranges + 1) * (s.Dim + s.ValueDim);
        using var scratch = Scratch.Open();
        Real* acc = scratch.Take(rows * ranges * s.ValueDim), max = scratch.Take(rows * ranges), sum = scratch.Take(rows * ranges);
        int tasks = s.Batch * s.KvHeads * parts * ranges, grain = (int)Math.Clamp((1 << 16) / each, 1, tasks);
        Threads.For(tasks, grain, new Tasks<TLanes, V>(this, acc, max, sum, parts, ranges));
        Threads.For(checked((int)rows), (int)Math.Clamp((1 << 14) / ((long)ranges * s.ValueDim), 1, rows), new Join<TLanes, V>(this, acc, max, sum, ranges));
    }

    readonly struct Tasks<TLanes, V>(FlashDecode<TScore, TPattern, TWeights, TKeys, TValues> f, Real* acc, Real* max, Real* sum, int parts, int ranges) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s; int places = s.Group * Few;
            using var scratch = Scratch.Open();
            var t = new Rows<TLanes, V>(f, scratch.Take((long)places * s.Dim), scratch.Take((long)places * s.ValueDim), scratch.Take(places), scratch.Take(places),
                scratch.Take((long)places * Step + 64), scratch.Take((long)Step * Math.Max(s.Dim, s.ValueDim)), scratch.TakeInts(4 * Step + 2));
            for (int x = from; x < to; x++)
            {
                int range = x % ranges, low = ranges == 1 ? 0 : range * Range, high = ranges == 1 ? s.Keys : Math.Min(s.Keys, low + Range), first = x / ranges % parts * Few;
                t.Open(x / ranges / parts, first, Math.Min(Few, s.Queries - first));
                if (f.view.Blocks is null) t.All(low, high);
                else t.Listed(low, high);
                for (int r = 0; r < t.Count; r++)
                {
                    long slot = t.Row(r) * ranges + range;
                    new Span<Real>(t.Acc + (nint)r * s.ValueDim, s.ValueDim).CopyTo(new(acc + slot * s.ValueDim, s.ValueDim)); max[slot] = t.Max[r]; sum[slot] = t.Sum[r];
                }
            }
            Interlocked.Add(ref *f.work, t.Pairs * (s.Dim + s.ValueDim));
        }
    }

    readonly struct Join<TLanes, V>(FlashDecode<TScore, TPattern, TWeights, TKeys, TValues> f, Real* acc, Real* max, Real* sum, int ranges) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            int e = f.s.ValueDim;
            for (long row = from; row < to; row++)
            {
                Real* a = acc + row * ranges * e, m = max + row * ranges, l = sum + row * ranges; Real top = m[0];
                for (int x = 1; x < ranges; x++) top = m[x] <= top ? top : m[x];
                Real total = Soft && l[0] != 0 ? Weight(m[0], top) * l[0] : l[0];
                if (Soft && ranges > 1) FlashRows.Scale<TLanes, V>(a, Weight(m[0], top), a, e, e);
                for (int x = 1; x < ranges; x++)
                {
                    Real w = Soft ? Weight(m[x], top) : 1;
                    total += w * l[x]; RowProduct.Plus<TLanes, V>(a, w, a + (nint)x * e, e);
                }
                Real* o = f.o + row * e;
                if (Soft) FlashRows.Finish<TLanes, V>(a, top, total, o, e, f.lse + row); else new Span<Real>(a, e).CopyTo(new(o, e));
            }
        }
        // An empty range has nothing to weigh; where all are empty, −∞ − −∞ must not become NaN.
        static Real Weight(Real max, Real top) => max == top || Real.IsNegativeInfinity(max) ? 1 : FastExp2.Of(max - top);
    }
}
