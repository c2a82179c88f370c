using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Attention within boxes on a grid whose tokens are numbered line by line (<see cref="GridLines"/>): a block of queries, some columns wide and some lines high, goes through the lines of keys that it sees. Of each line
/// all of them see nearly the same columns, wherever these begin, so that scores and results are dense products of the queries that see the line; only columns at both ends are hidden.
/// </summary>
readonly unsafe struct LinesForward<TScore, TWeights>(AttentionSize s, GridLines grid, TScore score, Real* q, Real* k, Real* v, Real* o, Real* lse, long* work) : IWide
    where TScore : struct, IScore where TWeights : struct, INormaliser
{
    readonly AttentionSize s = s; readonly GridLines grid = grid; readonly TScore score = score;
    readonly Real* q = q, k = k, v = v, o = o, lse = lse; readonly long* work = work;
    static bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);
    /// <summary>Places of one step of the online softmax.</summary>
    const int Window = 256;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, heads = s.Batch * s.KvHeads, padded = (s.ValueDim + wide - 1) / wide * wide; var cut = grid.CutFor(wide); int room = cut.Room(grid.Length, wide), blocks = cut.Blocks, all = s.Batch * s.Heads;
        using var scratch = Scratch.Open();
        Real* keys = scratch.Take((long)heads * grid.Lines * s.Dim * room + room), values = scratch.Take((long)heads * s.Keys * padded);
        Threads.For(heads * grid.Lines, 1, new Packed<TLanes, V>(this, keys, values, room, padded, cut.Front));
        // Some heads share what is known of a block, as long as there are enough tasks.
        int share = (int)Math.Clamp((long)all * blocks / 256, 1, 8);
        Threads.For(checked(blocks * ((all + share - 1) / share)), 1, new Blocks<TLanes, V>(this, keys, values, room, padded, cut, share));
    }

    readonly struct Packed<TLanes, V>(LinesForward<TScore, TWeights> f, Real* keys, Real* values, int room, int padded, int front) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s; int length = f.grid.Length, wide = 2 * TLanes.Count;
            for (int x = from; x < to; x++)
            {
                int head = x / f.grid.Lines; long first = x % f.grid.Lines * (long)length, key = (long)head * s.KeyRows + first;
                Pack.Transposed(f.k + key * s.Dim, s.Dim, length, s.Dim, keys + (long)x * s.Dim * room + front, room);
                Pack.Panels<TLanes, V>(f.v + key * s.ValueDim, s.ValueDim, s.ValueDim, length, values + (long)head * s.Keys * padded + first * wide, s.Keys);
            }
        }
    }

    readonly struct Blocks<TLanes, V>(LinesForward<TScore, TWeights> f, Real* keys, Real* values, int room, int padded, GridLines.Cut cut, int share) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Wide => 2 * TLanes.Count;

        public void Run(int from, int to)
        {
            long done = 0; var s = f.s; int blocks = cut.Blocks;
            for (int x = from; x < to; x++)
            {
                using var scratch = Scratch.Open();
                var b = new GridLines.Block(f.grid, cut, Wide, scratch); b.Open(cut, x % blocks);
                for (int head = x / blocks * share; head < Math.Min(s.Batch * s.Heads, (x / blocks + 1) * share); head++) done += Block(b, head);
            }
            Interlocked.Add(ref *f.work, done * (s.Dim + s.ValueDim));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Block(in GridLines.Block b, int head)
        {
            using var scratch = Scratch.Open(); var s = f.s; int n = b.Rows, kv = head / s.Heads * s.KvHeads + head % s.Heads / s.Group, width = b.Width, places = b.Places, batch = places > 0 ? Math.Max(1, Window / places) : 1, stride = batch * places + 16; long done = 0;
            Real* q = scratch.Take((long)n * s.Dim), acc = scratch.Take((long)n * padded), max = scratch.Take(n), sum = scratch.Take(n), scores = scratch.Take((long)n * stride);
            for (int r = 0; r < n; r++) FlashRows.Scale<TLanes, V>(f.q + ((long)head * s.Queries + b.Token(r)) * s.Dim, s.Scale, q + (nint)r * s.Dim, s.Dim, s.Dim);
            new Span<Real>(acc, n * padded).Clear(); new Span<Real>(sum, n).Clear(); new Span<Real>(max, n).Fill(Real.NegativeInfinity);
            for (int first = 0, last; first < b.Seen; first = last)
            {
                last = Math.Min(b.Seen, first + batch);
                for (int i = first; i < last; i++)
                {
                    int row = b.From[i] * b.Columns, rows = b.To[i] * b.Columns - row; Real* k = keys + ((long)kv * f.grid.Lines + b.Key[i]) * s.Dim * room + cut.Front + b.Origin, to = scores + (nint)row * stride + (i - first) * places;
                    for (int c = 0; c < places; c += Wide) Micro.Column<TLanes, V>(q + (nint)row * s.Dim, s.Dim, 1, rows, k + c, room, to + c, stride, s.Dim, false);
                    done += (long)rows * places;
                }
                for (int line = 0; line < b.Lines; line++) Weights(b, head, line, first, last, scores, stride, acc, max, sum);
                for (int i = first; i < last; i++)
                {
                    int row = b.From[i] * b.Columns, rows = b.To[i] * b.Columns - row; Real* p = scores + (nint)row * stride + (i - first) * places, v = values + (long)kv * s.Keys * padded + ((long)b.Key[i] * f.grid.Length + b.Origin) * Wide;
                    for (int c = 0; c < padded; c += Wide) Micro.Column<TLanes, V>(p, stride, 1, rows, v + (nint)c * s.Keys, Wide, acc + (nint)row * padded + c, padded, width, true);
                }
            }
            for (int r = 0; r < n; r++)
            {
                long row = (long)head * s.Queries + b.Token(r); Real* o = f.o + row * s.ValueDim;
                if (Soft) FlashRows.Finish<TLanes, V>(acc + (nint)r * padded, max[r], sum[r], o, s.ValueDim, f.lse + row);
                else new Span<Real>(acc + (nint)r * padded, s.ValueDim).CopyTo(new(o, s.ValueDim));
            }
            return done;
        }

        // Raw scores of one line of queries and some lines of keys become weights; what the queries have gathered so far is brought to their scale.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Weights(in GridLines.Block b, int head, int line, int first, int last, Real* scores, nint stride, Real* acc, Real* max, Real* sum)
        {
            int from = -1, to = 0, places = b.Places, clear = 0; bool mixed = false;
            for (int i = first; i < last; i++)
            {
                var cover = b.Cover(i, line); mixed |= cover == Cover.Mixed;
                if (cover == Cover.None) { clear++; continue; }
                if (from < 0) from = i - first;
                to = i - first + 1;
            }
            if (from < 0) from = to = last - first;
            for (int c = 0, row = line * b.Columns; c < b.Columns; c++, row++)
            {
                Real* own = scores + row * stride, at = own + (nint)from * places;
                if (typeof(TScore) != typeof(Plain)) for (int i = from; i < to; i++) f.score.Row(new(own + (nint)i * places, Math.Min(places, f.grid.Length - b.Origin)), head % f.s.Heads, b.Token(row), b.Key[first + i] * f.grid.Length + b.Origin);
                b.Hide<TLanes, V>(at, to - from, row, Real.NegativeInfinity);
                if (clear > 0 || mixed)
                {
                    // Between lines that it sees a query may see nothing of others; before and behind them all weights are zeros.
                    for (int i = from; i < to; i++) if (!b.Sees(first + i, row)) new Span<Real>(own + (nint)i * places, places).Fill(Real.NegativeInfinity);
                    new Span<Real>(own, from * places).Clear(); new Span<Real>(own + (nint)to * places, (last - first - to) * places).Clear();
                }
                if (from == to) continue;
                if (!Soft) TWeights.Weights(new(at, (to - from) * places));
                else if (FlashRows.Online<TLanes, V>(at, (to - from) * places, ref max[row], ref sum[row]) is var keep && keep != 1) FlashRows.Scale<TLanes, V>(acc + (nint)row * padded, keep, acc + (nint)row * padded, padded, padded);
            }
        }
    }
}
