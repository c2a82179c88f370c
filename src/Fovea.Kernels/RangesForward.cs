using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Attention where each query sees few keys, which stand side by side (<see cref="IRangePattern"/>): sliding windows. A task is some hundred queries of all heads that share their keys: these are turned into tiles once,
/// which stay in the second cache. What a block of queries sees is one step of the online softmax, as far as there is room; a tile of keys stays in the first cache while the groups of queries that see any of it pass
/// over it, and weights are multiplied with the values from the first key to the last that their group sees, wherever tiles begin.
/// </summary>
readonly unsafe struct RangesForward<TScore, TPattern, TWeights>(AttentionSize s, FlashView<TPattern> view, int widest, TScore score, Real* q, Real* k, Real* v, Real* o, Real* lse, long* work) : IWide
    where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
{
    readonly AttentionSize s = s; readonly FlashView<TPattern> view = view; readonly TScore score = score; readonly int widest = widest;
    readonly Real* q = q, k = k, v = v, o = o, lse = lse; readonly long* work = work;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);
    /// <summary>Queries of a block, and places of one step at most.</summary>
    const int Rows = 36, Window = 2048;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, heads = s.Batch * s.KvHeads, padded = (s.ValueDim + wide - 1) / wide * wide;
        // Keys are packed for this many queries and what they see besides: some times as much as one of them does, or less where there would be too few tasks for all threads.
        int rows = (int)Math.Clamp(Math.Min(4L * widest, (long)s.Queries * heads / (4 * Threads.Max)) / Rows, 4, 28) * Rows, tasks = (s.Queries + rows - 1) / rows;
        Threads.For(checked(tasks * heads), 1, new Tasks<TLanes, V>(this, padded, rows, tasks));
    }

    readonly struct Tasks<TLanes, V>(RangesForward<TScore, TPattern, TWeights> f, int padded, int rows, int tasks) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Wide => 2 * TLanes.Count;

        /// <summary>The temporary memory of a block: scaled queries, results that are not yet divided, running maxima and sums, scores; what each row and each group sees.</summary>
        readonly struct Memory
        {
            public readonly Real* Q, Acc, Max, Sum, S; public readonly RangeGroups Ranges; public readonly int Places; public nint Stride => Places + 16;

            public Memory(Scratch scratch, in AttentionSize s, int widest, int padded)
            {
                Places = (Math.Min(Window, widest + Rows) + 2 * Wide) / Wide * Wide;
                Q = scratch.Take((long)Rows * s.Dim); Acc = scratch.Take((long)Rows * padded); Max = scratch.Take(Rows); Sum = scratch.Take(Rows); S = scratch.Take(Rows * Stride);
                Ranges = new(scratch, Rows);
            }
        }

        public void Run(int from, int to)
        {
            long done = 0; var s = f.s;
            for (int x = from; x < to; x++)
            {
                using var scratch = Scratch.Open();
                int kv = x / tasks, first = x % tasks * rows, last = Math.Min(s.Queries, first + rows); var (low, high) = f.view.Extent(first, last, s.Keys); var m = new Memory(scratch, s, f.widest, padded);
                int origin = low / Wide * Wide; Real* keys = scratch.Take((long)Math.Max(0, (high - origin + Wide - 1) / Wide) * Wide * s.Dim);
                for (int at = origin; at < high; at += Wide)
                {
                    LinesWindow.Ahead(f.k + ((long)kv * s.KeyRows + at + Wide) * s.Dim, s.Dim, Math.Clamp(s.Keys - at - Wide, 0, Wide));
                    Pack.Transposed(f.k + ((long)kv * s.KeyRows + at) * s.Dim, s.Dim, Math.Min(Wide, s.Keys - at), s.Dim, keys + (long)(at - origin) * s.Dim, Wide);
                }
                Real* values = f.v + (long)kv * s.KeyRows * s.ValueDim;
                if (padded != s.ValueDim)
                {
                    Real* wider = scratch.Take((long)Math.Max(0, high - origin) * padded);
                    for (int at = origin; at < high; at++) FlashRows.Scale<TLanes, V>(values + (long)at * s.ValueDim, 1, wider + (long)(at - origin) * padded, s.ValueDim, padded);
                    values = wider - (long)origin * padded;
                }
                for (int h = 0; h < s.Group; h++)
                    for (int row = first; row < last; row += Rows) done += Block(m, kv * s.Group + h, row, Math.Min(last, row + Rows), keys - (long)origin * s.Dim, values, high);
            }
            Interlocked.Add(ref *f.work, done);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Block(in Memory m, int head, int first, int last, Real* keys, Real* value, int ahead)
        {
            var s = f.s; int n = last - first, tall = Micro.Rows<V>(), groups = (n + tall - 1) / tall; var ranges = m.Ranges; long query = (long)head * s.Queries + first, done = 0; nint stride = m.Stride;
            FlashRows.Scale<TLanes, V>(f.q + query * s.Dim, s.Scale, m.Q, n * s.Dim, n * s.Dim);
            // What the next block will read, and where results will be written.
            LinesWindow.Ahead(f.o + query * s.ValueDim, s.ValueDim, n); LinesWindow.Ahead(f.q + (query + n) * s.Dim, s.Dim, Math.Min(Rows, s.Queries - last));
            new Span<Real>(m.Acc, n * padded).Clear(); new Span<Real>(m.Sum, n).Clear(); new Span<Real>(m.Max, n).Fill(Real.NegativeInfinity);
            var (from, to) = ranges.Open(f.view, first, n, s.Keys, tall);
            LinesWindow.Ahead(value + (nint)to * padded, padded, Math.Clamp(ahead - to, 0, Rows));
            for (int origin = from / Wide * Wide; origin < to; origin += m.Places)
            {
                int stop = Math.Min(origin + m.Places, (to + Wide - 1) / Wide * Wide);
                for (int x = origin; x < stop; x += Wide)
                {
                    if (!ranges.Seen(x, Wide, n, tall, out int row, out int rows)) continue;
                    Micro.Column<TLanes, V>(m.Q + (nint)row * s.Dim, s.Dim, 1, rows, keys + (nint)x * s.Dim, Wide, m.S + row * stride + x - origin, stride, s.Dim, false);
                    done += (long)rows * Wide * s.Dim;
                }
                for (int g = 0; g < groups; g++)
                {
                    int start = Math.Max(ranges.Begin[g], origin) / Wide * Wide, width = (Math.Min(ranges.End[g], stop) + Wide - 1) / Wide * Wide - start;
                    for (int r = g * tall; r < Math.Min(n, (g + 1) * tall) && width > 0; r++) Weights(m, m.S + r * stride + start - origin, head, first + r, r, start, width);
                }
                for (int c = 0; c < padded; c += Wide)
                    for (int g = 0; g < groups; g++)
                    {
                        int start = Math.Max(ranges.Begin[g], origin), count = Math.Min(ranges.End[g], stop) - start, rows = Math.Min(tall, n - g * tall);
                        if (count <= 0) continue;
                        Micro.Column<TLanes, V>(m.S + g * tall * stride + start - origin, stride, 1, rows, value + (nint)start * padded + c, padded, m.Acc + (nint)g * tall * padded + c, padded, count, true);
                        done += (long)rows * Math.Min(Wide, s.ValueDim - c) * count;
                    }
            }
            for (int r = 0; r < n; r++)
            {
                Real* o = f.o + (query + r) * s.ValueDim;
                if (Soft) FlashRows.Finish<TLanes, V>(m.Acc + (nint)r * padded, m.Max[r], m.Sum[r], o, s.ValueDim, f.lse + query + r);
                else new Span<Real>(m.Acc + (nint)r * padded, s.ValueDim).CopyTo(new(o, s.ValueDim));
            }
            return done;
        }

        // Raw scores of one query for width keys from start on become weights, and what it has gathered so far is brought to their scale.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Weights(in Memory m, Real* row, int head, int query, int r, int start, int width)
        {
            int low = Math.Clamp(m.Ranges.Low[r] - start, 0, width), high = Math.Clamp(m.Ranges.High[r] - start, low, width); Real* acc = m.Acc + (nint)r * padded;
            if (low == high) { new Span<Real>(row, width).Clear(); return; }
            if (typeof(TScore) != typeof(Plain)) f.score.Row(new(row + low, high - low), head % f.s.Heads, f.view.At(query), start + low);
            new Span<Real>(row, low).Fill(Real.NegativeInfinity); new Span<Real>(row + high, width - high).Fill(Real.NegativeInfinity);
            if (!Soft) { TWeights.Weights(new(row, width)); return; }
            bool fresh = Real.IsNegativeInfinity(m.Max[r]); Real keep = FlashRows.Online<TLanes, V>(row, width, ref m.Max[r], ref m.Sum[r]);
            if (!fresh && keep != 1) FlashRows.Scale<TLanes, V>(acc, keep, acc, padded, padded);
        }
    }
}
