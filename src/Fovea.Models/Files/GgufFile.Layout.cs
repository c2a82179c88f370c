namespace Fovea.Models;

public sealed partial class GgufFile
{
    int ReadVersion(ref GgufReader reader)
    {
        uint magic = reader.U32("the first four bytes");
        if (magic != Magic) throw Bad($"begins with 0x{magic:x8}, expected 0x{Magic:x8} (\"GGUF\"): is this a GGUF file?");
        uint version = reader.U32("the version");
        if (version is > 0 and < 2) throw Bad($"is of version {version}, expected 2 or 3: write it anew with current tools");
        if (version >> 24 != 0 && (version & 0xffff) == 0) throw Bad("is big-endian, expected little-endian");
        return version is 2 or 3 ? (int)version : throw Bad($"is of version {version}, expected 2 or 3");
    }

    /// <summary>One entry of the list of tensors; its Offset still counts from the start of the data.</summary>
    GgufTensor ReadTensor(ref GgufReader reader, long index)
    {
        string who = reader.Text($"the name of tensor {index}"), short_ = $"tensor '{Short(who)}'";
        uint rank = reader.U32($"the rank of {short_}");
        if (rank > MostDimensions) throw Bad($"{short_} has {rank} dimensions, expected at most {MostDimensions}");
        var shape = new int[rank]; long count = 1;
        for (int i = (int)rank - 1; i >= 0; i--)
        {
            ulong d = reader.U64($"the dimensions of {short_}");
            if (d > int.MaxValue) throw Bad($"{short_}: dimension {rank - 1 - i} is {d}, expected at most {int.MaxValue}");
            shape[i] = (int)d;
            // The largest kind has 8 bytes per number, so that sizes in bytes fit as well.
            if (d > 0 && count > long.MaxValue / 8 / (long)d) throw Bad($"{short_} has more numbers than can be counted");
            count *= (long)d;
        }
        var kind = (GgufKind)reader.U32($"the kind of {short_}");
        int columns = rank == 0 ? 1 : shape[^1], block = GgufKinds.Block(kind);
        if (columns % block != 0) throw Bad($"{short_} has rows of {columns} numbers, expected a multiple of {block} for {GgufKinds.Name(kind)}");
        ulong offset = reader.U64($"the offset of {short_}");
        if (offset > (ulong)Length) throw Bad($"{short_} begins at byte {offset} of the data, but the file has {Length} bytes");
        return new(who, kind, shape, (long)offset, GgufKinds.Bytes(kind, count) ?? 0);
    }

    /// <summary>Makes offsets count from the start of the file; throws where tensors leave the file, overlap or are not aligned.</summary>
    void Place(long data, long alignment)
    {
        var order = new GgufTensor[tensors.Count];
        for (int i = 0; i < order.Length; i++)
        {
            var t = tensors.GetAt(i).Value;
            if (t.Offset % alignment != 0) throw Bad($"tensor '{Short(t.Name)}' begins at byte {t.Offset} of the data, expected a multiple of {alignment}");
            if (t.Bytes > Length - data - t.Offset) throw Bad($"tensor {t} of {t.Bytes} bytes from byte {data + t.Offset} ends outside the file of {Length} bytes: it is cut short");
            order[i] = t with { Offset = data + t.Offset };
            tensors.SetAt(i, order[i]);
        }
        Array.Sort(order, (a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.Bytes.CompareTo(b.Bytes));
        for (int i = 1; i < order.Length; i++)
            if (order[i - 1].Offset + order[i - 1].Bytes > order[i].Offset)
                throw Bad($"tensor {order[i]} begins at byte {order[i].Offset}, expected at least {order[i - 1].Offset + order[i - 1].Bytes}: it overlaps '{Short(order[i - 1].Name)}'");
    }
}
