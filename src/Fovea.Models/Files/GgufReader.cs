using System.Buffers.Binary;
using System.Text;
namespace Fovea.Models;

/// <summary>What a metadata value is; the numbers are those in files.</summary>
enum GgufType { U8, I8, U16, I16, U32, I32, F32, Flag, Text, Array, U64, I64, F64 }

/// <summary>Where a metadata value lies: its bytes follow its type, or the type and number of its items. Values stay in the file until they are asked for.</summary>
readonly record struct GgufValue(GgufType Type, GgufType Item, long Count, int At, int Bytes);

/// <summary>Walks over the head of a GGUF file. Nothing is believed before the bytes behind it have been counted.</summary>
ref struct GgufReader(ReadOnlySpan<byte> bytes, string file)
{
    const int Deepest = 4;
    static readonly UTF8Encoding strict = new(false, throwOnInvalidBytes: true);
    readonly ReadOnlySpan<byte> bytes = bytes;
    public int At { get; set; }

    public readonly int Left => bytes.Length - At;

    public uint U32(string what) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, what));
    public ulong U64(string what) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, what));

    ReadOnlySpan<byte> Take(int n, string what)
    {
        if (n > Left) throw Bad($"ends at byte {bytes.Length} in {what}: {n} bytes expected from byte {At}");
        var taken = bytes.Slice(At, n); At += n;
        return taken;
    }

    /// <summary>A number of things of at least so many bytes each, which must be left.</summary>
    public long Count(string what, int least)
    {
        int at = At; ulong n = U64(what);
        return n <= (ulong)(Left / least) ? (long)n : throw Bad($"{what} at byte {at} is {n}, but the {Left} bytes that follow hold at most {Left / least}");
    }

    ReadOnlySpan<byte> Raw(string what) { int n = (int)Count($"the length of {what}", 1); return Take(n, what); }

    /// <summary>A length and as many bytes of UTF-8.</summary>
    public string Text(string what)
    {
        int at = At;
        try { return strict.GetString(Raw(what)); }
        catch (DecoderFallbackException) { throw Bad($"{what} at byte {at} is not valid UTF-8"); }
    }

    /// <summary>The value behind a key; the reader stands behind it afterwards.</summary>
    public GgufValue Value(string what)
    {
        var type = Type(what); int at = At;
        if (type != GgufType.Array) { Skip(type, 1, what, 0); return new(type, default, 1, at, At - at); }
        var (item, count) = Items(what, 0);
        at = At; Skip(item, count, what, 0);
        return new(type, item, count, at, At - at);
    }

    GgufType Type(string what)
    {
        int at = At; uint type = U32($"the type of {what}");
        return type <= (uint)GgufType.F64 ? (GgufType)type : throw Bad($"{what} at byte {at} has type {type}, expected 0 to {(int)GgufType.F64}");
    }

    (GgufType Item, long Count) Items(string what, int depth)
    {
        if (depth == Deepest) throw Bad($"{what} nests arrays more than {Deepest} deep at byte {At}");
        var item = Type(what);
        return (item, Count($"the length of {what}", item switch { GgufType.Text => 8, GgufType.Array => 12, _ => Size(item) }));
    }

    void Skip(GgufType type, long count, string what, int depth)
    {
        if (type == GgufType.Text) for (long i = 0; i < count; i++) Raw(what);
        else if (type == GgufType.Array) for (long i = 0; i < count; i++) { var (item, n) = Items(what, depth + 1); Skip(item, n, what, depth + 1); }
        else if (count * Size(type) > Left) throw Bad($"ends at byte {bytes.Length} in {what}: {count * Size(type)} bytes expected from byte {At}");
        else At += (int)count * Size(type);
    }

    /// <summary>Bytes of a value of fixed size.</summary>
    public static int Size(GgufType type) => type switch
    {
        GgufType.U8 or GgufType.I8 or GgufType.Flag => 1,
        GgufType.U16 or GgufType.I16 => 2,
        GgufType.U32 or GgufType.I32 or GgufType.F32 => 4,
        _ => 8,
    };

    readonly InvalidDataException Bad(string what) => new($"{file}: {what}");
}
