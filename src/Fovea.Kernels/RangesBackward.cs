using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Gradients of <see cref="RangesForward{TScore, TPattern, TWeights}"/> with recomputed weights. A task is a key head and some hundred queries, whose dQ it alone writes; for each block of them and the tiles of keys that it
/// sees: S = QKᵀ and dP = dO·Vᵀ, from them P and dS row by row, then dV += PᵀdO, dK += dSᵀQ, dQ += dS·K. Each task has its own dK and dV for the keys that it sees, and these are added up in order.
/// </summary>
readonly unsafe struct RangesBackward<TScore, TPattern, TWeights>(AttentionSize s, FlashView<TPattern> view, int widest, TScore score, ILearnedScore? learned, FlashBackwardData data, long* work) : IWide
    where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
{
    readonly AttentionSize s = s; readonly FlashView<TPattern> view = view; readonly int widest = widest; readonly TScore score = score; readonly ILearnedScore? learned = learned;
    readonly FlashBackwardData data = data; readonly long* work = work;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);
    static bool IsPlain => typeof(TScore) == typeof(Plain);
    /// <summary>Queries of a block, places of keys that are taken at a time, and keys whose gradients are added up at a time.</summary>
    const int Rows = 72, Window = 384, Joined = 64;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, heads = s.Batch * s.KvHeads, d = (s.Dim + wide - 1) / wide * wide, e = (s.ValueDim + wide - 1) / wide * wide;
        // Learned scores are promised one thread per head. Otherwise sixteen tasks or more, where they do not become much shorter than what a query sees; not as many as there are threads, on which sums must not depend.
        int rows = learned is not null ? s.Queries : (int)Math.Clamp(Math.Max(widest / 2, Math.Min(4L * widest, (long)s.Queries * heads / 16)) / Rows, 2, 14) * Rows, tasks = (s.Queries + rows - 1) / rows;
        using var scratch = Scratch.Open();
        Part* parts = (Part*)scratch.TakeInts((long)(tasks + 1) * sizeof(Part) / sizeof(int)); long all = 0;
        for (int x = 0; x < tasks; x++)
        {
            var (low, high) = view.Extent(x * rows, Math.Min(s.Queries, (x + 1) * rows), s.Keys);
            parts[x] = new(all, low / wide * wide, high); all += parts[x].Keys;
        }
        Real* dk = scratch.Take(heads * all * d), dv = scratch.Take(heads * all * e); int blocks = (s.Keys + Joined - 1) / Joined;
        Threads.For(checked(heads * tasks), 1, new Tasks<TLanes, V>(this, d, e, rows, tasks, parts, all, dk, dv));
        Threads.For(checked(heads * blocks), 1, new Join<TLanes, V>(this, d, e, tasks, blocks, parts, all, dk, dv));
    }

    /// <summary>The keys [Low, High) that a task sees, from the first of a tile on. Their gradients begin with row Start.</summary>
    readonly record struct Part(long Start, int Low, int High) { public int Keys => High - Low; }

    readonly struct Join<TLanes, V>(RangesBackward<TScore, TPattern, TWeights> f, int d, int e, int tasks, int blocks, Part* parts, long all, Real* dk, Real* dv) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s;
            for (int x = from; x < to; x++)
            {
                int head = x / blocks, first = x % blocks * Joined, last = Math.Min(s.Keys, first + Joined);
                for (int t = 0; t < tasks; t++)
                    for (int j = Math.Max(first, parts[t].Low); j < Math.Min(last, parts[t].High); j++)
                    {
                        long row = head * all + parts[t].Start + j - parts[t].Low, key = (long)head * s.KeyRows + j;
                        RowProduct.Plus<TLanes, V>(f.data.DK + key * s.Dim, 1, dk + row * d, s.Dim); RowProduct.Plus<TLanes, V>(f.data.DV + key * s.ValueDim, 1, dv + row * e, s.ValueDim);
                    }
            }
        }
    }

    readonly struct Tasks<TLanes, V>(RangesBackward<TScore, TPattern, TWeights> f, int d, int e, int rows, int tasks, Part* parts, long all, Real* dk, Real* dv) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Tall => Micro.Rows<V>();
        static int Wide => 2 * TLanes.Count;

        /// <summary>The temporary memory of a block: queries and dO as rows and in panels, dQ, what is known of each row; P and dS of one window; what each row and each group sees.</summary>
        readonly struct Memory
        {
            public readonly int Places; public readonly nint Stride; public readonly RangeGroups Ranges;
            public readonly Real* Q, QP, DQ, DO, DOP, Delta, Lse, P, G, Raw;

            public Memory(Scratch scratch, int widest, int d, int e)
            {
                Places = (Math.Min(Window, widest + Rows) + 2 * Wide) / Wide * Wide; Stride = Places + 16;
                Q = scratch.Take(Rows * d); QP = scratch.Take(Rows * d); DQ = scratch.Take(Rows * d); DO = scratch.Take(Rows * e); DOP = scratch.Take(Rows * e); Delta = scratch.Take(Rows); Lse = scratch.Take(Rows);
                P = scratch.Take(Rows * Stride); G = scratch.Take(Rows * Stride); Raw = scratch.Take(Places); Ranges = new(scratch, Rows);
            }
        }

        /// <summary>The keys and values of a task: both in tiles, and keys in rows of whole tiles, counted from key 0.</summary>
        readonly struct Packed
        {
            public readonly Real* KT, VT, K;

            public Packed(Scratch scratch, in AttentionSize s, in FlashBackwardData data, int kv, in Part part, int d)
            {
                int low = part.Low; long first = (long)kv * s.KeyRows, keys = (part.Keys + Wide - 1) / Wide * Wide; Real* kt = scratch.Take(keys * s.Dim), vt = scratch.Take(keys * s.ValueDim);
                for (int at = low; at < part.High; at += Wide)
                {
                    Pack.Transposed(data.K + (first + at) * s.Dim, s.Dim, Math.Min(Wide, s.Keys - at), s.Dim, kt + (long)(at - low) * s.Dim, Wide);
                    Pack.Transposed(data.V + (first + at) * s.ValueDim, s.ValueDim, Math.Min(Wide, s.Keys - at), s.ValueDim, vt + (long)(at - low) * s.ValueDim, Wide);
                }
                KT = kt - (long)low * s.Dim; VT = vt - (long)low * s.ValueDim; K = data.K + first * s.Dim;
                if (d == s.Dim) return;
                Real* wider = scratch.Take((long)part.Keys * d);
                for (int at = low; at < part.High; at++) FlashRows.Scale<TLanes, V>(K + (long)at * s.Dim, 1, wider + (long)(at - low) * d, s.Dim, d);
                K = wider - (long)low * d;
            }
        }

        public void Run(int from, int to)
        {
            long done = 0; var s = f.s;
            for (int x = from; x < to; x++)
            {
                using var scratch = Scratch.Open();
                int kv = x / tasks, task = x % tasks, first = task * rows, last = Math.Min(s.Queries, first + rows); var part = parts[task]; Real* dK = dk + (kv * all + part.Start) * d, dV = dv + (kv * all + part.Start) * e;
                for (long j = 0; j < part.Keys; j++) { new Span<Real>(dK + j * d, d).Clear(); new Span<Real>(dV + j * e, e).Clear(); }
                if (part.Keys == 0) continue;
                var m = new Memory(scratch, f.widest, d, e); var packed = new Packed(scratch, s, f.data, kv, part, d);
                for (int h = 0; h < s.Group; h++)
                    for (int row = first; row < last; row += Rows) done += Block(m, packed, kv * s.Group + h, row, Math.Min(last, row + Rows), dK - (long)part.Low * d, dV - (long)part.Low * e);
            }
            Interlocked.Add(ref *f.work, done);
        }

        // Its queries; → the keys [from, to) that any of them sees.
        (int From, int To) Open(in Memory m, int head, int first, int n)
        {
            var s = f.s;
            for (int r = 0; r < n; r++)
            {
                long row = (long)head * s.Queries + first + r; Real* grad = f.data.DO + row * s.ValueDim;
                FlashRows.Scale<TLanes, V>(f.data.Q + row * s.Dim, s.Scale, m.Q + (nint)r * d, s.Dim, d); FlashRows.Scale<TLanes, V>(grad, 1, m.DO + (nint)r * e, s.ValueDim, e);
                if (!Soft) continue;
                m.Lse[r] = f.data.Lse[row];
                m.Delta[r] = RowProduct.Dot<TLanes, V>(grad, f.data.O + row * s.ValueDim, s.ValueDim) - (f.data.DLse is null ? 0 : f.data.DLse[row]);
            }
            Pack.Panels<TLanes, V>(m.Q, d, d, n, m.QP, n); Pack.Panels<TLanes, V>(m.DO, e, e, n, m.DOP, n);
            new Span<Real>(m.DQ, n * d).Clear();
            return m.Ranges.Open(f.view, first, n, s.Keys, Tall);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Block(in Memory m, in Packed packed, int head, int first, int last, Real* dk, Real* dv)
        {
            var s = f.s; int n = last - first, groups = (n + Tall - 1) / Tall; nint stride = m.Stride; long done = 0; var (from, to) = Open(m, head, first, n);
            for (int origin = from / Wide * Wide; origin < to; origin += m.Places)
            {
                int stop = Math.Min(origin + m.Places, (to + Wide - 1) / Wide * Wide);
                for (int x = origin; x < stop; x += Wide)
                {
                    if (!m.Ranges.Seen(x, Wide, n, Tall, out int row, out int count)) continue;
                    nint at = row * stride + x - origin;
                    Micro.Column<TLanes, V>(m.Q + (nint)row * d, d, 1, count, packed.KT + (nint)x * s.Dim, Wide, m.P + at, stride, s.Dim, false);
                    Micro.Column<TLanes, V>(m.DO + (nint)row * e, e, 1, count, packed.VT + (nint)x * s.ValueDim, Wide, m.G + at, stride, s.ValueDim, false);
                    done += (long)count * Wide * (s.Dim + s.ValueDim);
                }
                for (int r = 0; r < n; r++) Weights(m, head, first + r, r, origin, stop - origin);
                for (int x = origin; x < stop; x += Wide)
                {
                    if (!m.Ranges.Seen(x, Wide, n, Tall, out int row, out int count)) continue;
                    int key = Math.Max(x, from), keys = Math.Min(x + Wide, to) - key; nint at = row * stride + key - origin;
                    for (int c = 0; c < e; c += Wide) Micro.Column<TLanes, V>(m.P + at, 1, stride, keys, m.DOP + (nint)c * n + (nint)row * Wide, Wide, dv + (nint)key * e + c, e, count, true);
                    for (int c = 0; c < d; c += Wide) Micro.Column<TLanes, V>(m.G + at, 1, stride, keys, m.QP + (nint)c * n + (nint)row * Wide, Wide, dk + (nint)key * d + c, d, count, true);
                    done += (long)count * keys * (s.Dim + s.ValueDim);
                }
                for (int c = 0; c < d; c += Wide)
                    for (int g = 0; g < groups; g++)
                    {
                        int start = Math.Max(m.Ranges.Begin[g], origin), count = Math.Min(m.Ranges.End[g], stop) - start, height = Math.Min(Tall, n - g * Tall);
                        if (count <= 0) continue;
                        Micro.Column<TLanes, V>(m.G + g * Tall * stride + start - origin, stride, 1, height, packed.K + (nint)start * d + c, d, m.DQ + (nint)g * Tall * d + c, d, count, true);
                        done += (long)height * count * Math.Min(Wide, s.Dim - c);
                    }
            }
            for (int r = 0; r < n; r++) RowProduct.Plus<TLanes, V>(f.data.DQ + ((long)head * s.Queries + first + r) * s.Dim, s.Scale, m.DQ + (nint)r * d, s.Dim);
            return done;
        }

        // Raw scores and dP of one query for width keys from origin on become P and dS, zeros where it sees nothing.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Weights(in Memory m, int head, int query, int r, int origin, int width)
        {
            int low = Math.Clamp(m.Ranges.Low[r] - origin, 0, width), high = Math.Clamp(m.Ranges.High[r] - origin, low, width), lanes = TLanes.Count; Real* p = m.P + r * m.Stride, g = m.G + r * m.Stride;
            if (low == high || Soft && Real.IsNegativeInfinity(m.Lse[r])) { new Span<Real>(p, width).Clear(); new Span<Real>(g, width).Clear(); return; }
            int start = low / lanes * lanes, end = (high + lanes - 1) / lanes * lanes, all = end - start, h = head % f.s.Heads, token = f.view.At(query);
            if (!IsPlain) { new Span<Real>(p + low, high - low).CopyTo(new(m.Raw, high - low)); f.score.Row(new(p + low, high - low), h, token, origin + low); }
            if (Soft) FlashRows.Recompute<TLanes, V>(p + start, g + start, all, m.Lse[r], m.Delta[r]);
            else
            {
                new Span<Real>(p + start, low - start).Fill(Real.NegativeInfinity); new Span<Real>(p + high, end - high).Fill(Real.NegativeInfinity);
                TWeights.Weights(new(p + start, all)); TWeights.Slope(new(p + start, all), new(g + start, all));
            }
            new Span<Real>(p, low).Clear(); new Span<Real>(g, low).Clear(); new Span<Real>(p + high, width - high).Clear(); new Span<Real>(g + high, width - high).Clear();
            if (IsPlain) return;
            f.learned?.GradRow(new(m.Raw, high - low), new(g + low, high - low), head / f.s.Heads, h, token, origin + low);
            f.score.SlopeRow(new(m.Raw, high - low), new(g + low, high - low), h, token, origin + low);
        }
    }
}
