using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>
/// Rotated: keys are kept with their positions turned in. Unrotated: they are kept without, and turned by their positions in the text whenever they are read. Renumbered: turned by their places in the cache, 0, 1, 2 …, whatever has left
/// (StreamingLLM §3.2), so that distances never exceed the cache; policies that remember queries compare them with keys at the places of today.
/// </summary>
public enum KeyPositions { Rotated, Unrotated, Renumbered }

/// <summary>How a cache keeps keys and values.</summary>
/// <param name="Keys">Format of keys; one that can be written.</param>
/// <param name="Values">Format of values.</param>
/// <param name="Rotate">Keys and values pass an orthonormal Walsh–Hadamard transform first, which spreads outliers over all channels; queries and results are turned with them, so that nothing else changes.</param>
public sealed record KvFormat(NumberFormat Keys, NumberFormat Values, bool Rotate = false)
{
    /// <summary>When keys get their rotary positions, and which; of no effect in models without.</summary>
    public KeyPositions Positions { get; init; }
    /// <summary>Keys are brought into their format channel by channel, 32 tokens at a time, and values token by token (KIVI, 2402.02750); not with rules that let single entries go.</summary>
    public bool ByChannel { get; init; }
    public static KvFormat Float32 { get; } = new(NumberFormat.For<Float32>(), NumberFormat.For<Float32>());
    /// <summary>By name: f32, f16, bf16, q8, q4, q2, or two of them, "q8/q4" for keys and values; or kivi8, kivi4, kivi2 for keys by channel; "+rotate", "+unrotated" or "+renumbered" behind.</summary>
    public static KvFormat Parse(string text)
    {
        string[] parts = text.Split('+');
        if (parts.Length > 2 || parts.Length == 2 && parts[1] is not ("rotate" or "unrotated" or "renumbered")) throw new ArgumentException($"'{text}' is no cache format; expected like q8, q8/q4, q4+rotate, f16+unrotated or f16+renumbered");
        string[] names = parts[0].Split('/');
        if (names.Length > 2) throw new ArgumentException($"'{text}' is no cache format; expected one name, or two with a slash between");
        bool channels = names[0].StartsWith("kivi", StringComparison.Ordinal);
        // KIVI rounds asymmetrically: a scale and a minimum.
        string Own(string name) => channels ? name switch { "kivi8" => "q8_0", "kivi4" => "q4_1", "kivi2" => "q2", _ => name } : name;
        return new(Named(Own(names[0])), Named(Own(names[^1])), parts[^1] == "rotate") { ByChannel = channels, Positions = parts[^1] switch { "unrotated" => KeyPositions.Unrotated, "renumbered" => KeyPositions.Renumbered, _ => default } };
    }
    string KiviName => "kivi" + Keys.Name switch { "q8_0" => "8", "q4_1" => "4", "q2" => "2", var n => "-" + n };
    static NumberFormat Named(string name)
    {
        string full = name switch { "q8" => "q8_0", "q4" => "q4_0", _ => name };
        return NumberFormat.All.TryGetValue(full, out var f) && f.Writable ? f
            : throw new ArgumentException($"'{name}' is no format that a cache can keep; there are {string.Join(", ", NumberFormat.All.Values.Where(x => x.Writable).Select(x => x.Name).Order(StringComparer.Ordinal))}");
    }
    public override string ToString() => (ByChannel ? (Keys == Values ? KiviName : $"{KiviName}/{Values.Name}") : Keys == Values ? Keys.Name : $"{Keys.Name}/{Values.Name}") + (Rotate ? "+rotate" : "") + (Positions switch { KeyPositions.Unrotated => "+unrotated", KeyPositions.Renumbered => "+renumbered", _ => "" });
    /// <summary>Throws an <see cref="ArgumentException"/> if the parts do not go together.</summary>
    public KvFormat Checked() => Rotate && Positions != KeyPositions.Rotated ? throw new ArgumentException($"{this}: keys that are mixed by a transform cannot be turned at read; expected one of the two") : this;
}

/// <summary>Keys and values of one key head of one sequence: as many as stay, each with its true position in the text.</summary>
public sealed class KvHead : IDisposable
{
    readonly CachedRows keys, values; readonly Rotations? rotary; readonly bool renumbered; int[] positions;

    /// <summary>Empty rows; with rotary, keys come without positions and are turned when they are read, by their positions or renumbered.</summary>
    public KvHead(CachedRows keys, CachedRows values, Rotations? rotary = null, bool renumbered = false) : this(keys, values, rotary, renumbered, []) { }
    KvHead(CachedRows keys, CachedRows values, Rotations? rotary, bool renumbered, int[] positions) => (this.keys, this.values, this.rotary, this.renumbered, this.positions) = (keys, values, rotary, renumbered, positions);

    public int Count => keys.Count;
    /// <summary>Position of each entry in the text, ascending.</summary>
    public ReadOnlySpan<int> Positions => positions.AsSpan(0, Count);
    /// <summary>Keys as they are kept.</summary>
    public CachedRows Keys => keys;
    public CachedRows Values => values;
    /// <summary>How keys are turned when they are read.</summary>
    public KeyTurn Turn => rotary is null ? default : rotary.AtRead(renumbered ? default : Positions, Count);
    /// <summary>Keys [first, first + n) as attention sees them, into to [n,D].</summary>
    public void DecodeKeys(int first, int n, Span<float> to) { keys.Decode(first, n, to); Turn.Apply(to, first, n, keys.Dim); }
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
    public KvHead Fork() => new(keys.Fork(), values.Fork(), rotary, renumbered, [.. Positions]);
    public void Dispose() { keys.Dispose(); values.Dispose(); }
}
