namespace Fovea.Models;

/// <summary>How a GGUF tensor's numbers are kept; the values are those in files. Other values occur and are refused when the tensor is read.</summary>
public enum GgufKind { F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q4_K = 12, Q5_K = 13, Q6_K = 14, BF16 = 30 }

/// <summary>Names and block sizes of the kinds, also of those that only the size is known of.</summary>
static class GgufKinds
{
    /// <summary>Name, numbers per block, bytes per block.</summary>
    static (string Name, int Block, int Bytes)? Of(GgufKind kind) => (int)kind switch
    {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        30 => ("BF16", 1, 2),
        28 => ("F64", 1, 8),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        9 => ("Q8_1", 32, 36),
        20 => ("IQ4_NL", 32, 18),
        39 => ("MXFP4", 32, 17),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        29 => ("IQ1_M", 256, 56),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        _ => null,
    };

    /// <summary>The kinds that can be read.</summary>
    public static bool Readable(GgufKind kind) => Enum.IsDefined(kind);
    public static string Name(GgufKind kind) => Of(kind)?.Name ?? $"number {(int)kind}";
    public static string Names => string.Join(", ", Enum.GetNames<GgufKind>());
    /// <summary>Numbers per block; 1 where the kind is unknown.</summary>
    public static int Block(GgufKind kind) => Of(kind)?.Block ?? 1;
    /// <summary>Bytes of so many numbers, whole blocks of them; null where the kind is unknown.</summary>
    public static long? Bytes(GgufKind kind, long numbers) => Of(kind) is { } k ? numbers / k.Block * k.Bytes : null;
}

/// <summary>
/// A tensor in a GGUF file: Shape is row-major, the reverse of the dimensions in the file; Offset counts from the start of the file and Bytes is its size, 0 where the kind is unknown.
/// </summary>
public sealed record GgufTensor(string Name, GgufKind Kind, IReadOnlyList<int> Shape, long Offset, long Bytes)
{
    /// <summary>Numbers in the tensor.</summary>
    public long Count { get { long n = 1; foreach (int d in Shape) n *= d; return n; } }
    /// <summary>Numbers in a row, the last dimension; 1 for a single number.</summary>
    public int Columns => Shape.Count == 0 ? 1 : Shape[^1];
    /// <summary>Rows of Columns numbers.</summary>
    public long Rows => Columns == 0 ? 0 : Count / Columns;
    public override string ToString() => $"{Name} {GgufKinds.Name(Kind)} [{string.Join(", ", Shape)}]";
}
