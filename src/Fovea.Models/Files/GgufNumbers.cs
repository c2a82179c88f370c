using System.Buffers.Binary;
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
        Decode(tensor.Kind, file.Rows(tensor, firstRow, count), tensor.Columns, destination[..numbers]);
    }

    /// <summary>A whole tensor as a <see cref="Tensor"/> of the same shape.</summary>
    public static Tensor Read(GgufFile file, string name)
    {
        var t = file.Tensor(name);
        if (t.Count > Array.MaxLength) throw new InvalidDataException($"tensor {t} has {t.Count} numbers, expected at most {Array.MaxLength} in one piece");
        var all = Tensor.Empty(Shape.Of([.. t.Shape]));
        Decode(t.Kind, file.Bytes(t), t.Columns, all.Span);
        return all;
    }

    static void Decode(GgufKind kind, ReadOnlySpan<byte> from, int columns, Span<Real> to)
    {
        if (to.IsEmpty) return;
        switch (kind)
        {
            case GgufKind.F32: for (int i = 0; i < to.Length; i++) to[i] = BinaryPrimitives.ReadSingleLittleEndian(from[(4 * i)..]); break;
            case GgufKind.F16: for (int i = 0; i < to.Length; i++) to[i] = (Real)BinaryPrimitives.ReadHalfLittleEndian(from[(2 * i)..]); break;
            case GgufKind.BF16: for (int i = 0; i < to.Length; i++) to[i] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(from[(2 * i)..]) << 16); break;
            case GgufKind.Q4_0: Formats.Decode<Q4_0>(from, columns, to); break;
            case GgufKind.Q4_1: Formats.Decode<Q4_1>(from, columns, to); break;
            case GgufKind.Q5_0: Formats.Decode<Q5_0>(from, columns, to); break;
            case GgufKind.Q5_1: Formats.Decode<Q5_1>(from, columns, to); break;
            case GgufKind.Q8_0: Formats.Decode<Q8_0>(from, columns, to); break;
            case GgufKind.Q4_K: Formats.Decode<Q4_K>(from, columns, to); break;
            case GgufKind.Q5_K: Formats.Decode<Q5_K>(from, columns, to); break;
            case GgufKind.Q6_K: Formats.Decode<Q6_K>(from, columns, to); break;
            default: throw new ArgumentOutOfRangeException(nameof(kind), kind, $"expected one of {GgufKinds.Names}");
        }
    }

    /// <summary>Bytes of one row of finite numbers as F32, F16, Q8_0 or Q4_0; to is overwritten and has the length that the row needs.</summary>
    internal static void Encode(GgufKind kind, ReadOnlySpan<Real> row, Span<byte> to)
    {
        switch (kind)
        {
            case GgufKind.F32: for (int i = 0; i < row.Length; i++) BinaryPrimitives.WriteSingleLittleEndian(to[(4 * i)..], row[i]); break;
            case GgufKind.F16: for (int i = 0; i < row.Length; i++) BinaryPrimitives.WriteHalfLittleEndian(to[(2 * i)..], (Half)row[i]); break;
            case GgufKind.Q8_0: Formats.Encode<Q8_0>(row, row.Length, to); break;
            default: Formats.Encode<Q4_0>(row, row.Length, to); break;
        }
    }
}
