using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Gradients of attention with recomputed weights. A task is a key head over a fixed range of keys, whose dK and dV it alone writes; it takes its
/// queries a block at a time through the range: S = QKᵀ and dP = dO·Vᵀ, from them P and dS row by row, then dV += PᵀdO, dK += dSᵀQ, dQ += dS·K.
/// With several ranges each writes its own dQ, and these are added up in order.
/// </summary>
readonly unsafe struct FlashBackward<TScore, TPattern, TWeights>(AttentionSize s, FlashView<TPattern> view, TScore score, ILearnedScore? learned, FlashBackwardData data, long* work) : IWide
    where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
{
    readonly AttentionSize s = s; readonly FlashView<TPattern> view = view; readonly TScore score = score; readonly ILearnedScore? learned = learned;
    readonly FlashBackwardData data = data; readonly long* work = work;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);
    static bool IsPlain => typeof(TScore) == typeof(Plain);
    const int Window = FlashView<TPattern>.Window, Stride = Window + 16, Rows = 96;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        if (view.Lines(s.Keys) is { } lines) { new LinesBackward<TScore, TWeights>(s, lines, score, learned, data, work).Run<TLanes, V>(); return; }
        if (view.Narrow(s.Keys) is > 0 and int widest) { new RangesBackward<TScore, TPattern, TWeights>(s, view, widest, score, learned, data, work).Run<TLanes, V>(); return; }
        int heads = s.Batch * s.KvHeads; long rows = (long)s.Batch * s.Heads * s.Queries;
        // Learned scores are promised one thread per head.
        int wanted = learned is not null ? 1 : Math.Clamp(32 / heads, 1, Math.Max(1, s.Keys / 512));
        int range = Math.Max(Window, (s.Keys / wanted + Window - 1) / Window * Window), ranges = Math.Max(1, (s.Keys + range - 1) / range);
        using var scratch = Scratch.Open();
        // A part of dQ per range, and for each of its rows whether the range has anything to do with it.
        Real* parts = ranges > 1 ? scratch.Take(ranges * rows * s.Dim) : null; int* used = ranges > 1 ? scratch.TakeInts(ranges * rows) : null;
        Threads.For(heads * ranges, 1, new Tasks<TLanes, V>(this, parts, used, range, ranges));
        if (ranges > 1) Threads.For(checked((int)rows), (int)Math.Clamp((1 << 14) / ((long)ranges * s.Dim), 1, rows), new Join<TLanes, V>(this, parts, used, rows, ranges));
    }

    readonly struct Join<TLanes, V>(FlashBackward<TScore, TPattern, TWeights> f, Real* parts, int* used, long rows, int ranges) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (int r = from; r < to; r++)
                for (int x = 0; x < ranges; x++)
                    if (used[x * rows + r] != 0) RowProduct.Plus<TLanes, V>(f.data.DQ + (long)r * f.s.Dim, f.s.Scale, parts + (x * rows + r) * f.s.Dim, f.s.Dim);
        }
    }

    readonly struct Tasks<TLanes, V>(FlashBackward<TScore, TPattern, TWeights> f, Real* parts, int* used, int range, int ranges) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Tall => Micro.Rows<V>();
        static int Wide => 2 * TLanes.Count;

        public void Run(int from, int to)
        {
            long done = 0;
            for (int x = from; x < to; x++)
            {
                using var scratch = Scratch.Open();
                var t = new FlashBackwardMemory<TLanes, V>(scratch, f.s, f.data, x / ranges, x % ranges * range, Math.Min(f.s.Keys, (x % ranges + 1) * range), Rows, Stride);
                done += Task(t, x % ranges);
                t.Close(f.s, f.data);
            }
            Interlocked.Add(ref *f.work, done * (f.s.Dim + f.s.ValueDim) * 5 / 2);
        }

        long Task(in FlashBackwardMemory<TLanes, V> t, int part)
        {
            var s = f.s; long done = 0;
            for (int h = 0; h < s.Group; h++)
            {
                int head = t.Kv * s.Group + h;
                for (int first = 0, last; first < s.Queries; first = last)
                {
                    last = f.view.SameList(first, Math.Min(s.Queries, first + Rows));
                    long row = (long)head * s.Queries + first, place = (long)part * s.Batch * s.Heads * s.Queries + row; int n = last - first; bool open = false;
                    var windows = f.view.Named(head, first, t.Low, t.High);
                    while (windows.Next(out int from, out int to))
                    {
                        var cover = f.view.Tile(first, last, from, to);
                        if (cover == Cover.None) continue;
                        if (!open) t.Open(s, f.data, row, n);
                        open = true;
                        done += cover == Cover.All ? Whole(t, head, first, last, from, to) : Parts(t, head, first, last, from, to);
                    }
                    if (parts is not null) new Span<int>(used + place, n).Fill(open ? 1 : 0);
                    for (int r = 0; r < n && open; r++)
                        if (parts is null) RowProduct.Plus<TLanes, V>(f.data.DQ + (row + r) * s.Dim, s.Scale, t.DQ + (nint)r * t.D, s.Dim);
                        else new Span<Real>(t.DQ + (nint)r * t.D, s.Dim).CopyTo(new(parts + (place + r) * s.Dim, s.Dim));
                }
            }
            return done;
        }

        // A block of queries against those tiles of [from, to), which lies in one window, that groups of them see.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Parts(in FlashBackwardMemory<TLanes, V> t, int head, int first, int last, int from, int to)
        {
            int start = from / Window * Window, tiles = (to - 1) / Wide - from / Wide + 1; long done = 0;
            // What each group of rows sees of each tile; where it sees nothing, P and dS are zeros, as far as the products below go.
            Cover* covers = stackalloc Cover[(Rows / Tall + 1) * tiles], c = covers;
            for (int g = first; g < last; g += Tall, c += tiles)
            {
                int height = Math.Min(Tall, last - g), at = from;
                f.view.Tiles(g, g + height, from, to, Wide, c);
                var run = new TileRun(from, to, Wide);
                for (; run.Next(c); at = run.To)
                {
                    t.Clear(g - first, height, at - start, run.From - start, Stride);
                    Products(t, g - first, height, run.From, run.To, start); done += Weights(t, head, first, g, height, run, c, start);
                }
                t.Clear(g - first, height, at - start, to - start, Stride);
            }
            for (int j = from; j < to; j += Tall)
            {
                int keys = Math.Min(Tall, to - j), low = j / Wide - from / Wide, high = (j + keys - 1) / Wide - from / Wide, r0 = -1, r1 = 0;
                c = covers;
                for (int g = first; g < last; g += Tall, c += tiles) if (new Span<Cover>(c + low, high - low + 1).ContainsAnyExcept(Cover.None)) { if (r0 < 0) r0 = g - first; r1 = Math.Min(g + Tall, last) - first; }
                if (r0 < 0) continue;
                Real* p = t.P + r0 * Stride + j - start, d = t.G + r0 * Stride + j - start;
                Micro.Across<TLanes, V>(p, 1, Stride, keys, t.GradientPanel(0, r0), Wide, t.QueryStep, t.DV + (nint)(j - t.Low) * t.E, t.E, t.E / Wide, r1 - r0, true);
                Micro.Across<TLanes, V>(d, 1, Stride, keys, t.QueryPanel(0, r0), Wide, t.QueryStep, t.DK + (nint)(j - t.Low) * t.D, t.D, t.D / Wide, r1 - r0, true);
            }
            c = covers;
            for (int g = first; g < last; g += Tall, c += tiles)
                for (var run = new TileRun(from, to, Wide); run.Next(c);)
                    Micro.Across<TLanes, V>(t.G + (g - first) * Stride + run.From - start, Stride, 1, Math.Min(Tall, last - g), t.K(0, run.From), Wide, t.KStep, t.DQ + (nint)(g - first) * t.D, t.D, t.D / Wide, run.To - run.From, true);
            return done;
        }

        // The same where every query of the block sees every key: all rows in one sweep over each tile and panel.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Whole(in FlashBackwardMemory<TLanes, V> t, int head, int first, int last, int from, int to)
        {
            int n = last - first, start = from / Window * Window, keys = to - from;
            Products(t, 0, n, from, to, start);
            long done = Weights(t, head, first, first, n, TileRun.All(from, to, Wide), null, start);
            Real* p = t.P + from - start, d = t.G + from - start;
            for (int c = 0; c < t.E; c += Wide) Micro.Column<TLanes, V>(p, 1, Stride, keys, t.GradientPanel(c, 0), Wide, t.DV + (nint)(from - t.Low) * t.E + c, t.E, n, true);
            for (int c = 0; c < t.D; c += Wide) Micro.Column<TLanes, V>(d, 1, Stride, keys, t.QueryPanel(c, 0), Wide, t.DK + (nint)(from - t.Low) * t.D + c, t.D, n, true);
            for (int c = 0; c < t.D; c += Wide) Micro.Column<TLanes, V>(d, Stride, 1, n, t.K(c, from), Wide, t.DQ + c, t.D, keys, true);
            return done;
        }

        // Raw scores and dP of rows [row, row + height) of the block and keys [from, to); column 0 of both is key start.
        void Products(in FlashBackwardMemory<TLanes, V> t, int row, int height, int from, int to, int start)
        {
            var s = f.s; int origin = from / Wide * Wide, end = (to + Wide - 1) / Wide * Wide;
            Real* q = t.Q + (nint)row * t.D, grad = t.DO + (nint)row * t.E, p = t.P + (nint)row * Stride - start, g = t.G + (nint)row * Stride - start;
            if (height <= Tall)
            {
                Micro.Across<TLanes, V>(q, t.D, 1, height, t.KT + (nint)(origin - t.Low) * s.Dim, Wide, (nint)Wide * s.Dim, p + origin, Stride, (end - origin) / Wide, s.Dim, false);
                Micro.Across<TLanes, V>(grad, t.E, 1, height, t.VT + (nint)(origin - t.Low) * s.ValueDim, Wide, (nint)Wide * s.ValueDim, g + origin, Stride, (end - origin) / Wide, s.ValueDim, false);
                return;
            }
            // A tile of keys stays in L1 while all rows pass over it.
            for (int j = origin; j < end; j += Wide) Micro.Column<TLanes, V>(q, t.D, 1, height, t.KT + (nint)(j - t.Low) * s.Dim, Wide, p + j, Stride, s.Dim, false);
            for (int j = origin; j < end; j += Wide) Micro.Column<TLanes, V>(grad, t.E, 1, height, t.VT + (nint)(j - t.Low) * s.ValueDim, Wide, g + j, Stride, s.ValueDim, false);
        }

        // They become P and dS, for rows [g, g + height).
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        int Weights(in FlashBackwardMemory<TLanes, V> t, int head, int first, int g, int height, in TileRun run, Cover* covers, int start)
        {
            var s = f.s; int origin = run.Origin, places = run.Places;
            Real* p = t.P + (nint)(g - first) * Stride + origin - start, d = t.G + (nint)(g - first) * Stride + origin - start;
            bool gaps = !IsPlain && f.view.Gaps(run.From, run.To), whole = IsPlain && !run.Mixed && run.Whole;
            if (covers is not null) covers += run.First;
            long row = (long)head * s.Queries + g; int batch = head / s.Heads, h = head % s.Heads;
            for (int r = 0; r < height; r++, row++, p += Stride, d += Stride)
            {
                if (Soft && Real.IsNegativeInfinity(f.data.Lse[row])) { new Span<Real>(p, places).Clear(); new Span<Real>(d, places).Clear(); continue; }
                int runs = 0, i = f.view.At(g + r);
                if (!IsPlain) new Span<Real>(p, places).CopyTo(new(t.Raw, places));
                if (!whole) runs = f.view.Logits(p, g + r, run, covers, Wide, f.score, h, gaps, t.Runs);
                if (Soft)
                {
                    Real delta = RowProduct.Dot<TLanes, V>(f.data.DO + row * s.ValueDim, f.data.O + row * s.ValueDim, s.ValueDim) - (f.data.DLse is null ? 0 : f.data.DLse[row]);
                    FlashRows.Recompute<TLanes, V>(p, d, places, f.data.Lse[row], delta);
                }
                else
                {
                    TWeights.Weights(new(p, places));
                    TWeights.Slope(new(p, places), new(d, places));
                }
                if (whole) continue;
                FlashView<TPattern>.Outside(p, origin, places, t.Runs, runs, 0); FlashView<TPattern>.Outside(d, origin, places, t.Runs, runs, 0);
                f.view.Hide(d, i, run, 0);
                for (int u = 0; u < runs && !IsPlain; u++)
                {
                    int at = t.Runs[2 * u] - origin, n = t.Runs[2 * u + 1] - t.Runs[2 * u], key = f.view.KeyAt(t.Runs[2 * u]);
                    f.learned?.GradRow(new(t.Raw + at, n), new(d + at, n), batch, h, i, key);
                    f.score.SlopeRow(new(t.Raw + at, n), new(d + at, n), h, i, key);
                }
            }
            return height * places;
        }
    }
}
