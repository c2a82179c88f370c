namespace Fovea.Kernels;

/// <summary>Rows that lie in pages, in the order of a table. A struct, valid while the pages are.</summary>
public readonly unsafe struct PageSource<TFormat>(byte** pages, int dim) : IDecodedSource where TFormat : struct, INumberFormat
{
    RowRuns Runs(int first, int n) => new(pages, first, n, (nint)Formats.RowBytes<TFormat>(dim));
    FormatRows<TFormat> Page(byte* at) => new(at, 0, dim);

    public void Dots<TLanes, V>(int head, int first, int n, Real* x, int rows, Real* to, nint step, Real* scratch) where TLanes : struct, ILanes<V> where V : struct
    {
        var runs = Runs(first, n);
        if (TFormat.Direct(dim)) { TFormat.Dots(runs, dim, x, rows, to, step); return; }
        for (int done = 0, some; done < n; done += some) Page(runs.At(done, out some)).Dots<TLanes, V>(0, 0, some, x, rows, to + done, step, scratch);
    }
    public void Sweep<TLanes, V>(int head, int first, int n, Real* p, nint step, Real* to, int rows, Real* scratch) where TLanes : struct, ILanes<V> where V : struct
    {
        var runs = Runs(first, n);
        if (TFormat.Direct(dim)) { TFormat.Sweep(runs, dim, p, step, to, rows); return; }
        for (int done = 0, some; done < n; done += some) Page(runs.At(done, out some)).Sweep<TLanes, V>(0, 0, some, p + done, step, to, rows, scratch);
    }
    public void Decode(int first, int n, float* to)
    {
        var runs = Runs(first, n);
        for (int done = 0, some; done < n; done += some) Page(runs.At(done, out some)).Decode(0, some, to + (nint)done * dim);
    }
}

/// <summary>
/// Rows of <paramref name="dim"/> numbers in a format, in pages of <see cref="PageRows"/> rows that come from a pool and go back as rows leave. A fork shares pages until one side writes into them.
/// </summary>
public sealed unsafe class PagedRows(NumberFormat format, int dim, PagePool pool) : CachedRows
{
    public const int PageRows = 64;
    readonly int rowBytes = checked((int)format.RowBytes(dim));
    long[] pages = []; nint[] table = [];

    /// <summary>Bytes of a page of rows of dim numbers.</summary>
    public static int PageBytes(NumberFormat format, int dim) => checked((int)(PageRows * format.RowBytes(dim)));
    public NumberFormat Format => format;
    public override int Dim => dim;
    public override int Count { get; private protected set; }
    public override long Bytes => (long)PageCount * pool.PageBytes;
    public override long RowBytes => rowBytes;
    int PageCount => (Count + PageRows - 1) / PageRows;

    // Pinned, so that kernels may read it where it lies.
    byte** Table { get { fixed (nint* p = table) return (byte**)p; } }
    internal override void Use<TUser>(TUser user) { var opened = new Opened<TUser>(user, Table, dim); format.Use(ref opened); }
    readonly struct Opened<TUser>(TUser user, byte** table, int dim) : IFormatUser where TUser : struct, ISourceUser { public void Run<TFormat>() where TFormat : struct, INumberFormat => user.Run(new PageSource<TFormat>(table, dim)); }

    public override void Append(ReadOnlySpan<float> rows)
    {
        int n = rows.Length / dim;
        if (n * dim != rows.Length) throw new ArgumentException($"{rows.Length} numbers are not rows of {dim}");
        for (int done = 0, some; done < n; done += some, Count += some)
        {
            int at = Count % PageRows, page = Count / PageRows; some = Math.Min(n - done, PageRows - at);
            if (at == 0) Put(page, pool.Take()); else Own(page, at);
            format.Encode(rows.Slice(done * dim, some * dim), dim, new((byte*)table[page] + at * rowBytes, some * rowBytes));
        }
    }

    public override void Decode(int first, int n, Span<float> to)
    {
        Check(first, n);
        for (int done = 0, some; done < n; done += some)
        {
            int at = (first + done) % PageRows; some = Math.Min(n - done, PageRows - at);
            format.Decode(new((byte*)table[(first + done) / PageRows] + at * rowBytes, some * rowBytes), dim, to.Slice(done * dim, some * dim));
        }
    }

    /// <summary>Keeps the rows with these indices, ascending, as they are to the last bit, and gives back the pages that are left over.</summary>
    public override void Keep(ReadOnlySpan<int> rows)
    {
        Check(rows);
        int same = 0, old = PageCount;
        while (same < rows.Length && rows[same] == same) same++;
        if (same == Count) return;
        // Whole pages of what stays in place stay; the rest is written anew, so that shared pages are not touched and free pages of older slabs are used.
        int first = same / PageRows; int kept = (rows.Length + PageRows - 1) / PageRows;
        long[] oldPages = pages[first..old]; nint[] oldTable = table[first..old];
        for (int p = first; p < kept; p++)
        {
            Put(p, pool.Take());
            for (int i = p * PageRows; i < Math.Min(rows.Length, (p + 1) * PageRows); i++)
            {
                int from = rows[i] / PageRows; byte* page = from < first ? (byte*)table[from] : (byte*)oldTable[from - first];
                new ReadOnlySpan<byte>(page + rows[i] % PageRows * rowBytes, rowBytes).CopyTo(new((byte*)table[p] + i % PageRows * rowBytes, rowBytes));
            }
        }
        foreach (long p in oldPages) pool.Give(p);
        Count = rows.Length;
    }

    public override void Cut(int count)
    {
        if (count < 0 || count > Count) throw new ArgumentOutOfRangeException(nameof(count), count, $"there are {Count} rows");
        int old = PageCount; Count = count;
        for (int p = PageCount; p < old; p++) pool.Give(pages[p]);
    }

    public override PagedRows Fork()
    {
        var other = new PagedRows(format, dim, pool) { Count = Count };
        for (int p = 0; p < PageCount; p++) { pool.Share(pages[p]); other.Put(p, pages[p]); }
        return other;
    }

    // A page that others own too is copied before it is written.
    void Own(int page, int rows)
    {
        if (!pool.Shared(pages[page])) return;
        long mine = pool.Take(), old = pages[page];
        new ReadOnlySpan<byte>((byte*)table[page], rows * rowBytes).CopyTo(new(pool.At(mine), rows * rowBytes));
        Put(page, mine); pool.Give(old);
    }

    void Put(int at, long page)
    {
        if (at == pages.Length)
        {
            int size = Math.Max(4, 2 * at); var grown = GC.AllocateUninitializedArray<nint>(size, pinned: true);
            table.CopyTo(grown, 0); table = grown; Array.Resize(ref pages, size);
        }
        (pages[at], table[at]) = (page, (nint)pool.At(page));
    }
}
