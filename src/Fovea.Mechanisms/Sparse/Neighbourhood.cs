using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// One axis of a token grid: how many tokens it has, and how many of them a token sees along it. Dilation d splits the axis into d interleaved ones, of which a
/// token sees only its own; groups of Stride tokens share the window of their leader (in the middle; the last one of the group if causal). At the border the
/// window moves inwards, so that it keeps its size; a causal one gets shorter.
/// </summary>
public readonly record struct GridAxis(int Length, int Window, int Stride = 1, int Dilation = 1, bool Causal = false)
{
    /// <summary>Throws unless 1 ≤ Stride ≤ Window and the window fits into every interleaved axis (one that looks back may be longer).</summary>
    public void Check()
    {
        if (Length < 1 || Window < 1 || Dilation < 1 || Stride < 1 || Stride > Window) throw new ArgumentException($"{this}: sizes must be positive and the stride at most the window");
        if (!Causal && (long)Window * Dilation > Length) throw new ArgumentException($"{this}: {Window} tokens at distance {Dilation} do not fit into {Length}");
    }

    /// <summary>Tokens of the interleaved axis that coordinate x belongs to.</summary>
    public int Own(int x) => (Length - x % Dilation + Dilation - 1) / Dilation;

    /// <summary>What coordinate x sees of its interleaved axis, counted there: from Start (inclusive) to End (exclusive).</summary>
    public (int Start, int End) Sees(int x)
    {
        int i = x / Dilation, n = Own(x), group = i / Stride * Stride;
        if (Causal) return (Math.Max(Math.Min(group + Stride - 1, n - 1) - Window + 1, 0), i + 1);
        int leader = Math.Min(group + Stride / 2, n - 1), left = Window / 2, right = left + Window % 2 - 1;
        int start = leader + right >= n ? n - Window : Math.Max(leader - left, 0);
        return (start, start + Window);
    }

    /// <summary>Whether coordinate query sees coordinate key.</summary>
    public bool Sees(int query, int key)
    {
        var (start, end) = Sees(query);
        return query % Dilation == key % Dilation && key / Dilation >= start && key / Dilation < end;
    }

    // Interleaved axes one after the other: what a token sees stands side by side.
    internal int Place(int x) => Before(x) + x / Dilation;
    internal int Before(int x) { int before = 0; for (int r = 0; r < x % Dilation; r++) before += Own(r); return before; }
}

/// <summary>How the tokens of a grid are numbered for a kernel.</summary>
public enum TokenOrder
{
    /// <summary>One line of the last axis after the other, as they lie: what a token sees of a line stands side by side, wherever it begins.</summary>
    Lines,
    /// <summary>Bits of the coordinates in turn: every aligned range of 2ⁿ tokens is a box of the grid, near in all directions.</summary>
    Tiles,
}

/// <summary>
/// Neighbourhoods on a grid of one to three axes (generalised neighbourhood attention; arXiv 2403.04690, 2504.16922). Tokens are numbered row by row, the last axis
/// fastest. <see cref="Order"/> numbers them for a kernel (interleaved axes of a dilation one after the other); in that order <see cref="Pattern"/> tells who sees
/// whom, and the kernel does little more work than there are pairs.
/// </summary>
public sealed class Neighbourhood
{
    readonly GridAxis[] axes;
    readonly int[][] coordinates;

    public Neighbourhood(ReadOnlySpan<GridAxis> axes, TokenOrder order = TokenOrder.Lines)
    {
        if (axes.Length is < 1 or > 3) throw new ArgumentException($"{axes.Length} axes, expected 1 to 3");
        this.axes = axes.ToArray();
        Tokens = 1;
        foreach (var a in axes) { a.Check(); Tokens = checked(Tokens * a.Length); }
        coordinates = new int[axes.Length][];
        for (int a = axes.Length - 1, step = 1; a >= 0; step *= axes[a--].Length)
        {
            coordinates[a] = new int[Tokens];
            for (int i = 0; i < Tokens; i++) coordinates[a][i] = i / step % axes[a].Length;
        }
        Order = [.. Enumerable.Range(0, Tokens)];
        int[][] places = [.. coordinates.Select((c, a) => c.Select(this.axes[a].Place).ToArray())];
        Array.Sort([.. Order.Select(i => order == TokenOrder.Tiles ? Interleaved(places, i) : LineByLine(places, i))], Order);
        Back = new int[Tokens];
        for (int i = 0; i < Tokens; i++) Back[Order[i]] = i;
        int[][] In(Func<int, int, int> of) => [.. Enumerable.Range(0, places.Length).Select(a => Order.Select(i => of(a, i)).ToArray())];
        Pattern = new(new Boxes(In((a, i) => places[a][i]),
            In((a, i) => this.axes[a].Before(coordinates[a][i]) + this.axes[a].Sees(coordinates[a][i]).Start),
            In((a, i) => this.axes[a].Before(coordinates[a][i]) + this.axes[a].Sees(coordinates[a][i]).End)));
    }

    public int Tokens { get; }
    public IReadOnlyList<GridAxis> Axes => axes;
    // Where a token stands on an axis whose interleaved parts lie one after the other, and what it sees there.
    internal int Place(int axis, int token) => axes[axis].Place(coordinates[axis][token]);
    internal int Low(int axis, int token) => axes[axis].Before(coordinates[axis][token]) + axes[axis].Sees(coordinates[axis][token]).Start;
    internal int High(int axis, int token) => axes[axis].Before(coordinates[axis][token]) + axes[axis].Sees(coordinates[axis][token]).End;
    /// <summary>Token at each place of the order that the pattern counts in; <see cref="Back"/> is the place of each token.</summary>
    public int[] Order { get; }
    public int[] Back { get; }
    /// <summary>Who sees whom, both counted in <see cref="Order"/>.</summary>
    public BoxPattern Pattern { get; }

    /// <summary>Whether token query sees token key, both counted row by row: the definition.</summary>
    public bool Sees(int query, int key)
    {
        for (int a = 0; a < axes.Length; a++) if (!axes[a].Sees(coordinates[a][query], coordinates[a][key])) return false;
        return true;
    }

    /// <summary>How many pairs are seen.</summary>
    public long Pairs
    {
        get
        {
            long pairs = 1;
            foreach (var a in axes) pairs *= Enumerable.Range(0, a.Length).Sum(x => { var (start, end) = a.Sees(x); return (long)(end - start); });
            return pairs;
        }
    }

    long LineByLine(int[][] places, int token)
    {
        long key = 0;
        for (int a = 0; a < axes.Length; a++) key = key * axes[a].Length + places[a][token];
        return key;
    }

    // Bits of the coordinates in turn, so that every aligned range of 2^n tokens is a box.
    static long Interleaved(int[][] places, int token)
    {
        long key = 0;
        for (int bit = 20; bit >= 0; bit--) foreach (int[] axis in places) key = key << 1 | (long)(axis[token] >> bit & 1);
        return key;
    }
}
