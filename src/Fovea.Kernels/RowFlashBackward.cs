using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Gradients: a task takes some of the queries that share a key head, block by block. Where heads are few the queries of one are cut into parts; each part then has a dK and a dV of its own, which are added up in order.
/// </summary>
readonly unsafe struct RowBackward<TPattern, TWeights>(AttentionSize s, RowView<TPattern, TWeights> view, FlashBackwardData data, long* work) : IWide where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser
{
    readonly AttentionSize s = s; readonly RowView<TPattern, TWeights> view = view; readonly FlashBackwardData data = data; readonly long* work = work;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int heads = s.Batch * s.KvHeads, rows = view.Rows, blocks = s.Group * ((s.Queries + rows - 1) / rows);
        // Every part packs all keys and values anew: worth it for some hundreds of queries.
        int parts = (int)Math.Clamp((long)s.Group * s.Queries / 512, 1, Math.Max(1, 32 / heads)), size = (blocks + parts - 1) / parts; parts = (blocks + size - 1) / size;
        using var scratch = Scratch.Open(); long keys = (long)heads * s.Keys;
        Real* dk = parts > 1 ? scratch.Take(parts * keys * s.Dim) : null, dv = parts > 1 ? scratch.Take(parts * keys * s.ValueDim) : null;
        Threads.For(heads * parts, 1, new Parts<TLanes, V>(this, dk, dv, size, blocks, parts));
        if (parts > 1) Threads.For(checked((int)keys), (int)Math.Clamp((1 << 14) / ((long)parts * s.Dim), 1, keys), new Join<TLanes, V>(this, dk, dv, parts));
    }

    readonly struct Join<TLanes, V>(RowBackward<TPattern, TWeights> f, Real* dk, Real* dv, int parts) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s; long keys = (long)s.Batch * s.KvHeads * s.Keys;
            for (int j = from; j < to; j++)
            {
                long row = (long)(j / s.Keys) * s.KeyRows + j % s.Keys;
                for (int x = 0; x < parts; x++)
                {
                    RowProduct.Plus<TLanes, V>(f.data.DK + row * s.Dim, 1, dk + (x * keys + j) * s.Dim, s.Dim);
                    RowProduct.Plus<TLanes, V>(f.data.DV + row * s.ValueDim, 1, dv + (x * keys + j) * s.ValueDim, s.ValueDim);
                }
            }
        }
    }

    readonly struct Parts<TLanes, V>(RowBackward<TPattern, TWeights> f, Real* dk, Real* dv, int size, int blocks, int parts) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            var s = f.s; int rows = f.view.Rows, each = blocks / s.Group; long pairs = 0, keys = (long)s.Batch * s.KvHeads * s.Keys;
            for (int task = from; task < to; task++)
            {
                using var scratch = Scratch.Open();
                // Late parts first: under a causal pattern they are the long ones.
                int kv = task / parts, part = parts - 1 - task % parts;
                var t = new FlashBackwardMemory<TLanes, V>(scratch, s, f.data, kv, 0, s.Keys, rows, f.view.Stride);
                for (int x = part * size; x < Math.Min(blocks, (part + 1) * size); x++)
                {
                    int first = x % each * rows;
                    pairs += Block(t, kv * s.Group + x / each, first, Math.Min(s.Queries, first + rows));
                }
                if (parts == 1) { t.Close(s, f.data); continue; }
                long at = part * keys + (long)kv * s.Keys;
                for (int j = 0; j < s.Keys; j++)
                {
                    new Span<Real>(t.DK + (nint)j * t.D, s.Dim).CopyTo(new(dk + (at + j) * s.Dim, s.Dim));
                    new Span<Real>(t.DV + (nint)j * t.E, s.ValueDim).CopyTo(new(dv + (at + j) * s.ValueDim, s.ValueDim));
                }
            }
            Interlocked.Add(ref *f.work, pairs * (s.Dim + s.ValueDim) * 5 / 2);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        long Block(in FlashBackwardMemory<TLanes, V> t, int head, int first, int last)
        {
            var s = f.s; int wide = 2 * TLanes.Count, n = last - first, stride = f.view.Stride; long row = (long)head * s.Queries + first;
            var (low, high) = f.view.Extent(first, last);
            if (low == high) return 0;
            t.Open(s, f.data, row, n);
            int tall = Micro.Rows<V>(); int* edges = stackalloc int[2 * (n / tall + 1)];
            var groups = f.view.Groups(first, last, low, high, tall, edges);
            for (int j = low / wide * wide; j < high; j += wide)
            {
                var (r0, r1) = groups.Rows(j, j + wide);
                Micro.Column<TLanes, V>(t.Q + (nint)r0 * t.D, t.D, 1, r1 - r0, t.KT + (nint)j * s.Dim, wide, t.P + (nint)r0 * stride + j, stride, s.Dim, false);
            }
            for (int j = low / wide * wide; j < high; j += wide)
            {
                var (r0, r1) = groups.Rows(j, j + wide);
                Micro.Column<TLanes, V>(t.DO + (nint)r0 * t.E, t.E, 1, r1 - r0, t.VT + (nint)j * s.ValueDim, wide, t.G + (nint)r0 * stride + j, stride, s.ValueDim, false);
            }
            for (int r = 0; r < n; r++)
            {
                Real* p = t.P + (nint)r * stride + low, g = t.G + (nint)r * stride + low;
                var (a, b, seen) = f.view.Mask(new(p, high - low), first + r, low, high);
                f.view.Backward(p + a - low, g + a - low, b - a, seen);
                new Span<Real>(p, a - low).Clear(); new Span<Real>(g, a - low).Clear(); new Span<Real>(p + b - low, high - b).Clear(); new Span<Real>(g + b - low, high - b).Clear();
            }
            var (from, to) = groups.Shared;
            Keys(t, from, to, 0, n, stride);
            // Keys that only some rows see: as many at a time as the products take.
            for (int j = low; j < from; j += tall) { var (r0, r1) = groups.Rows(j, Math.Min(from, j + tall)); Keys(t, j, Math.Min(from, j + tall), r0, r1, stride); }
            for (int j = to; j < high; j += tall) { var (r0, r1) = groups.Rows(j, Math.Min(high, j + tall)); Keys(t, j, Math.Min(high, j + tall), r0, r1, stride); }
            for (int j = low, next; j < high; j = next)
            {
                next = Math.Min(high, j + RowView<TPattern, TWeights>.Step);
                groups.Sum<TLanes, V>(j, next, t.G + j, stride, t.K(0, j), t.KStep, t.D / wide, t.DQ, t.D);
            }
            for (int r = 0; r < n; r++) RowProduct.Plus<TLanes, V>(f.data.DQ + (row + r) * s.Dim, s.Scale, t.DQ + (nint)r * t.D, s.Dim);
            return (long)n * (high - low);
        }

        // dV += PᵀdO and dK += dSᵀQ for keys [from, to) and rows [r0, r1) of the block.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Keys(in FlashBackwardMemory<TLanes, V> t, int from, int to, int r0, int r1, nint stride)
        {
            int wide = 2 * TLanes.Count; Real* p = t.P + r0 * stride + from, d = t.G + r0 * stride + from;
            for (int c = 0; c < t.E; c += wide) Micro.Column<TLanes, V>(p, 1, stride, to - from, t.GradientPanel(c, r0), wide, t.DV + (nint)from * t.E + c, t.E, r1 - r0, true);
            for (int c = 0; c < t.D; c += wide) Micro.Column<TLanes, V>(d, 1, stride, to - from, t.QueryPanel(c, r0), wide, t.DK + (nint)from * t.D + c, t.D, r1 - r0, true);
        }
    }
}
