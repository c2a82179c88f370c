using System.Buffers.Binary;
using System.Text.Json;
namespace Fovea;

/// <summary>A number format of the file: its size and how one number becomes a Real.</summary>
sealed record SafetensorsType(string Name, int Bytes, SafetensorsType.Reader Of)
{
    internal delegate Real Reader(ReadOnlySpan<byte> bytes);
    static readonly SafetensorsType[] all =
    [
        new("F64", 8, b => (Real)BinaryPrimitives.ReadDoubleLittleEndian(b)),
        new("F32", 4, b => (Real)BinaryPrimitives.ReadSingleLittleEndian(b)),
        new("F16", 2, b => (Real)BinaryPrimitives.ReadHalfLittleEndian(b)),
        new("BF16", 2, b => (Real)BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(b) << 16)),
        new("I64", 8, b => (Real)BinaryPrimitives.ReadInt64LittleEndian(b)),
        new("I32", 4, b => (Real)BinaryPrimitives.ReadInt32LittleEndian(b)),
        new("I8", 1, b => (sbyte)b[0]),
        new("U8", 1, b => b[0]),
    ];
    public static SafetensorsType? Find(string name) => Array.Find(all, t => t.Name == name);
    public static string Names => string.Join(", ", all.Select(t => t.Name));
}

/// <summary>One tensor of the header; Begin and End count bytes from the start of the data.</summary>
sealed record SafetensorsEntry(string Name, SafetensorsType Type, int[] Shape, long Count, long Begin, long End)
{
    public string Dims() => $"[{string.Join(", ", Shape)}]";
}

/// <summary>Reads the JSON header; every fault is an <see cref="InvalidDataException"/>.</summary>
static class SafetensorsHeader
{
    const int LargestRank = 6;

    public static (List<SafetensorsEntry> Entries, Dictionary<string, string> Metadata) Parse(ReadOnlySpan<byte> json, string file)
    {
        var entries = new List<SafetensorsEntry>(); var names = new HashSet<string>(StringComparer.Ordinal);
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        try
        {
            var r = new Utf8JsonReader(json, new() { MaxDepth = 8 });
            if (!r.Read() || r.TokenType != JsonTokenType.StartObject) throw Bad(file, "the header is not a JSON object");
            while (r.Read() && r.TokenType == JsonTokenType.PropertyName)
            {
                string name = r.GetString()!;
                if (!names.Add(name)) throw Bad(file, $"the header names '{Short(name)}' twice");
                r.Read();
                if (name == "__metadata__") Metadata(ref r, metadata, file); else entries.Add(Entry(ref r, name, file));
            }
            if (r.Read()) throw Bad(file, "something follows the JSON object of the header");
        }
        // GetString throws InvalidOperationException on text that is not UTF-8 and on lone surrogates.
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException) { throw new InvalidDataException($"{file}: the header is not valid JSON: {e.Message}", e); }
        return (entries, metadata);
    }

    static void Metadata(ref Utf8JsonReader r, Dictionary<string, string> metadata, string file)
    {
        if (r.TokenType != JsonTokenType.StartObject) throw Bad(file, $"__metadata__ is a {r.TokenType}, expected an object of strings");
        while (r.Read() && r.TokenType == JsonTokenType.PropertyName)
        {
            string key = r.GetString()!;
            r.Read();
            if (r.TokenType != JsonTokenType.String) throw Bad(file, $"__metadata__ '{Short(key)}' is a {r.TokenType}, expected a string");
            if (!metadata.TryAdd(key, r.GetString()!)) throw Bad(file, $"__metadata__ names '{Short(key)}' twice");
        }
    }

    static SafetensorsEntry Entry(ref Utf8JsonReader r, string name, string file)
    {
        string who = $"tensor '{Short(name)}'"; SafetensorsType? type = null; long[]? shape = null, offsets = null;
        if (r.TokenType != JsonTokenType.StartObject) throw Bad(file, $"{who} is a {r.TokenType}, expected an object with dtype, shape and data_offsets");
        while (r.Read() && r.TokenType == JsonTokenType.PropertyName)
        {
            string field = r.GetString()!;
            r.Read();
            switch (field)
            {
                case "dtype" when type is null:
                    if (r.TokenType != JsonTokenType.String) throw Bad(file, $"{who}: dtype is a {r.TokenType}, expected a string");
                    string found = r.GetString()!;
                    type = SafetensorsType.Find(found) ?? throw Bad(file, $"{who} has dtype '{Short(found)}', expected one of {SafetensorsType.Names}");
                    break;
                case "shape" when shape is null: shape = Numbers(ref r, $"{who}: shape", LargestRank, file); break;
                case "data_offsets" when offsets is null: offsets = Numbers(ref r, $"{who}: data_offsets", 2, file); break;
                case "dtype" or "shape" or "data_offsets": throw Bad(file, $"{who} has {field} twice");
                default: r.Skip(); break;
            }
        }
        if (type is null || shape is null || offsets is null) throw Bad(file, $"{who} lacks {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        if (offsets.Length != 2) throw Bad(file, $"{who}: data_offsets has {offsets.Length} numbers, expected 2");
        return new(name, type, Dims(shape, who, file), Count(shape, who, file), offsets[0], offsets[1]);
    }

    static int[] Dims(long[] shape, string who, string file)
    {
        var dims = new int[shape.Length];
        for (int i = 0; i < dims.Length; i++) dims[i] = shape[i] <= int.MaxValue ? (int)shape[i] : throw Bad(file, $"{who}: dimension {i} is {shape[i]}, expected at most {int.MaxValue}");
        return dims;
    }

    /// <summary>How many numbers the shape has; zeros do not excuse an overflow in the rest.</summary>
    static long Count(long[] shape, string who, string file)
    {
        long all = 1; bool empty = false;
        foreach (long d in shape)
            if (d == 0) empty = true;
            else if ((all *= d) > Array.MaxLength) throw Bad(file, $"{who}: shape [{string.Join(", ", shape)}] has more than {Array.MaxLength} numbers");
        return empty ? 0 : all;
    }

    static long[] Numbers(ref Utf8JsonReader r, string what, int most, string file)
    {
        if (r.TokenType != JsonTokenType.StartArray) throw Bad(file, $"{what} is a {r.TokenType}, expected an array of whole numbers");
        Span<long> found = stackalloc long[LargestRank]; int n = 0;
        while (r.Read() && r.TokenType != JsonTokenType.EndArray)
        {
            if (r.TokenType != JsonTokenType.Number || !r.TryGetInt64(out long x) || x < 0) throw Bad(file, $"{what} holds something that is not a whole number from 0 to {long.MaxValue}");
            if (n == most) throw Bad(file, $"{what} has more than {most} numbers");
            found[n++] = x;
        }
        return found[..n].ToArray();
    }

    static string Short(string name) => name.Length <= 80 ? name : name[..80] + "…";
    static InvalidDataException Bad(string file, string what) => new($"{file}: {what}");
}
