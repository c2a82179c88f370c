using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Attention for many queries: keys are packed once per key head into transposed tiles and values into panels two registers wide, then each task takes a block of query rows of one head
/// through the keys, a window at a time: scores by <see cref="Micro"/>, masks, score and online softmax, and weights times values by <see cref="Micro"/> again. A tile of keys,
/// and then a panel of values, stays in L1 while all rows of the block pass over it; where a pattern cuts through a window, a few rows at a time go over the part that they see.
/// </summary>
readonly unsafe struct FlashForward<TScore, TPattern, TWeights>(AttentionSize s, FlashView<TPattern> view, TScore score, Real* q, Real* k, Real* v, Real* o, Real* lse, long* work) : IWide
    where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
{
    readonly AttentionSize s = s; readonly FlashView<TPattern> view = view; readonly TScore score = score;
    readonly Real* q = q, k = k, v = v, o = o, lse = lse; readonly long* work = work;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);
    static bool IsPlain => typeof(TScore) == typeof(Plain);
    const int Window = FlashView<TPattern>.Window;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        if (view.Lines(s.Keys) is { } lines) { new LinesForward<TScore, TWeights>(s, lines, score, q, k, v, o, lse, work).Run<TLanes, V>(); return; }
        if (view.Narrow(s.Keys) is > 0 and int widest) { new RangesForward<TScore, TPattern, TWeights>(s, view, widest, score, q, k, v, o, lse, work).Run<TLanes, V>(); return; }
        int wide = 2 * TLanes.Count, tiles = (s.Keys + wide - 1) / wide, padded = (s.ValueDim + wide - 1) / wide * wide;
        using var scratch = Scratch.Open();
        long kvHeads = (long)s.Batch * s.KvHeads;
        Real* kt = scratch.Take(kvHeads * tiles * wide * s.Dim), values = scratch.Take(kvHeads * s.Keys * padded);
        int chunks = (tiles + 15) / 16;
        Threads.For(s.Batch * s.KvHeads * chunks, 1, new PackKeys<TLanes, V>(this, kt, values, tiles, chunks, padded));
        int rows = (long)s.Batch * s.Heads * s.Queries >= 32 * 96 ? 96 : 48, blocks = (s.Queries + rows - 1) / rows;
        int marked = view.Scattered ? (s.Keys + TLanes.Count - 1) / TLanes.Count : 0; ulong* marks = (ulong*)scratch.TakeInts(2L * blocks * marked);
        if (marked > 0) Threads.For(blocks, 1, new Marks<TLanes, V>(this, rows, marks, marked));
        Threads.For(s.Batch * s.Heads * blocks, 1, new Blocks<TLanes, V>(this, kt, values, tiles, padded, rows, blocks, marks, marked));
    }

    readonly struct Marks<TLanes, V>(FlashForward<TScore, TPattern, TWeights> f, int rows, ulong* marks, int marked) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (int x = from; x < to; x++) FlashScatter<TScore, TPattern, TWeights, TLanes, V>.Mark(f.view, x * rows, Math.Min(f.s.Queries, (x + 1) * rows), f.s.Keys, marks + (long)x * marked);
        }
    }

    readonly struct PackKeys<TLanes, V>(FlashForward<TScore, TPattern, TWeights> f, Real* kt, Real* values, int tiles, int chunks, int padded) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            int wide = 2 * TLanes.Count; var s = f.s;
            for (int x = from; x < to; x++)
            {
                int head = x / chunks, first = x % chunks * 16, last = Math.Min(tiles, first + 16);
                for (int t = first; t < last; t++)
                    Pack.Transposed(f.k + ((long)head * s.KeyRows + t * wide) * s.Dim, s.Dim, Math.Min(wide, s.Keys - t * wide), s.Dim, kt + ((long)head * tiles + t) * wide * s.Dim, wide);
                long key = (long)head * s.KeyRows + first * wide; int keys = Math.Min(s.Keys, last * wide) - first * wide;
                // Panels are read from end to end; columns of whole rows would fall on few sets of the cache.
                Pack.Panels<TLanes, V>(f.v + key * s.ValueDim, s.ValueDim, s.ValueDim, keys, values + (long)head * s.Keys * padded + (long)first * wide * wide, s.Keys);
            }
        }
    }

    readonly struct Blocks<TLanes, V>(FlashForward<TScore, TPattern, TWeights> f, Real* kt, Real* values, int tiles, int padded, int rows, int blocks, ulong* marks, int marked) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Tall => Micro.Rows<V>();
        static int Wide => 2 * TLanes.Count;
        // Forty-eight: three registers, for what is computed twice at the end of scattered tiles.
        const int Stride = Window + 48;

        /// <summary>The temporary memory of one task: scaled queries, unnormalised results, running maxima and sums of a block; scores of a few rows.</summary>
        readonly struct Memory(Scratch scratch, int rows, int dim, int padded)
        {
            public readonly Real* Q = scratch.Take((long)rows * dim), Acc = scratch.Take((long)rows * padded), Max = scratch.Take(rows), Sum = scratch.Take(rows), S = scratch.Take((long)rows * Stride);
            public readonly int* Runs = scratch.TakeInts(2 * Window + 2);
        }

        public void Run(int from, int to)
        {
            long done = 0;
            for (int x = from; x < to; x++)
            {
                // Late blocks first: under a causal pattern they are the long ones.
                int head = x / blocks, first = (blocks - 1 - x % blocks) * rows, last = Math.Min(f.s.Queries, first + rows);
                using var scratch = Scratch.Open();
                var memory = new Memory(scratch, rows, f.s.Dim, padded);
                for (int next; first < last; first = next) { next = f.view.SameList(first, last); done += Block(memory, head, first, next); }
            }
            Interlocked.Add(ref *f.work, done);
        }

        long Block(in Memory t, int head, int first, int last)
        {
            var s = f.s; int n = last - first; long row = (long)head * s.Queries + first, done = 0;
            FlashRows.Scale<TLanes, V>(f.q + row * s.Dim, s.Scale, t.Q, n * s.Dim, n * s.Dim);
            new Span<Real>(t.Acc, n * padded).Clear(); new Span<Real>(t.Sum, n).Clear(); new Span<Real>(t.Max, n).Fill(Real.NegativeInfinity);
            if (f.view.Scattered)
            {
                done = new FlashScatter<TScore, TPattern, TWeights, TLanes, V>(s, f.view, f.score, Keys(head, 0), Panel(head, 0, 0), padded, marks + (long)(first / rows) * marked, head, first, last).Run(t.Q, t.Acc, t.Max, t.Sum, t.S, Stride);
                Finish(t, row, n);
                return done * (s.Dim + s.ValueDim);
            }
            Cover* covers = stackalloc Cover[Window / 2 + 1];
            var windows = f.view.Named(head, first, 0, s.Keys);
            while (windows.Next(out int from, out int to))
            {
                var cover = f.view.Tile(first, last, from, to);
                if (cover == Cover.None) continue;
                if (cover == Cover.All) { done += Whole(t, head, first, n, from, to); continue; }
                for (int g = first; g < last; g += Tall)
                {
                    int height = Math.Min(Tall, last - g);
                    f.view.Tiles(g, g + height, from, to, Wide, covers);
                    done += Parts(t, head, first, g, height, from, to, covers);
                }
            }
            Finish(t, row, n);
            return done * (s.Dim + s.ValueDim);
        }

        void Finish(in Memory t, long row, int n)
        {
            var s = f.s;
            for (int r = 0; r < n; r++)
            {
                Real* o = f.o + (row + r) * s.ValueDim;
                if (Soft) FlashRows.Finish<TLanes, V>(t.Acc + (nint)r * padded, t.Max[r], t.Sum[r], o, s.ValueDim, f.lse + row + r);
                else new Span<Real>(t.Acc + (nint)r * padded, s.ValueDim).CopyTo(new(o, s.ValueDim));
            }
        }

        int KeyHead(int head) => head / f.s.Heads * f.s.KvHeads + head % f.s.Heads / f.s.Group;
        Real* Keys(int head, int origin) => kt + ((long)KeyHead(head) * tiles * Wide + origin) * f.s.Dim;
        Real* Panel(int head, int from, int column) => values + (long)KeyHead(head) * f.s.Keys * padded + ((long)column * f.s.Keys + (long)from * Wide);

        // All n rows of the block against keys [from, to), which lie in one window and which all of them see.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        int Whole(in Memory t, int head, int first, int n, int from, int to)
        {
            var s = f.s; int origin = from / Wide * Wide, places = (to - origin + Wide - 1) / Wide * Wide; Real* keys = Keys(head, origin);
            for (int c = 0; c < places; c += Wide)
                Micro.Column<TLanes, V>(t.Q, s.Dim, 1, n, keys + (nint)c * s.Dim, Wide, t.S + c, Stride, s.Dim, false);
            var run = TileRun.All(from, to, Wide); bool gaps = !IsPlain && f.view.Gaps(from, to);
            for (int r = 0; r < n; r++) { Real* row = t.S + (nint)r * Stride; Logits(t, row, head, first + r, run, null, gaps); Weights(t, row, r, places); }
            for (int c = 0; c < padded; c += Wide) Micro.Column<TLanes, V>(t.S + from - origin, Stride, 1, n, Panel(head, from, c), Wide, t.Acc + c, padded, to - from, true);
            return n * places;
        }

        // Rows [g, g + height) against those tiles of [from, to), which lies in one window, that any of them sees; their scores stand side by side.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        int Parts(in Memory t, int head, int first, int g, int height, int from, int to, Cover* covers)
        {
            var s = f.s; int places = 0; Real* qs = t.Q + (nint)(g - first) * s.Dim, acc = t.Acc + (nint)(g - first) * padded;
            var run = new TileRun(from, to, Wide);
            while (run.Next(covers))
            {
                Real* keys = Keys(head, run.Origin);
                Micro.Across<TLanes, V>(qs, s.Dim, 1, height, keys, Wide, (nint)Wide * s.Dim, t.S + places, Stride, run.Places / Wide, s.Dim, false);
                bool gaps = !IsPlain && f.view.Gaps(run.From, run.To);
                for (int r = 0; r < height; r++) Logits(t, t.S + r * Stride + places, head, g + r, run, covers, gaps);
                places += run.Places;
            }
            for (int r = 0; r < height && places > 0; r++) Weights(t, t.S + r * Stride, g - first + r, places);
            run = new(from, to, Wide);
            for (int at = 0; run.Next(covers); at += run.Places)
                Micro.Across<TLanes, V>(t.S + at + run.From - run.Origin, Stride, 1, height, Panel(head, run.From, 0), Wide, (nint)Wide * s.Keys, acc, padded, padded / Wide, run.To - run.From, true);
            return height * places;
        }

        // Raw scores of one query become logits.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Logits(in Memory t, Real* row, int head, int query, in TileRun run, Cover* covers, bool gaps)
        {
            if (!run.Mixed && run.Whole && !gaps)
            {
                if (!IsPlain) f.score.Row(new(row, run.Places), head % f.s.Heads, f.view.At(query), f.view.KeyAt(run.From));
                return;
            }
            f.view.Logits(row, query, run, covers is null ? null : covers + run.First, Wide, f.score, head % f.s.Heads, gaps, t.Runs);
        }

        // Logits become weights, and what the query has gathered so far is brought to their scale.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Weights(in Memory t, Real* row, int x, int places)
        {
            if (!Soft) { TWeights.Weights(new(row, places)); return; }
            Real* acc = t.Acc + (nint)x * padded;
            Real keep = FlashRows.Online<TLanes, V>(row, places, ref t.Max[x], ref t.Sum[x]);
            if (keep != 1) FlashRows.Scale<TLanes, V>(acc, keep, acc, padded, padded);
        }
    }
}
