using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Attention for few queries, or for lists that differ from query to query: nothing is packed, keys and values are read once, where they lie.
/// A task is a key head with its queries, over a fixed range of keys; the partial results of the ranges are then joined in their order.
/// </summary>
readonly unsafe struct FlashDecode<TScore, TPattern, TWeights>(AttentionSize s, FlashView<TPattern> view, TScore score, Real* q, Real* k, Real* v, Real* o, Real* lse, long* work) : IWide
    where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
{
    readonly AttentionSize s = s; readonly FlashView<TPattern> view = view; readonly TScore score = score;
    readonly Real* q = q, k = k, v = v, o = o, lse = lse; readonly long* work = work;
    /// <summary>Queries up to which this is faster than packing the keys.</summary>
    public const int Few = 4;
    const int Step = 64, Range = 1024;
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

    readonly struct Tasks<TLanes, V>(FlashDecode<TScore, TPattern, TWeights> f, Real* acc, Real* max, Real* sum, int parts, int ranges) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s;
            using var scratch = Scratch.Open();
            Real* qs = scratch.Take((long)s.Group * Few * s.Dim);
            var t = new Pieces<TLanes, V>(f, scratch.Take(Step + 64), scratch.TakeInts(2 * Step), scratch.TakeInts(2 * Step + 2));
            for (int x = from; x < to; x++)
            {
                int range = x % ranges, first = x / ranges % parts * Few, n = Math.Min(Few, s.Queries - first), kv = x / ranges / parts, rows = s.Group * n;
                int low = ranges == 1 ? 0 : range * Range, high = ranges == 1 ? s.Keys : Math.Min(s.Keys, low + Range);
                for (int r = 0; r < rows; r++)
                {
                    long row = Row(kv, first, n, r), slot = row * ranges + range;
                    FlashRows.Scale<TLanes, V>(f.q + row * s.Dim, s.Scale, qs + (nint)r * s.Dim, s.Dim, s.Dim);
                    new Span<Real>(acc + slot * s.ValueDim, s.ValueDim).Clear(); max[slot] = Real.NegativeInfinity; sum[slot] = 0;
                }
                // A step of keys and values stays in L1 while all rows pass over it.
                for (int at = low; f.view.Blocks is null && at < high; at += Step)
                    for (int r = 0; r < rows; r++) { Open(ref t, kv, first, n, r, range); t.Add(at, Math.Min(high, at + Step), qs + (nint)r * s.Dim); t.Close(); }
                for (int r = 0; f.view.Blocks is not null && r < rows; r++)
                {
                    Open(ref t, kv, first, n, r, range);
                    var windows = f.view.Named((int)(Row(kv, first, n, r) / s.Queries), first + r % n, low, high);
                    while (windows.Next(out int a, out int b)) for (; a < b; a += Step) t.Add(a, Math.Min(b, a + Step), qs + (nint)r * s.Dim);
                    t.Close();
                }
            }
            Interlocked.Add(ref *f.work, t.Pairs * (s.Dim + s.ValueDim));
        }

        // Rows of a task: the query heads of its key head, and of each its queries.
        long Row(int kv, int first, int n, int r) => ((long)kv * f.s.Group + r / n) * f.s.Queries + first + r % n;
        void Open(ref Pieces<TLanes, V> t, int kv, int first, int n, int r, int range)
        {
            long row = Row(kv, first, n, r), slot = row * ranges + range;
            t.Head = (int)(row / f.s.Queries % f.s.Heads); t.Query = first + r % n; t.Kv = kv;
            t.Acc = acc + slot * f.s.ValueDim; t.Max = max + slot; t.Sum = sum + slot;
        }
    }

    /// <summary>Collects up to <see cref="Step"/> keys of one row, wherever they lie, before the softmax and the values are touched.</summary>
    struct Pieces<TLanes, V>(FlashDecode<TScore, TPattern, TWeights> f, Real* logits, int* pieces, int* runs) where TLanes : struct, ILanes<V> where V : struct
    {
        public int Head, Query, Kv; public Real* Acc, Max, Sum; public long Pairs;
        int used, count;

        public void Add(int from, int to, Real* q)
        {
            var s = f.s; int n = to - from;
            var cover = f.view.Tile(Query, Query + 1, from, to);
            if (cover == Cover.None) return;
            if (used + n > Step) Close();
            Real* at = logits + used;
            new Span<Real>(at, n).Clear();
            RowProduct.Dots<TLanes, V>(q, f.k + ((long)Kv * s.KeyRows + from) * s.Dim, s.Dim, at, n, s.Dim);
            bool mixed = cover == Cover.Mixed, gaps = typeof(TScore) != typeof(Plain) && f.view.Gaps(from, to);
            if (mixed || typeof(TScore) != typeof(Plain))
            {
                int found = f.view.Runs(Query, from, to, mixed ? &mixed : null, int.MaxValue, gaps, runs);
                for (int u = 0; u < found; u++) f.score.Row(new(at + runs[2 * u] - from, runs[2 * u + 1] - runs[2 * u]), Head, f.view.At(Query), f.view.KeyAt(runs[2 * u]));
                FlashView<TPattern>.Outside(at, from, n, runs, found, Real.NegativeInfinity);
            }
            pieces[2 * count] = from; pieces[2 * count++ + 1] = n; used += n; Pairs += n;
        }

        public void Close()
        {
            if (used == 0) return;
            int e = f.s.ValueDim, w = TLanes.Count;
            if (Soft)
            {
                int places = (used + w - 1) / w * w;
                for (int j = used; j < places; j++) logits[j] = Real.NegativeInfinity;
                Real keep = FlashRows.Online<TLanes, V>(logits, places, ref *Max, ref *Sum);
                if (keep != 1) FlashRows.Scale<TLanes, V>(Acc, keep, Acc, e, e);
            }
            else TWeights.Weights(new(logits, used));
            Real* p = logits;
            for (int i = 0; i < count; p += pieces[2 * i + 1], i++) RowProduct.Sweep<TLanes, V>(p, f.v + ((long)Kv * f.s.KeyRows + pieces[2 * i]) * e, e, Acc, e, pieces[2 * i + 1]);
            used = count = 0;
        }
    }

    readonly struct Join<TLanes, V>(FlashDecode<TScore, TPattern, TWeights> f, Real* acc, Real* max, Real* sum, int ranges) : IRows where TLanes : struct, ILanes<V> where V : struct
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
