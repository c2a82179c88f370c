using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>
/// One product C[M,N] (+)= A·B with any strides of A and B, of which one is 1 on each side; C is row-major and dense. Which way it goes, and every cut, depends on the
/// sizes alone: single rows are read off B, small products are computed where they lie, sums longer than their result is large are split, and the rest is packed.
/// </summary>
readonly unsafe struct Product(Real* a, nint aRow, nint aStep, Real* b, nint bStep, nint bColumn, Real* c, int m, int n, int k, bool add)
{
    public readonly Real* A = a, B = b, C = c; public readonly nint ARow = aRow, AStep = aStep, BStep = bStep, BColumn = bColumn; public readonly int M = m, N = n, K = k; public readonly bool Add = add;
    // Fewer multiply-adds than this are done before a second thread has woken up.
    public const long Alone = 1 << 17;
    // B of so many numbers stays in L2, of so many rows in few enough of its pages.
    const int InPlace = 1 << 14, InPlaceRows = 256;
    // Results that are no larger are summed up in parts if the sum is long.
    const int Small = 1 << 14, Long = 2048;

    /// <summary>Steps of k that go together: two registers of columns of B stay in L1 (24 kB at 256 bits).</summary>
    public static int Slice<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct => TLanes.Count * sizeof(Real) > 32 ? 256 : 384;

    public long Size => (long)M * N * K;

    public static Product Of(Gemm.Kind kind, Real* a, Real* b, Real* c, int m, int k, int n, bool add) => kind switch
    {
        Gemm.Kind.NN => new(a, k, 1, b, n, 1, c, m, n, k, add),
        Gemm.Kind.NT => new(a, k, 1, b, 1, k, c, m, n, k, add),
        _ => new(a, 1, k, b, n, 1, c, k, n, m, add),
    };

    /// <summary>The same product on the x-th matrices of a batch.</summary>
    public Product At(long x) => new(A + x * M * K, ARow, AStep, B + x * K * N, BStep, BColumn, C + x * M * N, M, N, K, Add);

    /// <summary>The part of the sum that begins at step from, into a result of its own.</summary>
    public Product Part(int from, int count, Real* to) => new(A + from * AStep, ARow, AStep, B + from * BStep, BStep, BColumn, to, M, N, count, false);

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        if (K == 0 && !Add) new Span<Real>(C, checked(M * N)).Clear();
        if (K == 0) return;
        if (M == 1) new RowProduct(A, AStep, B, BStep, BColumn, C, N, K, Add).Run<TLanes, V>();
        else if (N == 1) new RowProduct(B, BStep, A, AStep, ARow, C, M, K, Add).Run<TLanes, V>();
        else if (M <= DotRows.Most && BStep == 1 && AStep == 1) new DotRows(this).Run<TLanes, V>();
        else if (M <= SweepRows.Most && BColumn == 1 && Size > Alone) new SweepRows(this).Run<TLanes, V>();
        else if ((long)M * N <= Small && K >= Long) new SplitSum(this).Run<TLanes, V>();
        else if (K <= InPlaceRows && (long)K * N <= InPlace && Size <= 2 * Alone) Lying<TLanes, V>();
        else if (Strips.Suits<TLanes, V>(this)) new Strips(this).Run<TLanes, V>();
        else new Blocked(this).Run<TLanes, V>();
    }

    // Where the operands lie; only a transposed B is turned.
    void Lying<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        Real* b = B; nint step = BStep; using var scratch = Scratch.Open();
        if (BColumn != 1)
        {
            step = (N + 2 * TLanes.Count - 1) / (2 * TLanes.Count) * (2 * TLanes.Count); b = scratch.Take(K * step);
            Pack.Transposed(B, BColumn, N, K, b, (int)step);
        }
        // What follows belongs to the next product of a batch, and is fetched meanwhile.
        int tall = Micro.Rows<V>(), wide = 2 * TLanes.Count; int tiles = (M + tall - 1) / tall * ((N + wide - 1) / wide), x = 0;
        for (int j = 0; j < N; j += wide)
        {
            Real* panel = b + j; nint pitch = step; Real* padded = null;
            if (BColumn == 1 && N - j < wide) { padded = scratch.Take((long)K * wide); Pack.Straight<TLanes, V>(b + j, step, N - j, K, padded, wide, 0); panel = padded; pitch = wide; }
            for (int i = 0; i < M; i += tall, x++)
            {
                Panel.FetchNext(A, (long)M * K, x, 1, tiles); Panel.FetchNext(B, (long)K * N, x, 1, tiles); Panel.FetchNext(C, (long)M * N, x, 1, tiles);
                Strip<TLanes, V>(A + i * ARow, ARow, AStep, tall * ARow, Math.Min(tall, M - i), panel, pitch, C + (nint)i * N + j, N, Math.Min(wide, N - j), K, Add);
            }
        }
    }

    /// <summary>Rows of a packed panel: one to spare, or else panels of even sizes would lie in the same lines of the cache.</summary>
    public static int Pitch(int count) => count + 1;

    /// <summary>Packs columns [from, from + columns) of a slice of B in panels of width columns.</summary>
    public void PackB<TLanes, V>(int from, int columns, int at, int count, Real* to, int width) where TLanes : struct, ILanes<V> where V : struct
    {
        if (BColumn == 1) Pack.Straight<TLanes, V>(B + from + at * BStep, BStep, columns, count, to, width, Pitch(count) * width);
        else for (int j = 0; j < columns; j += width) Pack.Transposed(B + (from + j) * BColumn + at, BColumn, Math.Min(width, columns - j), count, to + (nint)j * Pitch(count), width);
    }

    /// <summary>Packs rows [from, from + rows) of a slice of A in panels of height rows.</summary>
    public void PackA<TLanes, V>(int from, int rows, int at, int count, Real* to, int height) where TLanes : struct, ILanes<V> where V : struct
    {
        if (AStep != 1) Pack.Straight<TLanes, V>(A + from + at * AStep, AStep, rows, count, to, height, Pitch(count) * height);
        else for (int i = 0; i < rows; i += height) Pack.Transposed(A + (from + i) * ARow + at, ARow, Math.Min(height, rows - i), count, to + (nint)i * Pitch(count), height);
    }

    /// <summary>
    /// c[rows, width] = (or +=) A·B for one panel of B, of which width columns belong to C. Tiles of A lie tile numbers apart. The next lines of C are asked for while a tile is computed.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Strip<TLanes, V>(Real* a, nint aRow, nint aStep, nint tile, int rows, Real* b, nint bStep, Real* c, nint ldc, int width, int count, bool plus) where TLanes : struct, ILanes<V> where V : struct
    {
        int tall = Micro.Rows<V>(), wide = 2 * TLanes.Count; Real* edge = stackalloc Real[12 * 2 * 16]; bool packed = tile != tall * aRow;
        for (int height; rows > 0; rows -= height, a += height == tall ? tile : height * aRow, c += height * ldc)
        {
            // Two tiles of four rows are faster than six rows and two.
            height = !packed && tall == 6 && rows == 8 ? 4 : Math.Min(tall, rows);
            if (Sse.IsSupported) for (int r = 0; r < height; r++) Sse.Prefetch0(c + r * ldc);
            if (width == wide) { Micro.Tile<TLanes, V>(a, aRow, aStep, height, b, bStep, c, ldc, count, plus); continue; }
            Micro.Tile<TLanes, V>(a, aRow, aStep, height, b, bStep, edge, wide, count, false);
            for (int r = 0; r < height; r++)
                for (int x = 0; x < width; x++) c[r * ldc + x] = plus ? c[r * ldc + x] + edge[r * wide + x] : edge[r * wide + x];
        }
    }
}
