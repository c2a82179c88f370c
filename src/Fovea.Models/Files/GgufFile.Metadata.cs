using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
namespace Fovea.Models;

public sealed partial class GgufFile
{
    /// <summary>All metadata keys.</summary>
    public IReadOnlyCollection<string> Keys => metadata.Keys;
    public bool Has(string key) => metadata.ContainsKey(key);

    /// <summary>A text; a missing key and another type are an <see cref="InvalidDataException"/> that names both.</summary>
    public string Text(string key) => Reader(Need(key, "a text", t => t == GgufType.Text)).Text(key);
    /// <summary>A text, or <paramref name="otherwise"/> where there is no such key.</summary>
    [return: NotNullIfNotNull(nameof(otherwise))]
    public string? Text(string key, string? otherwise) => Has(key) ? Text(key) : otherwise;

    /// <summary>A whole number of any width.</summary>
    public long Whole(string key) => WholeAt(Need(key, "a whole number", IsWhole), key);
    public long Whole(string key, long otherwise) => Has(key) ? Whole(key) : otherwise;

    /// <summary>A number, whole or not.</summary>
    public double Number(string key) => NumberAt(Need(key, "a number", IsNumber), key);
    public double Number(string key, double otherwise) => Has(key) ? Number(key) : otherwise;

    /// <summary>True or false.</summary>
    public bool Flag(string key)
    {
        byte b = Slice(Need(key, "true or false", t => t == GgufType.Flag).At, 1)[0];
        return b <= 1 ? b == 1 : throw Bad($"metadata '{Short(key)}' is {b}, expected 0 or 1 for true or false");
    }
    public bool Flag(string key, bool otherwise) => Has(key) ? Flag(key) : otherwise;

    /// <summary>An array of texts.</summary>
    public string[] Texts(string key)
    {
        var v = NeedArray(key, "texts", t => t == GgufType.Text); var all = new string[v.Count];
        var reader = Reader(v);
        for (int i = 0; i < all.Length; i++) all[i] = reader.Text(key);
        return all;
    }
    /// <summary>An array of whole numbers of any width.</summary>
    public long[] Wholes(string key)
    {
        var v = NeedArray(key, "whole numbers", IsWhole); var all = new long[v.Count];
        for (int i = 0; i < all.Length; i++) all[i] = WholeAt(Item(v, i), key);
        return all;
    }
    /// <summary>An array of numbers.</summary>
    public double[] Numbers(string key)
    {
        var v = NeedArray(key, "numbers", IsNumber); var all = new double[v.Count];
        for (int i = 0; i < all.Length; i++) all[i] = NumberAt(Item(v, i), key);
        return all;
    }
    /// <summary>An array of flags.</summary>
    public bool[] Flags(string key)
    {
        var v = NeedArray(key, "flags", t => t == GgufType.Flag); var all = new bool[v.Count];
        for (int i = 0; i < all.Length; i++) all[i] = Slice(v.At + i, 1)[0] != 0;
        return all;
    }
    /// <summary>An array of texts, or nothing where there is no such key.</summary>
    public bool TryTexts(string key, [NotNullWhen(true)] out string[]? texts) => (texts = Has(key) ? Texts(key) : null) is not null;
    public bool TryWholes(string key, [NotNullWhen(true)] out long[]? wholes) => (wholes = Has(key) ? Wholes(key) : null) is not null;
    public bool TryNumbers(string key, [NotNullWhen(true)] out double[]? numbers) => (numbers = Has(key) ? Numbers(key) : null) is not null;
    /// <summary>Whether a key holds an array, as some keys do for models whose layers differ.</summary>
    public bool IsArray(string key) => metadata.TryGetValue(key, out var v) && v.Type == GgufType.Array;

    GgufReader Reader(GgufValue value) => new(Slice(0, head), name) { At = value.At };
    static GgufValue Item(GgufValue array, int i) => new(array.Item, default, 1, array.At + i * GgufReader.Size(array.Item), GgufReader.Size(array.Item));
    static bool IsWhole(GgufType t) => t is GgufType.U8 or GgufType.I8 or GgufType.U16 or GgufType.I16 or GgufType.U32 or GgufType.I32 or GgufType.U64 or GgufType.I64;
    static bool IsNumber(GgufType t) => IsWhole(t) || t is GgufType.F32 or GgufType.F64;

    GgufValue Need(string key, string expected, Func<GgufType, bool> fits) => Find(key, expected) is var v && fits(v.Type) ? v : throw Mismatch(key, v, expected);
    GgufValue NeedArray(string key, string expected, Func<GgufType, bool> fits) =>
        Find(key, $"an array of {expected}") is var v && v.Type == GgufType.Array && (fits(v.Item) || v.Count == 0) ? v : throw Mismatch(key, v, $"an array of {expected}");
    GgufValue Find(string key, string expected) => metadata.TryGetValue(key, out var v) ? v : throw Bad($"has no metadata '{Short(key)}', expected {expected}");
    InvalidDataException Mismatch(string key, GgufValue v, string expected) => Bad($"metadata '{Short(key)}' is {(v.Type == GgufType.Array ? $"an array of {v.Count} {v.Item}" : $"of type {v.Type}")}, expected {expected}");

    long WholeAt(GgufValue v, string key)
    {
        var b = Slice(v.At, GgufReader.Size(v.Type));
        return v.Type switch
        {
            GgufType.U8 => b[0],
            GgufType.I8 => (sbyte)b[0],
            GgufType.U16 => BinaryPrimitives.ReadUInt16LittleEndian(b),
            GgufType.I16 => BinaryPrimitives.ReadInt16LittleEndian(b),
            GgufType.U32 => BinaryPrimitives.ReadUInt32LittleEndian(b),
            GgufType.I32 => BinaryPrimitives.ReadInt32LittleEndian(b),
            GgufType.I64 => BinaryPrimitives.ReadInt64LittleEndian(b),
            _ => BinaryPrimitives.ReadUInt64LittleEndian(b) is var u && u <= long.MaxValue ? (long)u : throw Bad($"metadata '{Short(key)}' is {u}, expected at most {long.MaxValue}"),
        };
    }
    double NumberAt(GgufValue v, string key)
    {
        var b = Slice(v.At, GgufReader.Size(v.Type));
        return v.Type switch { GgufType.F32 => BinaryPrimitives.ReadSingleLittleEndian(b), GgufType.F64 => BinaryPrimitives.ReadDoubleLittleEndian(b), _ => WholeAt(v, key) };
    }
}
