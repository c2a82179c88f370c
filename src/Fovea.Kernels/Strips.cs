namespace Fovea.Kernels;

/// <summary>
/// A product with few rows or few columns. Few rows: every task packs some columns of B, a slice after the other, and is done with them, so that B goes through the cache once.
/// Few columns: B is packed as a whole, and every task takes some rows of A through all slices, so that threads wait for each other once.
/// </summary>
readonly unsafe struct Strips(Product p)
{
    const int FewRows = 96, FewColumns = 96, Rows = 48, Columns = 128, Tasks = 16;
    // Packed numbers of B that stay in the caches.
    const long Kept = 1 << 18;

    static bool Low(in Product p) => p.M <= FewRows && p.N > p.M;
    public static bool Suits<TLanes, V>(in Product p) where TLanes : struct, ILanes<V> where V : struct => Low(p) || p.N <= FewColumns && (long)p.K * p.N <= Kept;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, tall = Micro.Rows<V>(), slice = (p.K + Product.Slice<TLanes, V>() - 1) / Product.Slice<TLanes, V>(); slice = (p.K + slice - 1) / slice;
        if (Low(p))
        {
            int columns = Math.Clamp(p.N / Tasks / wide, 1, Math.Max(1, Columns / wide)) * wide, tasks = (p.N + columns - 1) / columns;
            Threads.For(tasks, p.Size < Product.Alone ? tasks : 1, new Across<TLanes, V>(p, columns, slice));
            return;
        }
        using var scratch = Scratch.Open(); int panels = (p.N + wide - 1) / wide, slices = (p.K + slice - 1) / slice; Real* pb = scratch.Take((long)panels * wide * slices * Product.Pitch(slice));
        Threads.For(slices, p.Size < Product.Alone ? slices : 1, new PackSlices<TLanes, V>(p, slice, pb, panels * wide));
        int rows = Math.Max(1, Rows / tall) * tall, blocks = (p.M + rows - 1) / rows;
        Threads.For(blocks, p.Size < Product.Alone ? blocks : 1, new Down<TLanes, V>(p, rows, slice, pb, panels * wide));
    }

    readonly struct Across<TLanes, V>(Product p, int columns, int slice) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            int wide = 2 * TLanes.Count; using var scratch = Scratch.Open(); Real* pb = scratch.Take((long)columns * Product.Pitch(slice));
            for (int x = from; x < to; x++)
            {
                int j0 = x * columns, width = Math.Min(columns, p.N - j0);
                for (int at = 0; at < p.K; at += slice)
                {
                    int count = Math.Min(slice, p.K - at);
                    p.PackB<TLanes, V>(j0, width, at, count, pb, wide);
                    for (int j = 0; j < width; j += wide)
                        Product.Strip<TLanes, V>(p.A + at * p.AStep, p.ARow, p.AStep, Micro.Rows<V>() * p.ARow, p.M, pb + (nint)j * Product.Pitch(count), wide, p.C + j0 + j, p.N, Math.Min(wide, width - j), count, p.Add || at > 0);
                }
            }
        }
    }

    readonly struct PackSlices<TLanes, V>(Product p, int slice, Real* pb, int width) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (int x = from; x < to; x++) { int at = x * slice; p.PackB<TLanes, V>(0, p.N, at, Math.Min(slice, p.K - at), pb + (nint)(at / slice) * Product.Pitch(slice) * width, 2 * TLanes.Count); }
        }
    }

    readonly struct Down<TLanes, V>(Product p, int rows, int slice, Real* pb, int width) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            int wide = 2 * TLanes.Count, tall = Micro.Rows<V>(); bool pack = p.AStep != 1; using var scratch = Scratch.Open(); Real* pa = pack ? scratch.Take((long)rows * Product.Pitch(slice)) : null;
            for (int x = from; x < to; x++)
            {
                int i = x * rows, height = Math.Min(rows, p.M - i);
                for (int at = 0; at < p.K; at += slice)
                {
                    int count = Math.Min(slice, p.K - at);
                    if (pack) p.PackA<TLanes, V>(i, height, at, count, pa, tall);
                    Real* a = pack ? pa : p.A + i * p.ARow + at; nint aRow = pack ? 1 : p.ARow, aStep = pack ? tall : 1, tile = pack ? (nint)tall * Product.Pitch(count) : tall * p.ARow;
                    for (int j = 0; j < p.N; j += wide)
                        Product.Strip<TLanes, V>(a, aRow, aStep, tile, height, pb + (nint)(at / slice) * Product.Pitch(slice) * width + (nint)j * Product.Pitch(count), wide, p.C + (nint)i * p.N + j, p.N, Math.Min(wide, p.N - j), count, p.Add || at > 0);
                }
            }
        }
    }
}
