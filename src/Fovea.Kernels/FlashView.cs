using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Who sees whom in one attention call: the pattern, the block list and the positions of queries and keys together.</summary>
readonly unsafe struct FlashView<TPattern>(int queries, int queryOffset, int* positions, TPattern pattern, BlockList? blocks) where TPattern : struct, IPattern
{
    /// <summary>Keys of one step of the online softmax: windows end at multiples of it.</summary>
    public const int Window = 256;

    readonly TPattern pattern = pattern;
    // Both count keys one by one, so they cannot help where keys have positions of their own.
    // A struct that is kept as an interface is an allocation, which decoding does without: ranges are asked for where they are used.
    static readonly bool tiled = typeof(ITilePattern).IsAssignableFrom(typeof(TPattern)), ranged = typeof(IRangePattern).IsAssignableFrom(typeof(TPattern));
    readonly ITilePattern? tile = tiled && positions is null ? pattern as ITilePattern : null;
    public BlockList? Blocks => blocks;
    public int At(int query) => queryOffset + query;
    public int KeyAt(int key) => positions is null ? key : positions[key];

    /// <summary>Bounds are indices, from inclusive to exclusive.</summary>
    public Cover Tile(int query, int queryEnd, int key, int keyEnd) => pattern.Tile(At(query), At(queryEnd - 1), KeyAt(key), KeyAt(keyEnd - 1));

    /// <summary>First query after this one that has a block list of its own; end if there are no lists.</summary>
    public int SameList(int query, int end) => blocks is null ? end : (int)Math.Min(end, ((long)query / blocks.QueryBlock + 1) * blocks.QueryBlock);

    /// <summary>Ranges of keys in [from, to) that the list of this query names (all, if there is none), none of them longer than a window.</summary>
    public Windows Named(int batchHead, int query, int from, int to)
    {
        if (blocks is null) return new(null, 0, 0, from, to, from, to);
        int row = batchHead * ((queries + blocks.QueryBlock - 1) / blocks.QueryBlock) + query / blocks.QueryBlock;
        return new(blocks, blocks.Start[row], blocks.Start[row + 1], 0, 0, from, to);
    }

    public struct Windows(BlockList? list, int next, int end, int start, int stop, int low, int high)
    {
        int next = next, start = start, stop = stop;
        public bool Next(out int from, out int to)
        {
            while (start >= stop)
            {
                from = to = 0;
                if (next >= end) return false;
                long size = list!.KeyBlock, first = list.Keys[next++] * size, last = first + size;
                while (next < end && list.Keys[next] * size == last) { last += size; next++; }
                start = (int)Math.Clamp(first, low, high); stop = (int)Math.Clamp(last, low, high);
            }
            from = start; to = start = Math.Min(stop, (from / Window + 1) * Window);
            return true;
        }
    }

    /// <summary>Whether the keys of this range do not stand side by side.</summary>
    public bool Gaps(int from, int to)
    {
        if (positions is null) return false;
        for (int j = from + 1; j < to; j++) if (positions[j] != positions[j - 1] + 1) return true;
        return false;
    }

    /// <summary>What queries [query, queryEnd) see of each tile of [from, to), width keys wide and counted from the one that holds from.</summary>
    public void Tiles(int query, int queryEnd, int from, int to, int width, Cover* covers)
    {
        if (tile is not null) { tile.Tiles(At(query), At(queryEnd), from, to, width, new(covers, (to - 1) / width - from / width + 1)); return; }
        for (int at = from, end; at < to; at = end, covers++) { end = Math.Min(to, (at / width + 1) * width); *covers = Tile(query, queryEnd, at, end); }
    }

    /// <summary>
    /// Raw scores row of one query, whose place 0 is key run.Origin, become logits: the score is applied, and what is not seen becomes −∞. covers are those of
    /// run's tiles. Returns how many stretches of keys that stand side by side the score was applied to; runs holds them as pairs (first, end).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Logits<TScore>(Real* row, int query, in TileRun run, Cover* covers, int width, TScore score, int head, bool gaps, int* runs) where TScore : struct, IScore
    {
        int count = 1, i = At(query); bool slow = gaps || run.Mixed && tile is null;
        if (slow) count = Runs(query, run.From, run.To, run.Mixed ? covers : null, width, gaps, runs);
        else { runs[0] = run.From; runs[1] = run.To; }
        if (typeof(TScore) != typeof(Plain))
            for (int u = 0; u < count; u++) score.Row(new(row + runs[2 * u] - run.Origin, runs[2 * u + 1] - runs[2 * u]), head, i, KeyAt(runs[2 * u]));
        if (!slow) Hide(row, i, run, Real.NegativeInfinity);
        Outside(row, run.Origin, run.Places, runs, count, Real.NegativeInfinity);
        return count;
    }

    /// <summary>Whether queries see tiles here and there, and the pattern can tell which.</summary>
    public bool Scattered => tile is not null && blocks is null;

    /// <summary>The keys [Low, High) of so many that a query sees; the pattern must be an <see cref="IRangePattern"/>, and the keys must be numbered as they stand.</summary>
    public (int Low, int High) Range(int query, int keys)
    {
        var (low, high) = ((IRangePattern)pattern).Range(At(query));
        return (Math.Clamp(low, 0, keys), Math.Clamp(high, 0, keys));
    }

    /// <summary>The keys from the first to the last that any of these queries sees, as <see cref="Range"/> tells; (0, 0) if there are none.</summary>
    public (int Low, int High) Extent(int first, int last, int keys)
    {
        int low = int.MaxValue, high = 0;
        for (int i = first; i < last; i++) if (Range(i, keys) is var (l, h) && l < h) (low, high) = (Math.Min(low, l), Math.Max(high, h));
        return high == 0 ? (0, 0) : (low, high);
    }

    /// <summary>The largest number of keys that a query sees, if these stand side by side and are at most half of all; 0 otherwise.</summary>
    public int Narrow(int keys)
    {
        if (!ranged || positions is not null || blocks is not null) return 0;
        int widest = 0;
        for (int i = 0; i < queries && widest <= keys / 2; i++) { var (low, high) = Range(i, keys); widest = Math.Max(widest, high - low); }
        return widest <= keys / 2 ? widest : 0;
    }

    /// <summary>The grid of boxes whose tokens are numbered line by line, if these are all the queries and all of so many keys.</summary>
    public GridLines? Lines(int keys) => tile is BoxPattern { Boxes: { Lines: { } lines } boxes } && blocks is null && queryOffset == 0 && queries == boxes.Tokens && keys == boxes.Tokens ? lines : null;

    /// <summary>Fills the places of height rows, whose queries follow each other, that these do not see; see <see cref="ITilePattern"/>, which the pattern must be.</summary>
    public void Hide(Real* rows, nint stride, int query, int height, ReadOnlySpan<int> firstKeys, int width, Real value) => tile!.Hide(new(rows, (int)((height - 1) * stride) + firstKeys.Length * width), (int)stride, At(query), height, firstKeys, width, value);

    /// <summary>Fills the places of row whose keys the query does not see, where the pattern can tell of many pairs at once.</summary>
    public void Hide(Real* row, int query, in TileRun run, Real value)
    {
        if (run.Mixed) tile?.Hide(new(row + run.From - run.Origin, run.To - run.From), query, run.From, value);
    }

    /// <summary>
    /// Writes the visible keys of [from, to) as pairs (first, end) of runs that stand side by side, and returns their number. covers tells for each
    /// tile of width keys, counted from the one that holds from, what is known of it; null: every pair is seen.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Runs(int query, int from, int to, Cover* covers, int width, bool gaps, int* runs)
    {
        if (covers is null && !gaps) { runs[0] = from; runs[1] = to; return 1; }
        int count = 0, first = -1, i = At(query), tile = 0;
        if (ranged && positions is null)
        {
            var (low, high) = ((IRangePattern)pattern).Range(i);
            if (low >= to || high <= from || low >= high) return 0;
            runs[0] = Math.Max(low, from); runs[1] = Math.Min(high, to);
            return 1;
        }
        for (int j = from, end; j < to; j = end, tile++)
        {
            end = (int)Math.Min(to, ((long)j / width + 1) * width);
            bool test = covers is not null && covers[tile] != Cover.All;
            // A tile that is seen as a whole only makes the run longer.
            if (!test && !gaps) { if (first < 0) first = j; continue; }
            for (; j < end; j++)
            {
                bool seen = !test || pattern.Allows(i, KeyAt(j));
                if (first >= 0 && (!seen || gaps && positions[j] != positions[j - 1] + 1)) { runs[2 * count] = first; runs[2 * count++ + 1] = j; first = -1; }
                if (seen && first < 0) first = j;
            }
        }
        if (first >= 0) { runs[2 * count] = first; runs[2 * count++ + 1] = to; }
        return count;
    }

    /// <summary>Fills the places of row (whose first one is key origin) outside of the runs.</summary>
    public static void Outside(Real* row, int origin, int places, int* runs, int count, Real value)
    {
        int at = 0;
        for (int r = 0; r <= count; r++)
        {
            int end = r < count ? runs[2 * r] - origin : places;
            if (at < end) new Span<Real>(row + at, end - at).Fill(value);
            if (r < count) at = runs[2 * r + 1] - origin;
        }
    }
}
