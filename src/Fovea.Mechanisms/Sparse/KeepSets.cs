using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Key j is seen by queries [First[j], End[j]): sets of keys that tokens enter and leave again, each once.</summary>
public readonly record struct Lifetimes(int[] First, int[] End) : ITilePattern
{
    public bool Allows(int query, int key) => query >= First[key] && query < End[key];

    public Cover Tile(int q0, int q1, int k0, int k1)
    {
        bool any = false, all = true;
        for (int j = k0; j <= k1; j++) { any |= First[j] <= q1 && End[j] > q0; all &= First[j] <= q0 && End[j] > q1; }
        return all ? Cover.All : any ? Cover.Mixed : Cover.None;
    }

    public void Tiles(int query, int queryEnd, int key, int keyEnd, int width, Span<Cover> covers)
    {
        for (int t = 0, at = key, end; at < keyEnd; at = end, t++) { end = Math.Min(keyEnd, (at / width + 1) * width); covers[t] = Tile(query, queryEnd - 1, at, end - 1); }
    }

    public void Hide(Span<Real> row, int query, int firstKey, Real value)
    {
        for (int j = 0; j < row.Length; j++) if (!Allows(query, firstKey + j)) row[j] = value;
    }

    public void Hide(Span<Real> rows, int stride, int query, int height, ReadOnlySpan<int> firstKeys, int width, Real value)
    {
        for (int t = 0; t < firstKeys.Length; t++)
            for (int r = 0; r < height && firstKeys[t] >= 0; r++) Hide(rows.Slice(r * stride + t * width, Math.Min(width, First.Length - firstKeys[t])), query + r, firstKeys[t], value);
    }
}

/// <summary>Sets of the w highest ranked tokens among those so far, whatever ranks them. What has left never returns, so that a cache of w entries decodes as the whole text does.</summary>
[From("dma", "§3.2")]
public static class KeepSets
{
    /// <summary>
    /// ranks [R,M] of R texts, whose last <paramref name="queries"/> tokens ask and whose others came before them → lifetimes of all R·M keys, counted in the R·queries queries that stand one after the other. Of equal ranks the earlier
    /// token wins. With prefix = false the w highest of the whole text are seen by all that come after them, so that later tokens decide what earlier ones see.
    /// </summary>
    public static Lifetimes Of(ReadOnlySpan<Real> ranks, int texts, int queries, int keep, bool prefix = true)
    {
        int m = ranks.Length / texts, past = m - queries; int[] first = new int[ranks.Length], end = new int[ranks.Length];
        for (int r = 0; r < texts; r++)
        {
            var row = ranks.Slice(r * m, m); var kept = new PriorityQueue<int, (Real, int)>();
            for (int j = 0; j < m; j++)
            {
                int at = r * m + j, query = r * queries + Math.Max(0, j - past);
                first[at] = query; end[at] = (r + 1) * queries; kept.Enqueue(j, (row[j], -j));
                if (kept.Count <= keep) continue;
                int gone = r * m + kept.Dequeue();
                // What the past alone decides has no query; over whole texts the loser was never there.
                end[gone] = prefix ? query : first[gone];
            }
        }
        return new(first, end);
    }

    /// <summary>
    /// The same as lists: for each query the blocks of keys of which it sees at least one; for so many heads that share them. Queries do not share lists: in what order a query sums would then depend on later ones.
    /// </summary>
    public static BlockList Lists(Lifetimes of, int queries, int heads, int size = 16)
    {
        int rows = queries; var lists = new List<int>[rows]; var seen = new bool[rows];
        for (int t = 0; t < rows; t++) lists[t] = [];
        for (int from = 0; from < of.First.Length; from += size)
        {
            Array.Clear(seen);
            for (int j = from; j < Math.Min(of.First.Length, from + size); j++)
                if (of.End[j] > of.First[j]) Array.Fill(seen, true, of.First[j], of.End[j] - of.First[j]);
            for (int t = 0; t < rows; t++) if (seen[t]) lists[t].Add(from / size);
        }
        var start = new int[heads * rows + 1];
        for (int r = 0; r < heads * rows; r++) start[r + 1] = start[r] + lists[r % rows].Count;
        return new() { QueryBlock = 1, KeyBlock = size, Start = start, Keys = [.. Enumerable.Range(0, heads).SelectMany(_ => lists).SelectMany(l => l)] };
    }
}
