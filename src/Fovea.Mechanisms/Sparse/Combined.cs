using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>What both patterns see.</summary>
public readonly record struct And<TFirst, TSecond>(TFirst First, TSecond Second) : IPattern where TFirst : struct, IPattern where TSecond : struct, IPattern
{
    public bool Allows(int query, int key) => First.Allows(query, key) && Second.Allows(query, key);
    public Cover Tile(int q0, int q1, int k0, int k1)
    {
        Cover a = First.Tile(q0, q1, k0, k1);
        if (a == Cover.None) return Cover.None;
        Cover b = Second.Tile(q0, q1, k0, k1);
        return b == Cover.None ? Cover.None : a == Cover.All ? b : Cover.Mixed;
    }
}

/// <summary>What at least one of the patterns sees.</summary>
public readonly record struct Or<TFirst, TSecond>(TFirst First, TSecond Second) : IPattern where TFirst : struct, IPattern where TSecond : struct, IPattern
{
    public bool Allows(int query, int key) => First.Allows(query, key) || Second.Allows(query, key);
    public Cover Tile(int q0, int q1, int k0, int k1)
    {
        Cover a = First.Tile(q0, q1, k0, k1);
        if (a == Cover.All) return Cover.All;
        Cover b = Second.Tile(q0, q1, k0, k1);
        return b == Cover.All ? Cover.All : a == Cover.None ? b : Cover.Mixed;
    }
}

/// <summary>Prefix language model: the first so many tokens see each other, the others themselves, the prefix and what came before.</summary>
public readonly record struct Prefix(int Tokens) : IRangePattern
{
    public bool Allows(int query, int key) => key <= query || key < Tokens;
    public (int First, int End) Range(int query) => (0, Math.Max(query + 1, Tokens));
    public Cover Tile(int q0, int q1, int k0, int k1) => k1 <= q0 || k1 < Tokens ? Cover.All : k0 > q1 && k0 >= Tokens ? Cover.None : Cover.Mixed;
}

/// <summary>Composition of patterns, and what they cost.</summary>
public static class Patterns
{
    /// <summary>What both see.</summary>
    public static And<TFirst, TSecond> And<TFirst, TSecond>(this TFirst first, TSecond second) where TFirst : struct, IPattern where TSecond : struct, IPattern => new(first, second);
    /// <summary>What one of them sees.</summary>
    public static Or<TFirst, TSecond> Or<TFirst, TSecond>(this TFirst first, TSecond second) where TFirst : struct, IPattern where TSecond : struct, IPattern => new(first, second);

    /// <summary>
    /// Tiles of queries × keys that a kernel with tiles of so many tokens computes for n queries and as many keys, those of them that need a mask, and those of attention without a pattern:
    /// Visited / Dense is the share of the dense work. <paramref name="pattern"/> is asked for covers, as the kernels do.
    /// </summary>
    public static TileCount Explain<T>(this T pattern, int n, int tile = 64) where T : struct, IPattern
    {
        if (n < 1 || tile < 1) throw new ArgumentException($"{n} tokens in tiles of {tile}, expected positive numbers");
        long visited = 0, partial = 0, across = (n + tile - 1) / tile;
        for (int q = 0; q < n; q += tile)
            for (int k = 0; k < n; k += tile)
            {
                var cover = pattern.Tile(q, Math.Min(n, q + tile) - 1, k, Math.Min(n, k + tile) - 1);
                if (cover != Cover.None) visited++;
                if (cover == Cover.Mixed) partial++;
            }
        return new(visited, partial, across * across);
    }
}
