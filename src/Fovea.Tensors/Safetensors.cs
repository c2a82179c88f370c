using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
namespace Fovea;

/// <summary>What a safetensors file holds: tensors by name, and free text about them.</summary>
public sealed record SafetensorsFile(IReadOnlyDictionary<string, Tensor> Tensors, IReadOnlyDictionary<string, string> Metadata);

/// <summary>A tensor in a file: the name of its number format, its shape, and its bytes from Offset on.</summary>
public sealed record SafetensorsPlace(string Name, string Type, IReadOnlyList<int> Shape, long Offset, long Bytes);

/// <summary>
/// Named tensors in one file: eight bytes of header length, a JSON header, then the numbers, little-endian and without gaps.
/// A file is checked before it is believed: nothing is allocated that its real length does not vouch for, and whatever is wrong is an
/// <see cref="InvalidDataException"/> that names the file, the tensor, what was found and what was expected.
/// </summary>
public static class Safetensors
{
    /// <summary>The longest header the format allows, in bytes.</summary>
    public const int LargestHeader = 100_000_000;
    const int Prefix = 8;
    const string MetadataKey = "__metadata__";

    /// <summary>All tensors of a file, converted to Real from F64, F32, F16, BF16, I64, I32, I8 or U8.</summary>
    public static IReadOnlyDictionary<string, Tensor> Read(string path) => Open(path).Tensors;
    /// <summary>All tensors of what is left of a stream.</summary>
    public static IReadOnlyDictionary<string, Tensor> Read(Stream stream) => Open(stream).Tensors;

    /// <summary>Tensors and metadata of a file.</summary>
    public static SafetensorsFile Open(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        return Open(file, path);
    }
    /// <summary>Tensors and metadata of what is left of a stream; <paramref name="name"/> stands in messages.</summary>
    public static SafetensorsFile Open(Stream stream, string name = "stream")
    {
        if (stream.CanSeek) return Load(stream, name);
        // Without a length there is nothing to check a header against, so the bytes come first.
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        copy.Position = 0;
        return Load(copy, name);
    }

    /// <summary>Where the tensors of a file lie, checked as if they were read, for those who map it. Offsets count from the start of the stream; type is the name that the format gives it.</summary>
    public static IReadOnlyList<SafetensorsPlace> Places(Stream stream, string name)
    {
        var (entries, _, data) = Head(stream, name);
        return [.. entries.Select(e => new SafetensorsPlace(e.Name, e.Type.Name, e.Shape, data + e.Begin, e.End - e.Begin))];
    }

    static SafetensorsFile Load(Stream stream, string file)
    {
        var (entries, metadata, _) = Head(stream, file);
        var tensors = new Dictionary<string, Tensor>(entries.Count, StringComparer.Ordinal);
        foreach (var e in entries) tensors.Add(e.Name, Load(stream, e));
        return new(tensors, metadata);
    }

    // The checked header, in the order of the numbers, which the stream stands before.
    static (List<SafetensorsEntry> Entries, Dictionary<string, string> Metadata, long Data) Head(Stream stream, string file)
    {
        long length = stream.Length - stream.Position;
        if (length < Prefix) throw Bad(file, $"is {length} bytes long; a safetensors file has at least {Prefix}");
        Span<byte> prefix = stackalloc byte[Prefix];
        stream.ReadExactly(prefix);
        ulong header = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (header > LargestHeader) throw Bad(file, $"says its header has {header} bytes; the format allows at most {LargestHeader} (is this a safetensors file?)");
        if ((long)header > length - Prefix) throw Bad(file, $"says its header has {header} bytes, but only {length - Prefix} follow: it is cut short");
        var json = new byte[(int)header];
        stream.ReadExactly(json);

        var (entries, metadata) = SafetensorsHeader.Parse(json, file);
        Layout(entries, length - Prefix - (long)header, file);
        return (entries, metadata, stream.Position);
    }

    /// <summary>Sorts entries by place and throws unless they fill the data exactly, each with as many bytes as its shape needs.</summary>
    static void Layout(List<SafetensorsEntry> entries, long data, string file)
    {
        foreach (var e in entries)
        {
            long needed = e.Count * e.Type.Bytes;
            if (e.End < e.Begin) throw Bad(file, $"tensor '{e.Name}' ends at {e.End} before it begins at {e.Begin}");
            if (e.End > data) throw Bad(file, $"tensor '{e.Name}' ends at byte {e.End} of the data, but there are {data}: the file is cut short");
            if (e.End - e.Begin != needed) throw Bad(file, $"tensor '{e.Name}' has {e.End - e.Begin} bytes, expected {needed} for {e.Type.Name} {e.Dims()}");
        }
        entries.Sort((a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.End.CompareTo(b.End));
        long at = 0;
        foreach (var e in entries)
        {
            if (e.Begin != at) throw Bad(file, $"tensor '{e.Name}' begins at byte {e.Begin} of the data, expected {at}: {(e.Begin < at ? "tensors overlap" : "there is a gap")}");
            at = e.End;
        }
        if (at != data) throw Bad(file, $"has {data} bytes of data, but its tensors end at {at}: {data - at} bytes too many");
    }

    static Tensor Load(Stream stream, SafetensorsEntry e)
    {
        var values = new Real[(int)e.Count];
        if (e.Type.Name == Native && BitConverter.IsLittleEndian) stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        else
        {
            Span<byte> chunk = stackalloc byte[4096];
            for (int i = 0, step = chunk.Length / e.Type.Bytes; i < values.Length; i += step)
            {
                var part = values.AsSpan(i, Math.Min(step, values.Length - i));
                var bytes = chunk[..(part.Length * e.Type.Bytes)];
                stream.ReadExactly(bytes);
                for (int j = 0; j < part.Length; j++) part[j] = e.Type.Of(bytes[(j * e.Type.Bytes)..]);
            }
        }
        return new Tensor(Shape.Of(e.Shape), values);
    }

    /// <summary>
    /// Writes tensors in the given order, as F32 (F64 where Real is double); the file appears whole or not at all.
    /// Names must be unique and not "__metadata__".
    /// </summary>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var all = tensors.ToArray();
        var header = Header(all, metadata);
        AtomicFile.Write(path, s => Write(s, header, all));
    }
    /// <summary>Writes the same bytes to a stream.</summary>
    public static void Write(Stream stream, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var all = tensors.ToArray();
        Write(stream, Header(all, metadata), all);
    }

    static void Write(Stream stream, byte[] header, KeyValuePair<string, Tensor>[] tensors)
    {
        Span<byte> prefix = stackalloc byte[Prefix];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)header.Length);
        stream.Write(prefix);
        stream.Write(header);
        foreach (var (_, t) in tensors)
        {
            if (BitConverter.IsLittleEndian) { stream.Write(MemoryMarshal.AsBytes(t.Span)); continue; }
            foreach (Real x in t.Span)
            {
                BitConverter.TryWriteBytes(prefix, x);
                prefix[..sizeof(Real)].Reverse();
                stream.Write(prefix[..sizeof(Real)]);
            }
        }
    }

    static byte[] Header(KeyValuePair<string, Tensor>[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject(MetadataKey);
                foreach (var (key, value) in metadata) json.WriteString(key, value);
                json.WriteEndObject();
            }
            long at = 0; var names = new HashSet<string>(StringComparer.Ordinal);
            foreach (var (name, t) in tensors)
            {
                if (name == MetadataKey) throw new ArgumentException($"tensor name '{MetadataKey}' is reserved by the format", nameof(tensors));
                if (!names.Add(name)) throw new ArgumentException($"tensor name '{name}' is given twice", nameof(tensors));
                json.WriteStartObject(name);
                json.WriteString("dtype", Native);
                json.WriteStartArray("shape"); foreach (int d in t.Shape) json.WriteNumberValue(d); json.WriteEndArray();
                json.WriteStartArray("data_offsets"); json.WriteNumberValue(at); json.WriteNumberValue(at += (long)t.Span.Length * sizeof(Real)); json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        while (bytes.Length % Prefix != 0) bytes.WriteByte((byte)' ');      // the numbers start aligned
        if (bytes.Length > LargestHeader) throw new ArgumentException($"the header would have {bytes.Length} bytes; the format allows {LargestHeader}", nameof(tensors));
        return bytes.ToArray();
    }

    static string Native => sizeof(Real) == 4 ? "F32" : "F64";
    static InvalidDataException Bad(string file, string what) => new($"{file}: {what}");
}
