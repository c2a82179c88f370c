using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>How a cache keeps keys and values.</summary>
/// <param name="Keys">Format of keys; one that can be written.</param>
/// <param name="Values">Format of values.</param>
/// <param name="Rotate">Keys and values pass an orthonormal Walsh–Hadamard transform first, which spreads outliers over all channels; queries and results are turned with them, so that nothing else changes.</param>
public sealed record KvFormat(NumberFormat Keys, NumberFormat Values, bool Rotate = false)
{
    public static KvFormat Float32 { get; } = new(NumberFormat.For<Float32>(), NumberFormat.For<Float32>());
    /// <summary>By name: f32, f16, bf16, q8, q4, q2, or two of them, "q8/q4" for keys and values; "+rotate" behind.</summary>
    public static KvFormat Parse(string text)
    {
        string[] parts = text.Split('+');
        if (parts.Length > 2 || parts.Length == 2 && parts[1] != "rotate") throw new ArgumentException($"'{text}' is no cache format; expected like q8, q8/q4 or q4+rotate");
        string[] names = parts[0].Split('/');
        if (names.Length > 2) throw new ArgumentException($"'{text}' is no cache format; expected one name, or two with a slash between");
        return new(Named(names[0]), Named(names[^1]), parts.Length == 2);
    }
    static NumberFormat Named(string name)
    {
        string full = name switch { "q8" => "q8_0", "q4" => "q4_0", _ => name };
        return NumberFormat.All.TryGetValue(full, out var f) && f.Writable ? f
            : throw new ArgumentException($"'{name}' is no format that a cache can keep; there are {string.Join(", ", NumberFormat.All.Values.Where(x => x.Writable).Select(x => x.Name).Order(StringComparer.Ordinal))}");
    }
    public override string ToString() => (Keys == Values ? Keys.Name : $"{Keys.Name}/{Values.Name}") + (Rotate ? "+rotate" : "");
}

/// <summary>Keys and values of one key head of one sequence: as many as stay, each with its true position in the text.</summary>
public sealed class KvHead : IDisposable
{
    readonly PagedRows keys, values; int[] positions;

    public KvHead(PagedRows keys, PagedRows values) : this(keys, values, []) { }
    KvHead(PagedRows keys, PagedRows values, int[] positions) => (this.keys, this.values, this.positions) = (keys, values, positions);

    public int Count => keys.Count;
    /// <summary>Position of each entry in the text, ascending.</summary>
    public ReadOnlySpan<int> Positions => positions.AsSpan(0, Count);
    public PagedRows Keys => keys;
    public PagedRows Values => values;
    /// <summary>Bytes of its pages and positions.</summary>
    public long Bytes => keys.Bytes + values.Bytes + (long)Count * sizeof(int);
    /// <summary>Positions, or nothing where they are 0, 1, 2 …</summary>
    public ReadOnlySpan<int> Gaps => Count == 0 || positions[Count - 1] == Count - 1 ? default : Positions;

    /// <summary>Adds k [n,D] and v [n,E], whose first token stands at start.</summary>
    public void Append(ReadOnlySpan<float> k, ReadOnlySpan<float> v, int start)
    {
        int n = k.Length / keys.Dim, at = Count;
        if (positions.Length < at + n) Array.Resize(ref positions, Math.Max(at + n, Math.Max(64, 2 * positions.Length)));
        for (int i = 0; i < n; i++) positions[at + i] = start + i;
        keys.Append(k); values.Append(v);
    }

    /// <summary>Lets go of all entries but those with these indices, ascending.</summary>
    public void Keep(ReadOnlySpan<int> indices)
    {
        keys.Keep(indices); values.Keep(indices);
        for (int i = 0; i < indices.Length; i++) positions[i] = positions[indices[i]];
    }

    /// <summary>Lets go of the entries from this position in the text on.</summary>
    public void Cut(int position)
    {
        int n = Count;
        while (n > 0 && positions[n - 1] >= position) n--;
        keys.Cut(n); values.Cut(n);
    }

    /// <summary>The same entries for another sequence; pages are shared until one of the two writes into them.</summary>
    public KvHead Fork() => new(keys.Fork(), values.Fork(), [.. Positions]);
    public void Dispose() { keys.Dispose(); values.Dispose(); }
}
