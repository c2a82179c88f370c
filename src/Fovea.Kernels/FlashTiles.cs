namespace Fovea.Kernels;

/// <summary>
/// Neighbouring tiles of the keys [from, to) that some query sees: keys [From, To), which stand from place From − Origin on in tiles that begin at Origin.
/// Tiles are width keys wide and counted from the one that holds from.
/// </summary>
unsafe struct TileRun(int from, int to, int width)
{
    readonly int low = from, high = to, width = width;
    int tile;
    public int From { get; private set; }
    public int To { get; private set; }
    /// <summary>Whether pairs must be tested.</summary>
    public bool Mixed { get; private set; }
    /// <summary>Number of the tile that holds From.</summary>
    public int First { get; private set; }
    public readonly int Origin => From / width * width;
    public readonly int Places => (To - Origin + width - 1) / width * width;
    /// <summary>Whether every place of its tiles belongs to a key of it.</summary>
    public readonly bool Whole => Origin == From && Places == To - From;

    /// <summary>The one run of keys that are all seen.</summary>
    public static TileRun All(int from, int to, int width) => new(from, to, width) { From = from, To = to };

    /// <summary>Moves on to the next run; false after the last one.</summary>
    public bool Next(Cover* covers)
    {
        int base0 = low / width, end = (high - 1) / width - base0 + 1;
        while (tile < end && covers[tile] == Cover.None) tile++;
        if (tile >= end) return false;
        First = tile; Mixed = false;
        for (; tile < end && covers[tile] != Cover.None; tile++) Mixed |= covers[tile] == Cover.Mixed;
        From = Math.Max(low, (base0 + First) * width); To = Math.Min(high, (base0 + tile) * width);
        return true;
    }
}
