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
    const int Window = FlashView<TPattern>.Window, Stride = Window + 16, Rows = 96, Groups = Rows;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int heads = s.Batch * s.KvHeads; long rows = (long)s.Batch * s.Heads * s.Queries;
        // Learned scores are promised one thread per head.
        int wanted = learned is not null ? 1 : Math.Clamp(32 / heads, 1, Math.Max(1, s.Keys / 512));
        int range = Math.Max(Window, (s.Keys / wanted + Window - 1) / Window * Window), ranges = Math.Max(1, (s.Keys + range - 1) / range);
        using var scratch = Scratch.Open();
        Real* parts = ranges > 1 ? scratch.Take(ranges * rows * s.Dim) : null;
        Threads.For(heads * ranges, 1, new Tasks<TLanes, V>(this, parts, range, ranges));
        if (ranges > 1) Threads.For(checked((int)rows), (int)Math.Clamp((1 << 14) / ((long)ranges * s.Dim), 1, rows), new Join<TLanes, V>(this, parts, rows, ranges));
    }

    readonly struct Join<TLanes, V>(FlashBackward<TScore, TPattern, TWeights> f, Real* parts, long rows, int ranges) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (int x = 0; x < ranges; x++)
                RowProduct.Plus<TLanes, V>(f.data.DQ + (long)from * f.s.Dim, f.s.Scale, parts + (x * rows + from) * f.s.Dim, (to - from) * f.s.Dim);
        }
    }

    readonly struct Tasks<TLanes, V>(FlashBackward<TScore, TPattern, TWeights> f, Real* parts, int range, int ranges) : IRows where TLanes : struct, ILanes<V> where V : struct
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
                    long row = (long)head * s.Queries + first; int n = last - first;
                    t.Open(s, f.data, row, n);
                    var windows = f.view.Named(head, first, t.Low, t.High);
                    while (windows.Next(out int from, out int to)) done += Step(t, head, first, last, from, to);
                    for (int r = 0; r < n; r++)
                        if (parts is null) RowProduct.Plus<TLanes, V>(f.data.DQ + (row + r) * s.Dim, s.Scale, t.DQ + (nint)r * t.D, s.Dim);
                        else new Span<Real>(t.DQ + (nint)r * t.D, s.Dim).CopyTo(new(parts + ((long)part * s.Batch * s.Heads * s.Queries + row + r) * s.Dim, s.Dim));
                }
            }
            return done;
        }

        // A block of queries against the keys [from, to) of one window.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Step(in FlashBackwardMemory<TLanes, V> t, int head, int first, int last, int from, int to)
        {
            var cover = f.view.Tile(first, last, from, to);
            if (cover == Cover.None) return 0;
            if (cover == Cover.All) return Whole(t, head, first, last, from, to);
            int* low = stackalloc int[Groups], high = stackalloc int[Groups]; bool* mixed = stackalloc bool[Window / 2 + 1];
            int start = from / Window * Window; long done = 0;
            for (int g = first, x = 0; g < last; g += Tall, x++)
            {
                int height = Math.Min(Tall, last - g); bool any = false;
                low[x] = high[x] = to;
                for (int at = from, end; at < to; at = end)
                {
                    end = Math.Min(to, (at / Wide + 1) * Wide);
                    var c = f.view.Tile(g, g + height, at, end);
                    if (c != Cover.None) { if (low[x] == to) low[x] = at; high[x] = end; }
                    if (low[x] < to) mixed[at / Wide - low[x] / Wide] = c != Cover.All;
                }
                if (low[x] == to) high[x] = to;
                for (int i = low[x] / Wide; i * Wide < high[x]; i++) any |= mixed[i - low[x] / Wide];
                for (int r = g - first; r < g - first + height; r++)
                {
                    t.Clear(t.P + r * Stride, from - start, low[x] - start, high[x] - start, to - start);
                    t.Clear(t.G + r * Stride, from - start, low[x] - start, high[x] - start, to - start);
                }
                if (low[x] == high[x]) continue;
                Products(t, g - first, height, low[x], high[x], start); done += Weights(t, head, first, g, height, low[x], high[x], start, any ? mixed : null);
            }
            for (int j = from; j < to; j += Tall)
            {
                int keys = Math.Min(Tall, to - j), r0 = -1, r1 = 0;
                for (int g = first, x = 0; g < last; g += Tall, x++) if (low[x] < j + keys && high[x] > j) { if (r0 < 0) r0 = g - first; r1 = Math.Min(g + Tall, last) - first; }
                if (r0 < 0) continue;
                Real* p = t.P + r0 * Stride + j - start, d = t.G + r0 * Stride + j - start;
                for (int c = 0; c < t.E; c += Wide) Micro.Tile<TLanes, V>(p, 1, Stride, keys, t.GradientPanel(c, r0), Wide, t.DV + (nint)(j - t.Low) * t.E + c, t.E, r1 - r0, true);
                for (int c = 0; c < t.D; c += Wide) Micro.Tile<TLanes, V>(d, 1, Stride, keys, t.QueryPanel(c, r0), Wide, t.DK + (nint)(j - t.Low) * t.D + c, t.D, r1 - r0, true);
            }
            for (int g = first, x = 0; g < last; g += Tall, x++)
                for (int c = 0; c < t.D && low[x] < high[x]; c += Wide)
                    Micro.Tile<TLanes, V>(t.G + (g - first) * Stride + low[x] - start, Stride, 1, Math.Min(Tall, last - g), t.K(c, low[x]), Wide, t.DQ + (nint)(g - first) * t.D + c, t.D, high[x] - low[x], true);
            return done;
        }

        // The same where every query of the block sees every key: all rows in one sweep over each tile and panel.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Whole(in FlashBackwardMemory<TLanes, V> t, int head, int first, int last, int from, int to)
        {
            int n = last - first, start = from / Window * Window, keys = to - from;
            Products(t, 0, n, from, to, start);
            long done = Weights(t, head, first, first, n, from, to, start, null);
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
            for (int j = origin; j < end; j += Wide) Micro.Column<TLanes, V>(t.Q + (nint)row * t.D, t.D, 1, height, t.KT + (nint)(j - t.Low) * s.Dim, Wide, t.P + (nint)row * Stride + j - start, Stride, s.Dim, false);
            for (int j = origin; j < end; j += Wide) Micro.Column<TLanes, V>(t.DO + (nint)row * t.E, t.E, 1, height, t.VT + (nint)(j - t.Low) * s.ValueDim, Wide, t.G + (nint)row * Stride + j - start, Stride, s.ValueDim, false);
        }

        // They become P and dS, for rows [g, g + height).
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        int Weights(in FlashBackwardMemory<TLanes, V> t, int head, int first, int g, int height, int from, int to, int start, bool* mixed)
        {
            var s = f.s; int origin = from / Wide * Wide, places = (to - origin + Wide - 1) / Wide * Wide;
            Real* p = t.P + (nint)(g - first) * Stride + origin - start, d = t.G + (nint)(g - first) * Stride + origin - start;
            bool gaps = !IsPlain && f.view.Gaps(from, to), whole = IsPlain && mixed is null && places == to - origin && origin == from;
            long row = (long)head * s.Queries + g; int batch = head / s.Heads, h = head % s.Heads;
            for (int r = 0; r < height; r++, row++, p += Stride, d += Stride)
            {
                if (Soft && Real.IsNegativeInfinity(f.data.Lse[row])) { new Span<Real>(p, places).Clear(); new Span<Real>(d, places).Clear(); continue; }
                int runs = 0, i = f.view.At(g + r);
                if (!whole)
                {
                    runs = f.view.Runs(g + r, from, to, mixed, Wide, gaps, t.Runs);
                    if (!IsPlain) new Span<Real>(p, places).CopyTo(new(t.Raw, places));
                    if (!IsPlain) for (int u = 0; u < runs; u++) f.score.Row(new(p + t.Runs[2 * u] - origin, t.Runs[2 * u + 1] - t.Runs[2 * u]), h, i, f.view.KeyAt(t.Runs[2 * u]));
                    FlashView<TPattern>.Outside(p, origin, places, t.Runs, runs, Real.NegativeInfinity);
                }
                if (Soft)
                {
                    Real delta = RowProduct.Dot<TLanes, V>(f.data.DO + row * s.ValueDim, f.data.O + row * s.ValueDim, s.ValueDim) - (f.data.DLse is null ? 0 : f.data.DLse[row]);
                    FlashRows.Recompute<TLanes, V>(p, d, places, f.data.Lse[row], delta);
                }
                else
                {
                    TWeights.Weights(new(p + from - origin, to - from));
                    TWeights.Slope(new(p + from - origin, to - from), new(d + from - origin, to - from));
                }
                if (whole) continue;
                FlashView<TPattern>.Outside(p, origin, places, t.Runs, runs, 0); FlashView<TPattern>.Outside(d, origin, places, t.Runs, runs, 0);
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
