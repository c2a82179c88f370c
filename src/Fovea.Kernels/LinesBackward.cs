using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Gradients of <see cref="LinesForward{TScore, TWeights}"/> with recomputed weights. A task is a key head and a range of the blocks of queries, whose dQ it alone writes; for each block and line of keys: S = QKᵀ and
/// dP = dO·Vᵀ, from them P and dS row by row, then dV += PᵀdO, dK += dSᵀQ, dQ += dS·K. Each range has its own dK and dV over the lines that it sees, and these are added up in order.
/// </summary>
readonly unsafe struct LinesBackward<TScore, TWeights>(AttentionSize s, GridLines grid, TScore score, ILearnedScore? learned, FlashBackwardData data, long* work) : IWide
    where TScore : struct, IScore where TWeights : struct, INormaliser
{
    readonly AttentionSize s = s; readonly GridLines grid = grid; readonly TScore score = score; readonly ILearnedScore? learned = learned; readonly FlashBackwardData data = data; readonly long* work = work;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);
    static bool IsPlain => typeof(TScore) == typeof(Plain);

    /// <summary>Places of the keys that are taken at a time.</summary>
    const int Window = 128;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, heads = s.Batch * s.KvHeads, d = (s.Dim + wide - 1) / wide * wide, e = (s.ValueDim + wide - 1) / wide * wide; var plan = grid.For(TLanes.Count);
        using var scratch = Scratch.Open();
        // Learned scores are promised one thread per head.
        int ranges = learned is not null ? 1 : Math.Clamp(16 / heads, 1, Math.Min(8, plan.Groups.Length));
        // Lines of keys that each range sees, and where its gradients begin.
        Part* parts = (Part*)scratch.TakeInts((long)(ranges + 1) * sizeof(Part) / sizeof(int)); long all = 0;
        for (int x = 0; x < ranges; x++)
        {
            int low = grid.Lines, high = 0, left = grid.Length, right = 0;
            for (int at = plan.Groups[First(x, ranges, plan.Groups.Length)].First; at < plan.Groups[First(x + 1, ranges, plan.Groups.Length) - 1].Last; at++)
            {
                ref readonly var block = ref plan.Blocks[at];
                if (block.Seen > 0) (low, high, left, right) = (Math.Min(low, block.Key[0]), Math.Max(high, block.Key[block.Seen - 1] + 1), Math.Min(left, block.Origin), Math.Max(right, block.Origin + block.Width));
            }
            parts[x] = new(all, low, high, left, Math.Max(0, right - left)); all += parts[x].Size;
        }
        Real* dk = scratch.Take(heads * all * d), dv = scratch.Take(heads * all * e), keys = LinesWindow.Wider<TLanes, V>(scratch, data.K, heads * s.KeyRows, s.Dim, d);
        Threads.For(heads * ranges, 1, new Tasks<TLanes, V>(this, d, e, plan, keys, ranges, parts, all, dk, dv));
        Threads.For(heads * grid.Lines, 1, new Join<TLanes, V>(this, d, e, ranges, parts, all, dk, dv));
    }

    /// <summary>The keys that a range of groups of blocks sees: Width columns from Left on of lines [Low, High). Their gradients begin with row Start.</summary>
    readonly record struct Part(long Start, int Low, int High, int Left, int Width)
    {
        public long Size => Math.Max(0, High - Low) * (long)Width;
        public long Row(int line, int column) => Start + (long)(line - Low) * Width + column - Left;
    }

    static int First(int range, int ranges, int groups) => (int)((long)range * groups / ranges);

    readonly struct Join<TLanes, V>(LinesBackward<TScore, TWeights> f, int d, int e, int ranges, Part* parts, long all, Real* dk, Real* dv) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s;
            for (int x = from; x < to; x++)
            {
                int head = x / f.grid.Lines, line = x % f.grid.Lines;
                for (int r = 0; r < ranges; r++)
                {
                    var part = parts[r];
                    if (line < part.Low || line >= part.High) continue;
                    long row = head * all + part.Row(line, part.Left), key = (long)head * s.KeyRows + (long)line * f.grid.Length + part.Left;
                    for (int j = 0; j < part.Width; j++)
                    {
                        RowProduct.Plus<TLanes, V>(f.data.DK + (key + j) * s.Dim, 1, dk + (row + j) * d, s.Dim);
                        RowProduct.Plus<TLanes, V>(f.data.DV + (key + j) * s.ValueDim, 1, dv + (row + j) * e, s.ValueDim);
                    }
                }
            }
        }
    }

    /// <summary>The temporary memory of a group of blocks: queries and dO as rows and in panels, dQ, what is known of each row, how far each block is; of one window, keys and values in tiles, and for one block P and dS.</summary>
    readonly struct Memory
    {
        public readonly int Batch; public readonly nint Stride;
        public readonly Real* Q, QP, DQ, DO, DOP, Delta, Lse, KT, VT, P, G, Raw; public readonly int* Next;

        public Memory(Scratch scratch, in AttentionSize s, GridLines.Plan plan, int d, int e, int wide)
        {
            long rows = plan.Rows; (Batch, int capacity) = plan.Cut.Window(Window, wide); Stride = capacity + 16; Next = scratch.TakeInts(plan.Together);
            Q = scratch.Take(rows * d); QP = scratch.Take(rows * d); DQ = scratch.Take(rows * d); DO = scratch.Take(rows * e); DOP = scratch.Take(rows * e); Delta = scratch.Take(rows); Lse = scratch.Take(rows);
            rows = plan.Cut.Rows; KT = scratch.Take((long)capacity * s.Dim); VT = scratch.Take((long)capacity * s.ValueDim); P = scratch.Take(rows * Stride); G = scratch.Take(rows * Stride); Raw = scratch.Take(capacity);
        }

        /// <summary>The part of a block whose rows begin behind so many others.</summary>
        public Memory(in Memory m, int row, int d, int e)
        {
            this = m;
            Q += (nint)row * d; QP += (nint)row * d; DQ += (nint)row * d; DO += (nint)row * e; DOP += (nint)row * e; Delta += row; Lse += row;
        }
    }

    readonly struct Tasks<TLanes, V>(LinesBackward<TScore, TWeights> f, int d, int e, GridLines.Plan plan, Real* keys, int ranges, Part* parts, long all, Real* dk, Real* dv) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Wide => 2 * TLanes.Count;

        public void Run(int from, int to)
        {
            long done = 0; var s = f.s;
            for (int x = from; x < to; x++)
            {
                int kv = x / ranges, range = x % ranges, groups = plan.Groups.Length; var part = parts[range]; Real* dK = dk + kv * all * d, dV = dv + kv * all * e;
                for (long j = part.Start; j < part.Start + part.Size; j++) { new Span<Real>(dK + j * d, d).Clear(); new Span<Real>(dV + j * e, e).Clear(); }
                using var scratch = Scratch.Open();
                var w = new LinesWindow(scratch, plan.Cut.Tall); var m = new Memory(scratch, s, plan, d, e, Wide);
                for (int at = First(range, ranges, groups); at < First(range + 1, ranges, groups); at++)
                    for (int h = 0; h < s.Group; h++) done += Together(m, plan.Groups[at], w, part, kv, kv * s.Group + h, dK, dV);
            }
            Interlocked.Add(ref *f.work, done);
        }

        // All blocks of a group, for which keys and values are turned once.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Together(in Memory m, in GridLines.Group group, LinesWindow w, in Part part, int kv, int head, Real* dk, Real* dv)
        {
            var s = f.s; ref readonly var any = ref plan.Blocks[group.First]; int[] lines = group.Lines; long done = 0;
            for (int at = group.First, row = 0; at < group.Last; row += plan.Blocks[at++].Rows) { Begin(new(m, row, d, e), plan.Blocks[at], head); m.Next[at - group.First] = 0; }
            for (int first = 0, last; first < lines.Length; first = last)
            {
                for (last = first + 1; last < lines.Length && last - first < m.Batch && lines[last] == lines[last - 1] + 1; last++) ;
                for (int i = first; i < Math.Min(lines.Length, last + m.Batch); i++)
                {
                    long key = (long)kv * s.KeyRows + (long)lines[i] * f.grid.Length + any.Origin; Real* k = f.data.K + key * s.Dim, v = f.data.V + key * s.ValueDim;
                    if (i >= last) { LinesWindow.Ahead(k, s.Dim, any.Width); LinesWindow.Ahead(v, s.ValueDim, any.Width); continue; }
                    LinesWindow.Tiles<TLanes, V>(k, s.Dim, any.Width, any.Places, m.KT, (i - first) * any.Places); LinesWindow.Tiles<TLanes, V>(v, s.ValueDim, any.Width, any.Places, m.VT, (i - first) * any.Places);
                }
                for (int at = group.First, row = 0; at < group.Last; row += plan.Blocks[at++].Rows)
                {
                    ref readonly var b = ref plan.Blocks[at]; ref int next = ref m.Next[at - group.First];
                    for (; next < b.Seen && b.Key[next] <= lines[last - 1] && w.Open(b, next, lines[last - 1] + 1 - b.Key[next], 0, b.Lines); next = w.Last)
                        done += Products(new(m, row, d, e), b, w, group.Index(b.Key[w.First]) - first, part, kv, head, dk, dv);
                }
            }
            for (int at = group.First, row = 0; at < group.Last; row += plan.Blocks[at++].Rows) End(new(m, row, d, e), plan.Blocks[at], head);
            return done;
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Begin(in Memory m, in GridLines.Block b, int head)
        {
            var s = f.s; int n = b.Rows, columns = b.Columns;
            for (int r = 0; r < n; r++)
            {
                long row = (long)head * s.Queries + b.Token(r); Real* grad = f.data.DO + row * s.ValueDim;
                if (r % columns == 0 && r + 2 * columns < n)
                {
                    // Lines lie far apart.
                    long soon = (long)head * s.Queries + b.Token(r + 2 * columns);
                    LinesWindow.Ahead(f.data.Q + soon * s.Dim, s.Dim, columns); LinesWindow.Ahead(f.data.DO + soon * s.ValueDim, s.ValueDim, columns); LinesWindow.Ahead(f.data.O + soon * s.ValueDim, s.ValueDim, columns);
                }
                FlashRows.Scale<TLanes, V>(f.data.Q + row * s.Dim, s.Scale, m.Q + (nint)r * d, s.Dim, d);
                FlashRows.Scale<TLanes, V>(grad, 1, m.DO + (nint)r * e, s.ValueDim, e);
                if (!Soft) continue;
                m.Lse[r] = f.data.Lse[row];
                m.Delta[r] = RowProduct.Dot<TLanes, V>(grad, f.data.O + row * s.ValueDim, s.ValueDim) - (f.data.DLse is null ? 0 : f.data.DLse[row]);
            }
            Pack.Panels<TLanes, V>(m.Q, d, d, n, m.QP, n); Pack.Panels<TLanes, V>(m.DO, e, e, n, m.DOP, n);
            new Span<Real>(m.DQ, n * d).Clear();
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void End(in Memory m, in GridLines.Block b, int head)
        {
            var s = f.s;
            for (int line = 0; line < b.Lines; line++) LinesWindow.Ahead(f.data.DQ + ((long)head * s.Queries + b.Token(line * b.Columns)) * s.Dim, s.Dim, b.Columns);
            for (int r = 0; r < b.Rows; r++) RowProduct.Plus<TLanes, V>(f.data.DQ + ((long)head * s.Queries + b.Token(r)) * s.Dim, s.Scale, m.DQ + (nint)r * d, s.Dim);
        }

        // A block and a window, whose first line stands behind so many others in the tiles of keys and values.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Products(in Memory m, in GridLines.Block b, in LinesWindow w, int behind, in Part part, int kv, int head, Real* dk, Real* dv)
        {
            var s = f.s; int n = b.Rows, width = b.Width, places = b.Places, columns = b.Columns, start = behind * places, x = start / Wide * Wide; nint stride = m.Stride; long done = 0;
            for (int i = w.First; i < w.Last; i++)
            {
                long own = part.Row(b.Key[i], b.Origin);
                LinesWindow.Ahead(dk + own * d, d, width); LinesWindow.Ahead(dv + own * e, e, width);
            }
            // P and G begin with the first queries that see any of the window. It may begin within a tile.
            Real* P = m.P + (start - x), G = m.G + (start - x);
            for (; x < start + (w.Last - w.First) * places; x += Wide)
            {
                var (low, high) = w.Tile(b, x, Wide, behind); int row = low * columns, rows = (high - low) * columns; nint to = (low - w.From) * columns * stride + x - start;
                Micro.Column<TLanes, V>(m.Q + (nint)row * d, d, 1, rows, m.KT + (nint)x * s.Dim, Wide, P + to, stride, s.Dim, false);
                Micro.Column<TLanes, V>(m.DO + (nint)row * e, e, 1, rows, m.VT + (nint)x * s.ValueDim, Wide, G + to, stride, s.ValueDim, false);
                done += (long)rows * Wide * (s.Dim + s.ValueDim);
            }
            for (int line = w.From; line < w.To; line++) { nint at = (line - w.From) * columns * stride; Weights(m, b, w, head, line, P + at, G + at); }
            for (int i = w.First; i < w.Last; i++)
            {
                int row = b.From[i] * columns, rows = b.To[i] * columns - row; long own = part.Row(b.Key[i], b.Origin); nint at = (b.From[i] - w.From) * columns * stride + (i - w.First) * places;
                for (int c = 0; c < e; c += Wide) Micro.Column<TLanes, V>(P + at, 1, stride, width, m.DOP + (nint)c * n + (nint)row * Wide, Wide, dv + own * e + c, e, rows, true);
                for (int c = 0; c < d; c += Wide) Micro.Column<TLanes, V>(G + at, 1, stride, width, m.QP + (nint)c * n + (nint)row * Wide, Wide, dk + own * d + c, d, rows, true);
                done += (long)rows * width * (s.Dim + s.ValueDim);
            }
            for (int line = w.From, end; line < w.To; line = end)
            {
                end = w.Alike<V>(line, columns, out int low, out int high);
                int rows = (end - line) * columns; Real* g = G + (line - w.From) * columns * stride + (nint)low * places, dq = m.DQ + (nint)line * columns * d, key = keys + ((long)kv * s.KeyRows + (long)(b.Key[w.First] + low) * f.grid.Length + b.Origin) * d;
                for (int c = 0; c < d && low < high; c += Wide) Micro.Column<TLanes, V>(g, stride, 1, rows, key + c, d, dq + c, d, width, true, high - low, places - width, (nint)(f.grid.Length - width) * d);
                done += (long)rows * (high - low) * width * s.Dim;
            }
            return done;
        }

        // Raw scores and dP of one line of queries become P and dS.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Weights(in Memory m, in GridLines.Block b, in LinesWindow w, int head, int line, Real* p, Real* g)
        {
            int places = b.Places; var (from, to, uneven) = w.Stretch(line); int all = (to - from) * places;
            w.Clear(line, p, m.Stride, b.Columns, places); w.Clear(line, g, m.Stride, b.Columns, places);
            p += (nint)from * places; g += (nint)from * places;
            for (int row = line * b.Columns, end = row + b.Columns; row < end && from < to; row++, p += m.Stride, g += m.Stride)
            {
                if (Soft && Real.IsNegativeInfinity(m.Lse[row])) { new Span<Real>(p, all).Clear(); new Span<Real>(g, all).Clear(); continue; }
                int h = head % f.s.Heads, token = b.Token(row), low = b.Low[row], wide = b.High[row] - low;
                if (!IsPlain)
                {
                    new Span<Real>(p, all).CopyTo(new(m.Raw, all));
                    for (int i = from; i < to; i++) f.score.Row(new(p + (nint)(i - from) * places, Math.Min(places, f.grid.Length - b.Origin)), h, token, b.Key[w.First + i] * f.grid.Length + b.Origin);
                }
                if (Soft) FlashRows.Recompute<TLanes, V>(p, g, all, m.Lse[row], m.Delta[row]);
                else
                {
                    b.Hide<TLanes, V>(p, to - from, row, Real.NegativeInfinity);
                    TWeights.Weights(new(p, all)); TWeights.Slope(new(p, all), new(g, all));
                }
                b.Hide<TLanes, V>(p, to - from, row, 0); b.Hide<TLanes, V>(g, to - from, row, 0);
                for (int i = from; i < to && uneven; i++) if (!b.Sees(w.First + i, row)) { new Span<Real>(p + (nint)(i - from) * places, places).Clear(); new Span<Real>(g + (nint)(i - from) * places, places).Clear(); }
                if (IsPlain) continue;
                for (int i = from; i < to; i++)
                {
                    nint x = (nint)(i - from) * places + low; int key = b.Key[w.First + i] * f.grid.Length + b.Origin + low;
                    if (!b.Sees(w.First + i, row)) continue;
                    f.learned?.GradRow(new(m.Raw + x, wide), new(g + x, wide), head / f.s.Heads, h, token, key);
                    f.score.SlopeRow(new(m.Raw + x, wide), new(g + x, wide), h, token, key);
                }
            }
        }
    }
}
