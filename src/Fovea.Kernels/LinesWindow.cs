using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>
/// Some lines of keys that follow each other among those that a block of queries sees. Packed side by side they are one row of keys: each takes the places of the block, a multiple of the registers' width, and of this
/// row each line of queries sees a stretch.
/// </summary>
unsafe struct LinesWindow(Scratch scratch, int lines)
{
    readonly int* start = scratch.TakeInts(lines), stop = scratch.TakeInts(lines); readonly byte* uneven = (byte*)scratch.TakeInts((lines + 3) / 4);

    /// <summary>Lines [First, Last) of those that are seen, and lines [From, To) of queries that see any of them.</summary>
    public int First, Last, From, To;

    /// <summary>
    /// Of what lines [from, to) of queries see, takes the next lines of keys from this one on: at most so many, as long as they are next to each other and the queries that see them go on and do not begin anew. False if
    /// there are none left.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Open(in GridLines.Block b, int first, int most, int from, int to)
    {
        while (first < b.Seen && !(b.From[first] < to && b.To[first] > from)) first++;
        if (first == b.Seen) return false;
        (First, Last) = (first, first + 1);
        while (Last < b.Seen && Last - First < most && b.Key[Last] == b.Key[Last - 1] + 1 && b.From[Last] >= b.From[Last - 1] && b.From[Last] < to && b.To[Last] > from) Last++;
        (From, To) = Queries(b, First, Last); (From, To) = (Math.Max(From, from), Math.Min(To, to));
        for (int line = From; line < To; line++)
        {
            int low = -1, high = 0, seen = 0; uneven[line] = 0;
            for (int i = First; i < Last; i++)
            {
                var cover = b.Cover(i, line);
                if (cover == Cover.None) continue;
                if (low < 0) low = i - First;
                high = i - First + 1; seen++;
                if (cover == Cover.Mixed) uneven[line] = 1;
            }
            (start[line], stop[line]) = (Math.Max(low, 0), high);
            if (seen < high - low && high > 0) uneven[line] = 1;
        }
        return true;
    }

    /// <summary>Lines of queries that see any of these lines of keys.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static (int From, int To) Queries(in GridLines.Block b, int first, int last)
    {
        var (from, to) = (b.From[first], b.To[first]);
        for (int i = first + 1; i < last; i++) (from, to) = (Math.Min(from, b.From[i]), Math.Max(to, b.To[i]));
        return (from, to);
    }

    /// <summary>Lines of queries that see any of the lines of this window in the tile at place x, if its first line stands behind so many others there.</summary>
    public readonly (int From, int To) Tile(in GridLines.Block b, int x, int wide, int behind) => Queries(b, Math.Max(First, First - behind + x / b.Places), Math.Min(Last, First - behind + (x + wide - 1) / b.Places + 1));

    /// <summary>The lines of this window that a line of queries sees. Uneven: not all of its queries see all between these.</summary>
    public readonly (int Start, int Stop, bool Uneven) Stretch(int line) => (start[line], stop[line], uneven[line] != 0);

    /// <summary>Lines of queries from this one on that see the same stretch: where they end, and what it is. Few queries are joined with the next ones, whose stretch may be longer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly int Alike<V>(int line, int columns, out int from, out int to) where V : struct
    {
        int few = Micro.Rows<V>() == 12 ? 8 : 4, end = Math.Min(To, line + (few - 1 + columns) / columns);
        (from, to) = (0, 0);
        for (; line < end; line++)
            if (start[line] < stop[line]) (from, to) = from == to ? (start[line], stop[line]) : (Math.Min(from, start[line]), Math.Max(to, stop[line]));
        while (end < To && start[end] == from && stop[end] == to) end++;
        return end;
    }

    /// <summary>What all lines of queries of this window see of it.</summary>
    public readonly (int From, int To) Common()
    {
        int from = 0, to = Last - First;
        for (int line = From; line < To; line++) (from, to) = (Math.Max(from, start[line]), Math.Min(to, stop[line]));
        return (from, Math.Max(from, to));
    }

    /// <summary>Sets what a line of queries does not see of its window to zero, in each of its rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void Clear(int line, Real* row, nint stride, int rows, int places)
    {
        var (from, to) = (start[line], stop[line]);
        if (from == 0 && to == Last - First) return;
        for (; rows > 0; rows--, row += stride) { new Span<Real>(row, from * places).Clear(); new Span<Real>(row + (nint)to * places, (Last - First - to) * places).Clear(); }
    }

    /// <summary>Rows of one line, transposed into tiles two registers wide, from place at on; zeros where there are more places than rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tiles<TLanes, V>(Real* src, int dim, int rows, int places, Real* tiles, int at) where TLanes : struct, ILanes<V> where V : struct
    {
        int lanes = TLanes.Count, wide = 2 * lanes;
        for (int x = 0; x < places; x += lanes) Pack.Transposed(src + (nint)x * dim, dim, Math.Clamp(rows - x, 0, lanes), dim, tiles + (nint)((at + x) / wide * wide) * dim + (at + x) % wide, wide, lanes);
    }

    /// <summary>These rows in rows of whole tiles: themselves, if theirs are.</summary>
    public static Real* Wider<TLanes, V>(Scratch scratch, Real* rows, int count, int columns, int padded) where TLanes : struct, ILanes<V> where V : struct
    {
        if (padded == columns) return rows;
        Real* to = scratch.Take((long)count * padded);
        Threads.For(count, 64, new WiderRows<TLanes, V>(rows, columns, to, padded));
        return to;
    }

    readonly struct WiderRows<TLanes, V>(Real* rows, int columns, Real* wider, int padded) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (long r = from; r < to; r++) FlashRows.Scale<TLanes, V>(rows + r * columns, 1, wider + r * padded, columns, padded);
        }
    }

    /// <summary>Asks for some rows that will be read soon.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Ahead(Real* src, int dim, int rows)
    {
        if (Sse.IsSupported) for (byte* p = (byte*)src, end = p + (nint)rows * dim * sizeof(Real); p < end; p += 64) Sse.Prefetch1(p);
    }
}
