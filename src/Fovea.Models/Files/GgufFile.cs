using Fovea.Kernels;
namespace Fovea.Models;

/// <summary>
/// A GGUF file (version 2 or 3, little-endian): metadata by key and tensors by name, mapped, not copied. Opening checks every length, count and place in it and allocates at most
/// <see cref="BytesPerByte"/> bytes per byte of the head (what comes before the numbers) and 64 KiB; an array that is asked for takes at most as much per byte again.
/// Whatever is wrong is an <see cref="InvalidDataException"/> that names the file, the place, what was found and what was expected.
/// </summary>
public sealed partial class GgufFile : IDisposable
{
    /// <summary>The most bytes that are allocated per byte of the head.</summary>
    public const int BytesPerByte = 32;
    const uint Magic = 0x46554747;      // "GGUF"
    const int SmallestEntry = 13, SmallestTensor = 24, MostDimensions = 4;

    readonly string name;
    readonly MappedFile? mapped;
    readonly byte[] memory = [];
    readonly Dictionary<string, GgufValue> metadata = new(StringComparer.Ordinal);
    readonly OrderedDictionary<string, GgufTensor> tensors = new(StringComparer.Ordinal);
    readonly int head;

    GgufFile(string name, MappedFile? mapped, byte[] memory)
    {
        (this.name, this.mapped, this.memory) = (name, mapped, memory);
        var reader = new GgufReader(Slice(0, (int)Math.Min(Length, int.MaxValue)), name);
        Version = ReadVersion(ref reader);
        long most = reader.Count("the number of tensors", SmallestTensor), keys = reader.Count("the number of metadata entries", SmallestEntry);
        for (long i = 0; i < keys; i++)
        {
            string key = reader.Text($"metadata key {i}");
            if (!metadata.TryAdd(key, reader.Value(key))) throw Bad($"metadata key '{Short(key)}' occurs twice");
        }
        long alignment = Whole("general.alignment", 32);
        if (alignment is < 1 or > int.MaxValue || (alignment & (alignment - 1)) != 0) throw Bad($"general.alignment is {alignment}, expected a power of two");
        for (long i = 0; i < most; i++)
        {
            var tensor = ReadTensor(ref reader, i);
            if (!tensors.TryAdd(tensor.Name, tensor)) throw Bad($"tensor '{Short(tensor.Name)}' occurs twice");
        }
        head = reader.At;
        Place((head + alignment - 1) & -alignment, alignment);
    }

    /// <summary>Maps a file and reads its head.</summary>
    public static GgufFile Open(string path)
    {
        var mapped = MappedFile.Open(path);
        try { return new(path, mapped, []); }
        catch { mapped.Dispose(); throw; }
    }

    /// <summary>A file that is in memory already; <paramref name="name"/> stands in messages.</summary>
    public static GgufFile Open(byte[] bytes, string name = "bytes") => new(name, null, bytes);

    /// <summary>2 or 3.</summary>
    public int Version { get; }
    /// <summary>"general.architecture": the prefix of most other keys.</summary>
    public string Architecture => Text("general.architecture");
    /// <summary>By name, in the order of the file.</summary>
    public IReadOnlyDictionary<string, GgufTensor> Tensors => tensors;
    /// <summary>Bytes in the file.</summary>
    public long Length => mapped?.Length ?? memory.Length;

    /// <summary>A tensor by name; a missing one is an <see cref="InvalidDataException"/>.</summary>
    public GgufTensor Tensor(string tensor) => tensors.TryGetValue(tensor, out var found) ? found : throw Bad($"has no tensor '{Short(tensor)}' among its {tensors.Count}");

    /// <summary>The bytes of a tensor, under 2 GiB, valid until Dispose.</summary>
    public ReadOnlySpan<byte> Bytes(GgufTensor tensor) => Slice(tensor.Offset, Size(tensor));
    /// <summary>The same bytes as something that can be kept; taking its span after Dispose throws.</summary>
    public ReadOnlyMemory<byte> Memory(GgufTensor tensor)
    {
        int size = Size(tensor);
        return mapped?.Memory(tensor.Offset, size) ?? memory.AsMemory((int)tensor.Offset, size);
    }
    /// <summary>The bytes of rows first … first + count − 1, of a tensor of any size.</summary>
    public ReadOnlySpan<byte> Rows(GgufTensor tensor, long first, int count)
    {
        long row = GgufKinds.Bytes(Known(tensor).Kind, tensor.Columns) ?? 0;
        if (first < 0 || count < 0 || first > tensor.Rows - count) throw new ArgumentOutOfRangeException(nameof(first), $"rows {first} to {first + count} of {tensor}");
        return Slice(tensor.Offset + first * row, checked((int)(count * row)));
    }

    internal GgufValue Value(string key) => metadata.TryGetValue(key, out var v) ? v : throw Bad($"has no metadata '{Short(key)}'");
    internal ReadOnlySpan<byte> Raw(GgufValue value) => Slice(value.At, value.Bytes);

    int Size(GgufTensor tensor) => Known(tensor).Bytes <= int.MaxValue ? (int)tensor.Bytes : throw Bad($"tensor {tensor} has {tensor.Bytes} bytes, expected at most {int.MaxValue} in one piece");
    GgufTensor Known(GgufTensor tensor) => GgufKinds.Readable(tensor.Kind) ? tensor : throw Bad($"tensor {tensor} is of a kind that is not supported, expected one of {GgufKinds.Names}");
    ReadOnlySpan<byte> Slice(long offset, int length) => mapped is { } m ? m.Slice(offset, length) : memory.AsSpan((int)offset, length);

    public void Dispose() => mapped?.Dispose();

    static string Short(string name) => name.Length <= 80 ? name : name[..80] + "…";
    InvalidDataException Bad(string what) => new($"{name}: {what}");
}
