namespace Fovea.Mechanisms;

/// <summary>Tiles of a sparse attention call: those that some query sees, those of them in which not every pair is seen, and those of attention without a pattern.</summary>
public readonly record struct TileCount(long Visited, long Partial, long Dense)
{
    /// <summary>How many times faster than dense attention a kernel can be that computes whole tiles.</summary>
    public double Bound => (double)Dense / Visited;
    /// <summary>No tile needs a mask.</summary>
    public bool PerfectlySparse => Partial == 0;
}

/// <summary>Counts the tiles that neighbourhood attention visits, without tensors, from the extents of windows alone (§4).</summary>
[From("gna", "§4")]
public static class TileSimulator
{
    /// <summary>
    /// Tiles that are boxes of the grid, so many tokens per axis. Static tiles of keys stand on a grid of their own; dynamic ones begin where the window of the tile of queries begins.
    /// </summary>
    public static TileCount Boxes(ReadOnlySpan<GridAxis> axes, ReadOnlySpan<int> queryTile, ReadOnlySpan<int> keyTile, bool dynamic = false)
    {
        if (queryTile.Length != axes.Length || keyTile.Length != axes.Length) throw new ArgumentException($"tiles have {queryTile.Length} and {keyTile.Length} axes, the grid {axes.Length}");
        // Axes are independent: what is visited, or seen by all, is a product over them, summed over tiles of queries.
        long visited = 1, full = 1, dense = 1;
        for (int a = 0; a < axes.Length; a++)
        {
            var axis = axes[a]; axis.Check();
            if (axis.Dilation != 1) throw new NotSupportedException("boxes of tokens are counted for dilation 1");
            if (queryTile[a] < 1 || keyTile[a] < 1) throw new ArgumentException($"tiles of {queryTile[a]} × {keyTile[a]} tokens on axis {a}, must be positive");
            long seen = 0, whole = 0; int t = keyTile[a], tiles = (axis.Length + t - 1) / t;
            for (int q0 = 0; q0 < axis.Length; q0 += queryTile[a])
            {
                var (low, high, first, last) = Extent(axis, q0, Math.Min(axis.Length, q0 + queryTile[a]) - 1);
                int from = dynamic ? low : low / t * t;
                for (; from < high; from += t) { seen++; if (from >= first && Math.Min(from + t, axis.Length) <= last) whole++; }
            }
            (visited, full, dense) = (visited * seen, full * whole, dense * tiles * ((axis.Length + queryTile[a] - 1) / queryTile[a]));
        }
        return new(visited, visited - full, dense);
    }

    /// <summary>Tiles of consecutive tokens in the order of the grid: what the fused kernel does, with the tiles that it has. A tile counts as visited if the box around its keys meets the box around the windows.</summary>
    public static TileCount InOrder(Neighbourhood grid, int queryTile, int keyTile)
    {
        int n = grid.Tokens, axes = grid.Axes.Count, tiles = (n + keyTile - 1) / keyTile; long visited = 0, partial = 0;
        var keys = Enumerable.Range(0, tiles * axes).Select(x => Box(grid, x / tiles, x % tiles * keyTile, Math.Min(n, (x % tiles + 1) * keyTile), grid.Place, grid.Place)).ToArray();
        for (int q0 = 0; q0 < n; q0 += queryTile)
        {
            int end = Math.Min(n, q0 + queryTile);
            var low = Enumerable.Range(0, axes).Select(a => Box(grid, a, q0, end, grid.Low, grid.Low)).ToArray(); var high = Enumerable.Range(0, axes).Select(a => Box(grid, a, q0, end, grid.High, grid.High)).ToArray();
            for (int t = 0; t < tiles; t++)
            {
                bool any = true, all = true;
                for (int a = 0; a < axes; a++)
                {
                    var (first, last) = keys[a * tiles + t];
                    any &= last >= low[a].Least && first < high[a].Most; all &= first >= low[a].Most && last < high[a].Least;
                }
                if (any) { visited++; if (!all) partial++; }
            }
        }
        return new(visited, partial, (long)tiles * ((n + queryTile - 1) / queryTile));
    }

    /// <summary>The smallest stride on every axis that gives the largest bound.</summary>
    public static int BestStride(ReadOnlySpan<GridAxis> axes, ReadOnlySpan<int> queryTile, ReadOnlySpan<int> keyTile, bool dynamic = false)
    {
        int best = 1; double bound = 0; var with = new GridAxis[axes.Length];
        for (int s = 1; s <= axes[0].Window; s++)
        {
            for (int a = 0; a < axes.Length; a++) with[a] = axes[a] with { Stride = Math.Min(s, axes[a].Window) };
            if (Boxes(with, queryTile, keyTile, dynamic).Bound is var b && b > bound) (best, bound) = (s, b);
        }
        return best;
    }

    // Where windows of queries [q0, q1] begin at the earliest and end at the latest; where they have all begun, and where the first one ends.
    static (int Low, int High, int First, int Last) Extent(GridAxis axis, int q0, int q1)
    {
        int low = int.MaxValue, high = 0, first = 0, last = int.MaxValue;
        for (int q = q0; q <= q1; q++) { var (start, end) = axis.Sees(q); (low, high, first, last) = (Math.Min(low, start), Math.Max(high, end), Math.Max(first, start), Math.Min(last, end)); }
        return (low, high, first, last);
    }

    static (int Least, int Most) Box(Neighbourhood grid, int axis, int from, int to, Func<int, int, int> least, Func<int, int, int> most)
    {
        int a = int.MaxValue, b = int.MinValue;
        for (int i = from; i < to; i++) { a = Math.Min(a, least(axis, grid.Order[i])); b = Math.Max(b, most(axis, grid.Order[i])); }
        return (a, b);
    }
}
