using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Attention within boxes on a grid whose tokens are numbered line by line (<see cref="GridLines"/>): a block of queries, some columns wide and as many lines high as possible, goes through the lines of keys that it sees,
/// some at a time. Of each line all of them see nearly the same columns, wherever these begin; packed side by side, the lines are one row of keys, of which each line of queries sees a stretch: dense products, where only
/// columns at both ends of a line are hidden.
/// </summary>
readonly unsafe struct LinesForward<TScore, TWeights>(AttentionSize s, GridLines grid, TScore score, Real* q, Real* k, Real* v, Real* o, Real* lse, long* work) : IWide
    where TScore : struct, IScore where TWeights : struct, INormaliser
{
    readonly AttentionSize s = s; readonly GridLines grid = grid; readonly TScore score = score;
    readonly Real* q = q, k = k, v = v, o = o, lse = lse; readonly long* work = work;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);
    /// <summary>Queries that are taken at a time, as many as all of a block if it has few, and places of one step of their online softmax.</summary>
    const int Chunk = 48, Few = 64, Window = 2048;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, heads = s.Batch * s.KvHeads, padded = (s.ValueDim + wide - 1) / wide * wide; var plan = grid.For(TLanes.Count);
        using var scratch = Scratch.Open();
        Threads.For(checked(plan.Groups.Length * heads), 1, new Tasks<TLanes, V>(this, LinesWindow.Wider<TLanes, V>(scratch, v, heads * s.KeyRows, s.ValueDim, padded), padded, plan));
    }

    /// <summary>One task: a group of blocks of queries, for all heads that share their keys.</summary>
    readonly struct Tasks<TLanes, V>(LinesForward<TScore, TWeights> f, Real* values, int padded, GridLines.Plan plan) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Wide => 2 * TLanes.Count;

        /// <summary>The temporary memory of a block: of some queries, scaled, results that are not yet divided, running maxima and sums, and scores, which begin with room for half a tile.</summary>
        readonly struct Memory
        {
            public readonly int Rows, Lines, Window; public readonly nint Stride;
            public readonly Real* Q, Acc, Max, Sum, S;

            public Memory(Scratch scratch, in AttentionSize s, in GridLines.Block b, int padded)
            {
                Lines = b.Rows <= Few ? Math.Max(1, b.Lines) : Math.Max(1, Chunk / Math.Max(1, b.Columns)); Rows = Lines * b.Columns; Window = Math.Max(1, Math.Clamp(Chunk * LinesForward<TScore, TWeights>.Window / Math.Max(1, Rows), 256, LinesForward<TScore, TWeights>.Window) / Math.Max(1, b.Places));
                Stride = Math.Min(Window, b.Seen) * b.Places + 2 * Wide + 16;
                Q = scratch.Take((long)Rows * s.Dim); Acc = scratch.Take((long)Rows * padded); Max = scratch.Take(Rows); Sum = scratch.Take(Rows); S = scratch.Take(Rows * Stride);
            }
        }

        public void Run(int from, int to)
        {
            long done = 0; var s = f.s;
            for (int x = from; x < to; x++)
            {
                using var scratch = Scratch.Open();
                int kv = x / plan.Groups.Length; ref readonly var group = ref plan.Groups[x % plan.Groups.Length]; ref readonly var any = ref plan.Blocks[group.First];
                Real* tiles = scratch.Take(((long)group.Lines.Length * any.Places + Wide) * s.Dim), keys = f.k + ((long)kv * s.KeyRows + any.Origin) * s.Dim; nint next = (nint)f.grid.Length * s.Dim;
                for (int i = 0; i < group.Lines.Length; i++)
                {
                    if (i + 1 < group.Lines.Length) LinesWindow.Ahead(keys + group.Lines[i + 1] * next, s.Dim, any.Width);
                    LinesWindow.Tiles<TLanes, V>(keys + group.Lines[i] * next, s.Dim, any.Width, any.Places, tiles, i * any.Places);
                }
                for (int at = group.First; at < group.Last; at++)
                {
                    using var own = Scratch.Open();
                    ref readonly var b = ref plan.Blocks[at]; var w = new LinesWindow(own, b.Lines); var m = new Memory(own, s, b, padded);
                    for (int h = 0; h < s.Group; h++)
                        for (int line = 0; line < b.Lines; line += m.Lines) done += Queries(m, b, w, tiles, group, kv * s.Group + h, kv, line, Math.Min(b.Lines, line + m.Lines));
                }
            }
            Interlocked.Add(ref *f.work, done);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Queries(in Memory m, in GridLines.Block b, LinesWindow w, Real* tiles, in GridLines.Group group, int head, int kv, int from, int to)
        {
            var s = f.s; int columns = b.Columns, places = b.Places, rows = (to - from) * columns, first = from * columns; nint stride = m.Stride; long done = 0;
            // Queries of the next lines are asked for in time: they lie far apart.
            for (int line = to; line < Math.Min(b.Lines, to + m.Lines); line++) LinesWindow.Ahead(f.q + ((long)head * s.Queries + b.Token(line * columns)) * s.Dim, s.Dim, columns);
            for (int r = 0; r < rows; r++) FlashRows.Scale<TLanes, V>(f.q + ((long)head * s.Queries + b.Token(first + r)) * s.Dim, s.Scale, m.Q + (nint)r * s.Dim, s.Dim, s.Dim);
            new Span<Real>(m.Acc, rows * padded).Clear(); new Span<Real>(m.Sum, rows).Clear(); new Span<Real>(m.Max, rows).Fill(Real.NegativeInfinity);
            for (int next = 0; w.Open(b, next, m.Window, from, to); next = w.Last)
            {
                // A window may begin within a tile. Its first line stands at this index, and those behind it follow.
                int at = group.Index(b.Key[w.First]), start = at * places, x = start / Wide * Wide; Real* scores = m.S + (start - x);
                for (; x < start + (w.Last - w.First) * places; x += Wide)
                {
                    var (low, high) = w.Tile(b, x, Wide, at); low = Math.Max(low, from); high = Math.Min(high, to);
                    if (low >= high) continue;
                    Micro.Column<TLanes, V>(m.Q + (nint)(low - from) * columns * s.Dim, s.Dim, 1, (high - low) * columns, tiles + (nint)x * s.Dim, Wide, scores + (low - from) * columns * stride + x - start, stride, s.Dim, false);
                    done += (long)(high - low) * columns * Wide * s.Dim;
                }
                for (int line = w.From; line < w.To; line++) Weights(m, b, w, head, line, (line - from) * columns, scores);
                // What all see at once, then what only some see, at both ends.
                Real* v = values + ((long)kv * s.KeyRows + (long)b.Key[w.First] * f.grid.Length + b.Origin) * padded;
                var (left, right) = w.Common();
                done += Results(m, b, scores, v, (w.From - from) * columns, (w.To - w.From) * columns, left, right);
                for (int line = w.From, end; line < w.To; line = end)
                {
                    end = w.Alike<V>(line, columns, out int low, out int high);
                    int row = (line - from) * columns, count = (end - line) * columns;
                    if (left == right) { done += Results(m, b, scores, v, row, count, low, high); continue; }
                    done += Results(m, b, scores, v, row, count, low, left) + Results(m, b, scores, v, row, count, right, high);
                }
            }
            for (int r = 0; r < rows; r++)
            {
                long row = (long)head * s.Queries + b.Token(first + r); Real* o = f.o + row * s.ValueDim;
                if (Soft) FlashRows.Finish<TLanes, V>(m.Acc + (nint)r * padded, m.Max[r], m.Sum[r], o, s.ValueDim, f.lse + row);
                else new Span<Real>(m.Acc + (nint)r * padded, s.ValueDim).CopyTo(new(o, s.ValueDim));
            }
            return done;
        }

        // Weights of some rows and lines [from, to) of a window times the values.
        long Results(in Memory m, in GridLines.Block b, Real* scores, Real* v, int row, int rows, int from, int to)
        {
            if (from >= to) return 0;
            Real* p = scores + row * m.Stride + (nint)from * b.Places, acc = m.Acc + (nint)row * padded; v += (nint)from * f.grid.Length * padded;
            for (int c = 0; c < padded; c += Wide) Micro.Column<TLanes, V>(p, m.Stride, 1, rows, v + c, padded, acc + c, padded, b.Width, true, to - from, b.Places - b.Width, (nint)(f.grid.Length - b.Width) * padded);
            return (long)rows * (to - from) * b.Width * f.s.ValueDim;
        }

        // Raw scores of one line of queries, from this row on, become weights; what the queries have gathered so far is brought to their scale.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Weights(in Memory m, in GridLines.Block b, in LinesWindow w, int head, int line, int r, Real* scores)
        {
            int places = b.Places; var (from, to, uneven) = w.Stretch(line); scores += r * m.Stride;
            w.Clear(line, scores, m.Stride, b.Columns, places);
            for (int c = 0, row = line * b.Columns; c < b.Columns && from < to; c++, row++, r++)
            {
                Real* at = scores + c * m.Stride + (nint)from * places;
                if (typeof(TScore) != typeof(Plain)) for (int i = from; i < to; i++) f.score.Row(new(at + (nint)(i - from) * places, Math.Min(places, f.grid.Length - b.Origin)), head % f.s.Heads, b.Token(row), b.Key[w.First + i] * f.grid.Length + b.Origin);
                b.Hide<TLanes, V>(at, to - from, row, Real.NegativeInfinity);
                if (uneven) for (int i = from; i < to; i++) if (!b.Sees(w.First + i, row)) new Span<Real>(at + (nint)(i - from) * places, places).Fill(Real.NegativeInfinity);
                if (!Soft) TWeights.Weights(new(at, (to - from) * places));
                else if (Real.IsNegativeInfinity(m.Max[r])) FlashRows.Online<TLanes, V>(at, (to - from) * places, ref m.Max[r], ref m.Sum[r]);     // no results yet
                else if (FlashRows.Online<TLanes, V>(at, (to - from) * places, ref m.Max[r], ref m.Sum[r]) is var keep && keep != 1) FlashRows.Scale<TLanes, V>(m.Acc + (nint)r * padded, keep, m.Acc + (nint)r * padded, padded, padded);
            }
        }
    }
}
