using Fovea.Kernels;
namespace Fovea.Models;

/// <summary>Numbers in and out of the bytes of GGUF tensors, whatever their kind.</summary>
public static class GgufNumbers
{
    /// <summary>Writes rows of a tensor as numbers [Count,Columns]; destination is overwritten.</summary>
    public static void Read(GgufFile file, GgufTensor tensor, long firstRow, int count, Span<Real> destination)
    {
        int numbers = checked(count * tensor.Columns);
        Guard.Holds(destination, numbers);
        Decode(tensor.Kind, file.Rows(tensor, firstRow, count), destination[..numbers]);
    }

    /// <summary>A whole tensor as a <see cref="Tensor"/> of the same shape.</summary>
    public static Tensor Read(GgufFile file, string name)
    {
        var t = file.Tensor(name);
        if (t.Count > Array.MaxLength) throw new InvalidDataException($"tensor {t} has {t.Count} numbers, expected at most {Array.MaxLength} in one piece");
        var all = Tensor.Empty(Shape.Of([.. t.Shape]));
        Decode(t.Kind, file.Bytes(t), all.Span);
        return all;
    }

    /// <summary>The number format of a kind that can be read.</summary>
    public static NumberFormat Format(GgufKind kind) => GgufKinds.Readable(kind) ? NumberFormat.Named(GgufKinds.Name(kind).ToLowerInvariant()) : throw new ArgumentOutOfRangeException(nameof(kind), kind, $"expected one of {GgufKinds.Names}");

    static void Decode(GgufKind kind, ReadOnlySpan<byte> from, Span<Real> to) => Format(kind).DecodeRun(from, to);

    /// <summary>Bytes of one row of finite numbers; to is overwritten and has the length that the row needs.</summary>
    internal static void Encode(GgufKind kind, ReadOnlySpan<Real> row, Span<byte> to) => Format(kind).EncodeRun(row, to);
}
