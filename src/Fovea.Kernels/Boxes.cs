using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Tokens on a grid of one to three axes: token i stands at Place[a][i] on axis a and sees what stands in the box from Low[a][i] (inclusive) to High[a][i] (exclusive).
/// Tokens that are near each other on the grid should be near each other in number: then tiles of tokens have small boxes, and few tiles are looked at.
/// </summary>
public sealed class Boxes
{
    /// <summary>Tables tell of up to 2^Levels tokens in one step.</summary>
    const int Levels = 4, Facts = 6;
    readonly Real[][] place, low, high;
    // For each axis, power of two and token: least and greatest place, low and high (negated where greatest) of so many tokens from this one on. Kernels that go line by line need none of it.
    readonly Lazy<Real[]> least;

    /// <param name="place">Per axis, for each token; all numbers are below 2^24.</param>
    public Boxes(int[][] place, int[][] low, int[][] high)
    {
        int axes = place.Length, n = axes == 0 ? 0 : place[0].Length;
        if (axes is < 1 or > 3 || low.Length != axes || high.Length != axes) throw new ArgumentException($"places, lows and highs have {place.Length}, {low.Length} and {high.Length} axes, expected the same 1 to 3");
        for (int a = 0; a < axes; a++)
            if (place[a].Length != n || low[a].Length != n || high[a].Length != n) throw new ArgumentException($"axis {a} has {place[a].Length} places, {low[a].Length} lows and {high[a].Length} highs, expected {n} of each");
        (Tokens, Axes) = (n, axes);
        (this.place, this.low, this.high) = (Numbers(place), Numbers(low), Numbers(high));
        Lines = GridLines.Of(this.place, this.low, this.high);
        least = new(Table);
    }

    Real[] Table()
    {
        var least = new Real[(long)(Levels + 1) * Tokens * Axes * Facts];
        for (int level = 0; level <= Levels; level++)
            for (int i = 0; i < Tokens; i++)
                for (int a = 0; a < Axes; a++)
                {
                    var to = least.AsSpan(At(level, i) + a * Facts, Facts);
                    if (level == 0) { to[0] = place[a][i]; to[1] = -place[a][i]; to[2] = low[a][i]; to[3] = -low[a][i]; to[4] = high[a][i]; to[5] = -high[a][i]; continue; }
                    int other = Math.Min(Tokens - 1, i + (1 << level - 1));
                    for (int x = 0; x < Facts; x++) to[x] = Math.Min(least[At(level - 1, i) + a * Facts + x], least[At(level - 1, other) + a * Facts + x]);
                }
        return least;
    }

    public int Tokens { get; }
    public int Axes { get; }
    /// <summary>Null unless the tokens are numbered line by line.</summary>
    internal GridLines? Lines { get; }

    static Real[][] Numbers(int[][] x) => [.. x.Select(axis => axis.Select(i => (Real)i).ToArray())];
    int At(int level, int token) => (level * Tokens + token) * Axes * Facts;

    internal bool Allows(int query, int key)
    {
        for (int a = 0; a < Axes; a++) if (!(place[a][key] >= low[a][query] && place[a][key] < high[a][query])) return false;
        return true;
    }

    internal Cover Tile(int q0, int q1, int k0, int k1)
    {
        Span<Cover> one = stackalloc Cover[1];
        Tiles(q0, q1, k0, k1 + 1, int.MaxValue, one);
        return one[0];
    }

    internal void Tiles(int q0, int q1, int key, int keyEnd, int width, Span<Cover> covers)
    {
        Check(q1, keyEnd - 1);
        var least = this.least.Value;
        Span<Real> asked = stackalloc Real[4 * Axes];
        for (int a = 0; a < Axes; a++) for (int x = 0; x < 4; x++) asked[4 * a + x] = Least(least, q0, q1, a, x + 2);
        for (int at = key, end, t = 0; at < keyEnd; at = end, t++)
        {
            end = (int)Math.Min(keyEnd, (at / width + 1L) * width);
            bool all = true, none = false;
            int level = 31 - int.LeadingZeroCount(end - at), from = At(Math.Min(level, Levels), at);
            bool listed = level <= Levels && end - at == 1 << level;
            for (int a = 0; a < Axes; a++)
            {
                // Whole tiles are in the table.
                Real first = listed ? least[from + a * Facts] : Least(least, at, end - 1, a, 0), last = -(listed ? least[from + a * Facts + 1] : Least(least, at, end - 1, a, 1));
                none |= last < asked[4 * a] || first >= -asked[4 * a + 3];
                all &= first >= -asked[4 * a + 1] && last < asked[4 * a + 2];
            }
            covers[t] = none ? Cover.None : all ? Cover.All : Cover.Mixed;
        }
    }

    void Check(int query, int key)
    {
        if (query >= Tokens || key >= Tokens) throw new ArgumentOutOfRangeException(nameof(query), $"token {Math.Max(query, key)} of a grid of {Tokens}");
    }

    // The least of one fact over tokens [from, to].
    Real Least(Real[] least, int from, int to, int axis, int fact)
    {
        int n = to - from + 1, offset = axis * Facts + fact;
        if (n <= 1 << Levels)
        {
            int level = 31 - int.LeadingZeroCount(n);
            return Math.Min(least[At(level, from) + offset], least[At(level, to + 1 - (1 << level)) + offset]);
        }
        Real x = least[At(Levels, to + 1 - (1 << Levels)) + offset];
        for (int i = from; i <= to - (1 << Levels); i += 1 << Levels) x = Math.Min(x, least[At(Levels, i) + offset]);
        return x;
    }

    internal unsafe void Hide(Span<Real> row, int query, int firstKey, Real value)
    {
        fixed (Real* p = row, x = &place[0][firstKey], y = &place[Math.Min(1, Axes - 1)][firstKey], z = &place[Axes - 1][firstKey])
        {
            var body = new Outside(p, row.Length, value, x, y, z, Edge(0, query), Edge(Math.Min(1, Axes - 1), query), Edge(Axes - 1, query), Axes);
            Wide.Run(ref body);
        }
    }

    internal unsafe void Hide(Span<Real> rows, int stride, int query, int height, ReadOnlySpan<int> firstKeys, int width, Real value)
    {
        int tiles = firstKeys.Length, y = Axes - 1;
        if (tiles == 0) return;
        // Whole tiles of one register on one axis or two are what the kernel asks for; only the last one can be cut by the end.
        int quick = width == Wide.Count && Axes < 3 ? firstKeys[^1] + width > Tokens ? tiles - 1 : tiles : 0;
        for (int t = quick; t < tiles; t++)
            for (int r = 0; r < height && firstKeys[t] >= 0; r++) Hide(rows.Slice(r * stride + t * width, Math.Min(width, Tokens - firstKeys[t])), query + r, firstKeys[t], value);
        fixed (Real* p = rows, px = place[0], py = place[y], lx = &low[0][query], hx = &high[0][query], ly = &low[y][query], hy = &high[y][query]) fixed (int* keys = firstKeys)
        {
            var body = new OutsideTiles(p, stride, height, value, keys, quick, px, py, lx, hx, ly, hy);
            Wide.Run(ref body);
        }
    }

    // Registers of keys against some queries.
    readonly unsafe struct OutsideTiles(Real* rows, nint stride, int height, Real value, int* keys, int tiles, Real* px, Real* py, Real* lx, Real* hx, Real* ly, Real* hy) : IWide
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            V v = TLanes.Set(value); Real* at = rows;
            for (int t = 0; t < tiles; t++, at += TLanes.Count)
            {
                if (keys[t] < 0) continue;
                V x = TLanes.Load(px + keys[t]), y = TLanes.Load(py + keys[t]); Real* row = at;
                for (int r = 0; r < height; r++, row += stride)
                {
                    V s = TLanes.Load(row);
                    s = TLanes.IfLess(x, TLanes.Set(hx[r]), TLanes.IfLess(x, TLanes.Set(lx[r]), v, s), v);
                    TLanes.Store(row, TLanes.IfLess(y, TLanes.Set(hy[r]), TLanes.IfLess(y, TLanes.Set(ly[r]), v, s), v));
                }
            }
        }
    }

    (Real Low, Real High) Edge(int axis, int query) => (low[axis][query], high[axis][query]);

    readonly unsafe struct Outside(Real* row, int n, Real value, Real* x, Real* y, Real* z, (Real Low, Real High) ex, (Real Low, Real High) ey, (Real Low, Real High) ez, int axes) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            int done = Part<TLanes, V>(0);
            if (done < n) Part<Lanes1, Real>(done);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        int Part<TLanes, V>(int j) where TLanes : struct, ILanes<V> where V : struct
        {
            V lx = TLanes.Set(ex.Low), hx = TLanes.Set(ex.High), ly = TLanes.Set(ey.Low), hy = TLanes.Set(ey.High), lz = TLanes.Set(ez.Low), hz = TLanes.Set(ez.High), v = TLanes.Set(value);
            for (; j + TLanes.Count <= n; j += TLanes.Count)
            {
                V r = TLanes.Load(row + j), at = TLanes.Load(x + j);
                r = TLanes.IfLess(at, hx, TLanes.IfLess(at, lx, v, r), v);
                if (axes > 1) { at = TLanes.Load(y + j); r = TLanes.IfLess(at, hy, TLanes.IfLess(at, ly, v, r), v); }
                if (axes > 2) { at = TLanes.Load(z + j); r = TLanes.IfLess(at, hz, TLanes.IfLess(at, lz, v, r), v); }
                TLanes.Store(row + j, r);
            }
            return j;
        }
    }
}

/// <summary>Each query sees the box of its own that <see cref="Boxes"/> gives it.</summary>
public readonly record struct BoxPattern(Boxes Boxes) : ITilePattern
{
    public bool Allows(int query, int key) => Boxes.Allows(query, key);
    public Cover Tile(int q0, int q1, int k0, int k1) => Boxes.Tile(q0, q1, k0, k1);
    public void Tiles(int query, int queryEnd, int key, int keyEnd, int width, Span<Cover> covers) => Boxes.Tiles(query, queryEnd - 1, key, keyEnd, width, covers);
    public void Hide(Span<Real> row, int query, int firstKey, Real value) => Boxes.Hide(row, query, firstKey, value);
    public void Hide(Span<Real> rows, int stride, int query, int height, ReadOnlySpan<int> firstKeys, int width, Real value) => Boxes.Hide(rows, stride, query, height, firstKeys, width, value);
}
