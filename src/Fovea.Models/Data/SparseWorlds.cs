namespace Fovea.Models;

/// <summary>Worlds [Size, Variables] row by row, and for each the variable that is asked for.</summary>
public sealed record WorldBatch(int[] Values, int[] Asked, int Size, int Variables)
{
    /// <summary>The value of what row b asks for.</summary>
    public int Answer(int b) => Values[b * Variables + Asked[b]];
}

/// <summary>
/// Worlds of discrete variables under a sparse factor graph (arXiv 1709.08568, §2.2): roots are free, each child is a random function of a few variables before it, but for a little noise, and some carriers
/// copy a child that they have nothing to do with: shifted by one amount while training and by another after. Roots come first, then children, then carriers. Some child is asked for.
/// </summary>
[From("consciousness-prior", "§2.2")]
public sealed class SparseWorlds
{
    readonly int[][] parents; readonly int[][] tables; readonly int roots, carriers; readonly double noise, copied;

    /// <param name="table">The key of factors and tables, the same for training and test.</param>
    /// <param name="scope">Variables of a factor |f|, the child included.</param>
    /// <param name="noise">How often a child is free.</param>
    /// <param name="copied">How often a carrier copies.</param>
    public SparseWorlds(Rng table, int roots = 6, int children = 12, int carriers = 6, int values = 5, int scope = 3, double noise = 0.05, double copied = 0.9)
    {
        if (roots < scope - 1 || scope < 2 || carriers > children || values < 3) throw new ArgumentException($"{roots} roots, {children} children of {scope - 1} parents and {carriers} carriers of {values} values make no worlds");
        (this.roots, this.carriers, this.noise, this.copied, Values, Children) = (roots, carriers, noise, copied, values, children);
        parents = [.. Enumerable.Range(0, children).Select(c => table["parents"][c].Order(roots + c)[..(scope - 1)])];
        int entries = (int)Math.Pow(values, scope - 1);
        tables = [.. Enumerable.Range(0, children).Select(c => Enumerable.Range(0, entries).Select(i => table["tables"][c].Below(i, values)).ToArray())];
    }

    public int Values { get; }
    public int Children { get; }
    public int Variables => roots + Children + carriers;
    /// <summary>The variables that a child is a function of.</summary>
    public IReadOnlyList<int> Parents(int variable) => parents[variable - roots];
    /// <summary>Whether a carrier copies this child.</summary>
    public bool Carried(int variable) => variable - roots < carriers;

    /// <summary>flipped: carriers are shifted as they never were in training.</summary>
    public WorldBatch Batch(Rng rng, int step, int size, bool flipped = false)
    {
        var values = new int[size * Variables]; var asked = new int[size];
        for (int b = 0; b < size; b++)
        {
            var dice = new Dice(rng[step][b]); var world = values.AsSpan(b * Variables, Variables);
            for (int i = 0; i < roots; i++) world[i] = dice.Next(Values);
            for (int c = 0; c < Children; c++)
            {
                int entry = 0;
                foreach (int p in parents[c]) entry = entry * Values + world[p];
                world[roots + c] = dice.Uniform() < noise ? dice.Next(Values) : tables[c][entry];
            }
            for (int s = 0; s < carriers; s++) world[roots + Children + s] = dice.Uniform() < copied ? (world[roots + s] + (flipped ? 2 : 1)) % Values : dice.Next(Values);
            asked[b] = roots + dice.Next(Children);
        }
        return new(values, asked, size, Variables);
    }
}
