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

    /// <summary>Keys and values of all heads, transposed line by line, and keys in panels; row lengths of what is read in whole registers.</summary>
    readonly struct Memory
    {
        public readonly int Front, Room, D, E;
        public readonly Real* KT, VT, KP;

        public Memory(Scratch scratch, in AttentionSize s, GridLines grid, in GridLines.Cut cut, int wide)
        {
            long heads = (long)s.Batch * s.KvHeads, lines = heads * grid.Lines;
            (Front, Room, D, E) = (cut.Front, cut.Room(grid.Length, wide), (s.Dim + wide - 1) / wide * wide, (s.ValueDim + wide - 1) / wide * wide);
            KT = scratch.Take((lines * s.Dim + 1) * Room); VT = scratch.Take((lines * s.ValueDim + 1) * Room); KP = scratch.Take(heads * s.Keys * D);
        }
    }

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, heads = s.Batch * s.KvHeads; var cut = grid.CutFor(wide);
        using var scratch = Scratch.Open();
        var m = new Memory(scratch, s, grid, cut, wide);
        Threads.For(heads * grid.Lines, 1, new Packed<TLanes, V>(this, m));
        // Learned scores are promised one thread per head.
        int ranges = learned is not null ? 1 : Math.Clamp(16 / heads, 1, cut.Blocks);
        // Lines of keys that each range sees, and where its gradients begin.
        Part* parts = (Part*)scratch.TakeInts((long)(ranges + 1) * sizeof(Part) / sizeof(int)); long all = 0;
        var block = new GridLines.Block(grid, cut, wide, scratch);
        for (int x = 0; x < ranges; x++)
        {
            int low = grid.Lines, high = 0, left = grid.Length, right = 0;
            for (int at = First(x, ranges, cut.Blocks); at < First(x + 1, ranges, cut.Blocks); at++)
            {
                block.Open(cut, at);
                if (block.Seen > 0) (low, high, left, right) = (Math.Min(low, block.Key[0]), Math.Max(high, block.Key[block.Seen - 1] + 1), Math.Min(left, block.Origin), Math.Max(right, block.Origin + block.Width));
            }
            parts[x] = new(all, low, high, left, Math.Max(0, right - left)); all += parts[x].Size;
        }
        Real* dk = scratch.Take(heads * all * m.D), dv = scratch.Take(heads * all * m.E);
        Threads.For(heads * ranges, 1, new Tasks<TLanes, V>(this, m, cut, ranges, parts, all, dk, dv));
        Threads.For(heads * grid.Lines, 1, new Join<TLanes, V>(this, m, ranges, parts, all, dk, dv));
    }

    /// <summary>The keys that a range of blocks sees: Width columns from Left on of lines [Low, High). Their gradients begin with row Start.</summary>
    readonly record struct Part(long Start, int Low, int High, int Left, int Width)
    {
        public long Size => Math.Max(0, High - Low) * (long)Width;
        public long Row(int line, int column) => Start + (long)(line - Low) * Width + column - Left;
    }

    static int First(int range, int ranges, int blocks) => (int)((long)range * blocks / ranges);

    readonly struct Packed<TLanes, V>(LinesBackward<TScore, TWeights> f, Memory m) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s; int length = f.grid.Length, wide = 2 * TLanes.Count;
            for (int x = from; x < to; x++)
            {
                int head = x / f.grid.Lines; long first = x % f.grid.Lines * (long)length, key = (long)head * s.KeyRows + first;
                Pack.Transposed(f.data.K + key * s.Dim, s.Dim, length, s.Dim, m.KT + (long)x * s.Dim * m.Room + m.Front, m.Room);
                Pack.Transposed(f.data.V + key * s.ValueDim, s.ValueDim, length, s.ValueDim, m.VT + (long)x * s.ValueDim * m.Room + m.Front, m.Room);
                Pack.Panels<TLanes, V>(f.data.K + key * s.Dim, s.Dim, s.Dim, length, m.KP + (long)head * s.Keys * m.D + first * wide, s.Keys);
            }
        }
    }

    readonly struct Join<TLanes, V>(LinesBackward<TScore, TWeights> f, Memory m, int ranges, Part* parts, long all, Real* dk, Real* dv) : IRows where TLanes : struct, ILanes<V> where V : struct
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
                        RowProduct.Plus<TLanes, V>(f.data.DK + (key + j) * s.Dim, 1, dk + (row + j) * m.D, s.Dim);
                        RowProduct.Plus<TLanes, V>(f.data.DV + (key + j) * s.ValueDim, 1, dv + (row + j) * m.E, s.ValueDim);
                    }
                }
            }
        }
    }

    /// <summary>The temporary memory of one block: queries and dO as rows and in panels, dQ, what is known of each row, P and dS of one line of keys.</summary>
    readonly struct Rows(Scratch scratch, int rows, int d, int e, int most)
    {
        public readonly Real* Q = scratch.Take((long)rows * d), QP = scratch.Take((long)rows * d), DQ = scratch.Take((long)rows * d), DO = scratch.Take((long)rows * e), DOP = scratch.Take((long)rows * e);
        public readonly Real* Delta = scratch.Take(rows), Lse = scratch.Take(rows), P = scratch.Take((long)rows * (most + 16)), G = scratch.Take((long)rows * (most + 16)), Raw = scratch.Take(most);
    }

    readonly struct Tasks<TLanes, V>(LinesBackward<TScore, TWeights> f, Memory m, GridLines.Cut cut, int ranges, Part* parts, long all, Real* dk, Real* dv) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Wide => 2 * TLanes.Count;

        public void Run(int from, int to)
        {
            long done = 0; var s = f.s;
            for (int x = from; x < to; x++)
            {
                int kv = x / ranges, range = x % ranges; var part = parts[range]; Real* keys = dk + kv * all * m.D, values = dv + kv * all * m.E;
                for (long j = part.Start; j < part.Start + part.Size; j++) { new Span<Real>(keys + j * m.D, m.D).Clear(); new Span<Real>(values + j * m.E, m.E).Clear(); }
                using var scratch = Scratch.Open();
                var b = new GridLines.Block(f.grid, cut, Wide, scratch); var t = new Rows(scratch, cut.Rows, m.D, m.E, cut.Most);
                for (int at = First(range, ranges, cut.Blocks); at < First(range + 1, ranges, cut.Blocks); at++)
                {
                    b.Open(cut, at);
                    for (int h = 0; h < s.Group && b.Seen > 0; h++) done += Block(t, b, part, kv, kv * s.Group + h, keys, values);
                }
            }
            Interlocked.Add(ref *f.work, done * (s.Dim + s.ValueDim) * 5 / 2);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Block(in Rows t, in GridLines.Block b, in Part part, int kv, int head, Real* dk, Real* dv)
        {
            var s = f.s; int n = b.Rows, width = b.Width, places = b.Places, stride = places / 16 % 2 == 0 ? places + 16 : places; long done = 0;
            for (int r = 0; r < n; r++)
            {
                long row = (long)head * s.Queries + b.Token(r); Real* grad = f.data.DO + row * s.ValueDim;
                FlashRows.Scale<TLanes, V>(f.data.Q + row * s.Dim, s.Scale, t.Q + (nint)r * m.D, s.Dim, m.D);
                FlashRows.Scale<TLanes, V>(grad, 1, t.DO + (nint)r * m.E, s.ValueDim, m.E);
                if (!Soft) continue;
                t.Lse[r] = f.data.Lse[row];
                t.Delta[r] = RowProduct.Dot<TLanes, V>(grad, f.data.O + row * s.ValueDim, s.ValueDim) - (f.data.DLse is null ? 0 : f.data.DLse[row]);
            }
            Pack.Panels<TLanes, V>(t.Q, m.D, m.D, n, t.QP, n); Pack.Panels<TLanes, V>(t.DO, m.E, m.E, n, t.DOP, n);
            new Span<Real>(t.DQ, n * m.D).Clear();
            for (int i = 0; i < b.Seen; i++)
            {
                int row = b.From[i] * b.Columns, rows = b.To[i] * b.Columns - row; long line = (long)kv * f.grid.Lines + b.Key[i], key = (long)b.Key[i] * f.grid.Length + b.Origin, own = part.Row(b.Key[i], b.Origin);
                Real* q = t.Q + (nint)row * m.D, grad = t.DO + (nint)row * m.E, p = t.P, g = t.G, kt = m.KT + line * s.Dim * m.Room + m.Front + b.Origin, vt = m.VT + line * s.ValueDim * m.Room + m.Front + b.Origin;
                for (int c = 0; c < places; c += Wide) Micro.Column<TLanes, V>(q, m.D, 1, rows, kt + c, m.Room, p + c, stride, s.Dim, false);
                for (int c = 0; c < places; c += Wide) Micro.Column<TLanes, V>(grad, m.E, 1, rows, vt + c, m.Room, g + c, stride, s.ValueDim, false);
                Weights(t, b, head, i, row, rows, p, g, stride);
                for (int c = 0; c < m.E; c += Wide) Micro.Column<TLanes, V>(p, 1, stride, width, t.DOP + (nint)c * n + (nint)row * Wide, Wide, dv + own * m.E + c, m.E, rows, true);
                for (int c = 0; c < m.D; c += Wide) Micro.Column<TLanes, V>(g, 1, stride, width, t.QP + (nint)c * n + (nint)row * Wide, Wide, dk + own * m.D + c, m.D, rows, true);
                Real* panel = m.KP + (long)kv * s.Keys * m.D + key * Wide;
                for (int c = 0; c < m.D; c += Wide) Micro.Column<TLanes, V>(g, stride, 1, rows, panel + (nint)c * s.Keys, Wide, t.DQ + (nint)row * m.D + c, m.D, width, true);
                done += (long)rows * places;
            }
            for (int r = 0; r < n; r++) RowProduct.Plus<TLanes, V>(f.data.DQ + ((long)head * s.Queries + b.Token(r)) * s.Dim, s.Scale, t.DQ + (nint)r * m.D, s.Dim);
            return done;
        }

        // Raw scores and dP of some rows and one line of keys become P and dS.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Weights(in Rows t, in GridLines.Block b, int head, int seen, int first, int rows, Real* p, Real* g, nint stride)
        {
            int w = TLanes.Count; nint places = b.Places; Real* number = b.Number; int* low = b.Low, high = b.High; V zero = TLanes.Set(0), u = TLanes.Set(FlashRows.Log2E);
            for (int row = first; row < first + rows; row++, p += stride, g += stride)
            {
                if (!b.Sees(seen, row) || Soft && Real.IsNegativeInfinity(t.Lse[row])) { new Span<Real>(p, b.Places).Clear(); new Span<Real>(g, b.Places).Clear(); continue; }
                if (!IsPlain || !Soft) { Scored(t, b, head, seen, row, p, g); continue; }
                V minus = TLanes.Set(-t.Lse[row] * FlashRows.Log2E), delta = TLanes.Set(t.Delta[row]), l = TLanes.Set(low[row]), h = TLanes.Set(high[row]);
                for (nint j = 0; j < places; j += 4 * w)
                {
                    // Four registers; where two are left, these twice.
                    nint x = j, y = j + w, z = j + 4 * w <= places ? j + 2 * w : j, e = z + w;
                    V px = TLanes.Fma(TLanes.Load(p + x), u, minus), py = TLanes.Fma(TLanes.Load(p + y), u, minus), pz = TLanes.Fma(TLanes.Load(p + z), u, minus), pe = TLanes.Fma(TLanes.Load(p + e), u, minus);
                    FastExp2.Four<TLanes, V>(ref px, ref py, ref pz, ref pe);
                    V gx = TLanes.Mul(px, TLanes.Sub(TLanes.Load(g + x), delta)), gy = TLanes.Mul(py, TLanes.Sub(TLanes.Load(g + y), delta)), gz = TLanes.Mul(pz, TLanes.Sub(TLanes.Load(g + z), delta)), ge = TLanes.Mul(pe, TLanes.Sub(TLanes.Load(g + e), delta));
                    Seen(x, px, gx); Seen(y, py, gy); Seen(z, pz, gz); Seen(e, pe, ge);
                }

                [MethodImpl(MethodImplOptions.AggressiveInlining)]
                void Seen(nint x, V weight, V slope)
                {
                    V at = TLanes.Load(number + x);
                    TLanes.Store(p + x, TLanes.IfLess(at, l, zero, TLanes.IfLess(at, h, weight, zero))); TLanes.Store(g + x, TLanes.IfLess(at, l, zero, TLanes.IfLess(at, h, slope, zero)));
                }
            }
        }

        // The same for one row, with any score and normaliser.
        void Scored(in Rows t, in GridLines.Block b, int head, int seen, int row, Real* p, Real* g)
        {
            int places = b.Places, h = head % f.s.Heads, token = b.Token(row), key = b.Key[seen] * f.grid.Length + b.Origin, low = b.Low[row], wide = b.High[row] - low;
            if (!IsPlain) { new Span<Real>(p, places).CopyTo(new(t.Raw, places)); f.score.Row(new(p, Math.Min(places, f.grid.Length - b.Origin)), h, token, key); }
            b.Hide<TLanes, V>(p, 1, row, Real.NegativeInfinity);
            if (Soft) FlashRows.Recompute<TLanes, V>(p, g, places, t.Lse[row], t.Delta[row]);
            else { TWeights.Weights(new(p, places)); TWeights.Slope(new(p, places), new(g, places)); }
            b.Hide<TLanes, V>(p, 1, row, 0); b.Hide<TLanes, V>(g, 1, row, 0);
            if (IsPlain) return;
            f.learned?.GradRow(new(t.Raw + low, wide), new(g + low, wide), head / f.s.Heads, h, token, key + low);
            f.score.SlopeRow(new(t.Raw + low, wide), new(g + low, wide), h, token, key + low);
        }
    }
}
