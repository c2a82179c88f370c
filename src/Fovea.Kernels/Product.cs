using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>
/// One product C[M,N] (+)= A·B with any strides of A and B, of which one is 1 on each side; C is row-major and dense. k is cut into slices of at
/// most <see cref="Slice"/>; for each, what does not lie well is packed, and then blocks of C are computed in any order. The cuts depend on
/// the sizes alone.
/// </summary>
readonly unsafe struct Product(Real* a, nint aRow, nint aStep, Real* b, nint bStep, nint bColumn, Real* c, int m, int n, int k, bool add)
{
    readonly Real* a = a, b = b, c = c; readonly nint aRow = aRow, aStep = aStep, bStep = bStep, bColumn = bColumn; readonly int m = m, n = n, k = k; readonly bool add = add;
    // A slice of two registers of B columns stays in L1 (16 kB at 256 bits), a block of A in L2.
    const int Slice = 256, BlockRows = 96, BlockColumns = 512;
    // Fewer multiply-adds than this are done before a second thread has woken up.
    const long Alone = 1 << 17;

    public int M => m;
    public int N => n;
    public long Size => (long)m * n * k;

    public static Product Of(Gemm.Kind kind, Real* a, Real* b, Real* c, int m, int k, int n, bool add) => kind switch
    {
        Gemm.Kind.NN => new(a, k, 1, b, n, 1, c, m, n, k, add),
        Gemm.Kind.NT => new(a, k, 1, b, 1, k, c, m, n, k, add),
        _ => new(a, 1, k, b, n, 1, c, k, n, m, add),
    };

    /// <summary>The same product on the x-th matrices of a batch.</summary>
    public Product At(long x) => new(a + x * m * k, aRow, aStep, b + x * k * n, bStep, bColumn, c + x * m * n, m, n, k, add);

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        if (k == 0 && !add) new Span<Real>(c, checked(m * n)).Clear();
        if (k == 0) return;
        if (m == 1) { new RowProduct(a, aStep, b, bStep, bColumn, c, n, k, add).Run<TLanes, V>(); return; }
        if (n == 1) { new RowProduct(b, bStep, a, aStep, aRow, c, m, k, add).Run<TLanes, V>(); return; }
        if (m <= 4 && bStep == 1 && aStep == 1) { for (int i = 0; i < m; i++) new RowProduct(a + i * aRow, 1, b, 1, bColumn, c + (nint)i * n, n, k, add).Run<TLanes, V>(); return; }
        Blocked<TLanes, V>();
    }

    void Blocked<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int tall = Micro.Rows<V>(), wide = 2 * TLanes.Count, down = (m + tall - 1) / tall, across = (n + wide - 1) / wide;
        int rows = Math.Min(BlockRows / tall, down), columns = Math.Min(Math.Max(1, BlockColumns / wide), across);
        while ((long)((down + rows - 1) / rows) * ((across + columns - 1) / columns) < 32 && (rows > 4 || columns > 4))
            if (columns * wide >= rows * tall && columns > 4 || rows <= 4) columns = (columns + 1) / 2; else rows = (rows + 1) / 2;
        int slices = (k + Slice - 1) / Slice, slice = (k + slices - 1) / slices;
        // Few rows do not repay a copy of B; only its last, narrower panel is needed with padding.
        bool packA = m > tall && (aStep != 1 || aRow > Slice && n > 4 * wide), packB = bColumn != 1 || m > 2 * tall;
        int firstB = packB ? 0 : n / wide;
        using var scratch = Scratch.Open();
        Real* pa = packA ? scratch.Take((long)down * tall * slice) : null, pb = scratch.Take((long)(across - firstB) * wide * slice);
        for (int at = 0; at < k; at += slice)
        {
            var part = new Part<TLanes, V>(this, at, Math.Min(slice, k - at), pa, pb, packA ? down : 0, firstB, rows, columns);
            int panels = across - firstB + (packA ? down : 0), blocks = part.Blocks;
            if (panels > 0) Threads.For(panels, Size < Alone ? panels : Math.Max(1, panels / 64), new PackPart<TLanes, V>(part));
            Threads.For(blocks, Size < Alone ? blocks : 1, part);
        }
    }

    /// <summary>One slice of k: packing, and the blocks of C.</summary>
    readonly struct Part<TLanes, V>(Product p, int at, int count, Real* pa, Real* pb, int panelsA, int firstB, int rows, int columns) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Tall => Micro.Rows<V>();
        static int Wide => 2 * TLanes.Count;
        int Across => (p.n + Wide * columns - 1) / (Wide * columns);
        public int Blocks => (p.m + Tall * rows - 1) / (Tall * rows) * Across;

        public void Pack(int panel)
        {
            if (panel < panelsA) { PackA(panel * Tall); return; }
            int j = (panel - panelsA + firstB) * Wide, width = Math.Min(Wide, p.n - j); Real* to = pb + (nint)(panel - panelsA) * Wide * count;
            if (p.bColumn == 1) Kernels.Pack.Straight<TLanes, V>(p.b + j + at * p.bStep, p.bStep, width, count, to, Wide);
            else Kernels.Pack.Transposed(p.b + j * p.bColumn + at, p.bColumn, width, count, to, Wide);
        }

        void PackA(int i)
        {
            int height = Math.Min(Tall, p.m - i); Real* to = pa + (nint)i * count;
            if (p.aStep == 1) Kernels.Pack.Transposed(p.a + i * p.aRow + at, p.aRow, height, count, to, Tall);
            else Kernels.Pack.Straight<TLanes, V>(p.a + i + at * p.aStep, p.aStep, height, count, to, Tall);
        }

        public void Run(int from, int to) { for (int x = from; x < to; x++) Block(x / Across * rows * Tall, x % Across * columns * Wide); }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Block(int i0, int j0)
        {
            int i1 = Math.Min(p.m, i0 + rows * Tall), j1 = Math.Min(p.n, j0 + columns * Wide); bool plus = p.add || at > 0;
            Real* edge = stackalloc Real[12 * 2 * 16];
            for (int j = j0; j < j1; j += Wide)
            {
                int panel = j / Wide - firstB, width = Math.Min(Wide, p.n - j);
                Real* b = panel < 0 ? p.b + at * p.bStep + j : pb + (nint)panel * Wide * count;
                nint step = panel < 0 ? p.bStep : Wide;
                for (int i = i0; i < i1; i += Tall)
                {
                    int height = Math.Min(Tall, i1 - i); Real* c = p.c + (nint)i * p.n + j;
                    Real* a = panelsA > 0 ? pa + (nint)i * count : p.a + i * p.aRow + at * p.aStep;
                    nint aRow = panelsA > 0 ? 1 : p.aRow, aStep = panelsA > 0 ? Tall : p.aStep;
                    if (Sse.IsSupported) for (int r = 0; r < height; r++) Sse.Prefetch0(c + (nint)r * p.n);     // arrives while the tile is computed
                    if (width == Wide) { Micro.Tile<TLanes, V>(a, aRow, aStep, height, b, step, c, p.n, count, plus); continue; }
                    Micro.Tile<TLanes, V>(a, aRow, aStep, height, b, step, edge, Wide, count, false);
                    for (int r = 0; r < height; r++)
                        for (int x = 0; x < width; x++) c[(nint)r * p.n + x] = plus ? c[(nint)r * p.n + x] + edge[r * Wide + x] : edge[r * Wide + x];
                }
            }
        }
    }

    readonly struct PackPart<TLanes, V>(Part<TLanes, V> part) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to) { for (int x = from; x < to; x++) part.Pack(x); }
    }
}
