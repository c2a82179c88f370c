using System.Text;
namespace Fovea.Models;

/// <summary>Fills a row of a tensor that is being written; every number must be finite.</summary>
public delegate void GgufRow(long row, Span<Real> destination);

/// <summary>Writes GGUF files (version 3): metadata and tensors are declared first, numbers are asked for row by row while the file is written, so that no more than a row is in memory.</summary>
public sealed class GgufWriter
{
    sealed record Entry(string Name, GgufKind Kind, int[] Shape, long Bytes, GgufRow Fill);
    readonly List<(string Key, Action<BinaryWriter> Write)> metadata = [];
    readonly List<Entry> tensors = [];
    readonly HashSet<string> keys = new(StringComparer.Ordinal), names = new(StringComparer.Ordinal);
    readonly int alignment;

    /// <summary>Every tensor begins at a multiple of <paramref name="alignment"/> bytes, a power of two from 8.</summary>
    public GgufWriter(string architecture, int alignment = 32)
    {
        if (alignment < 8 || (alignment & (alignment - 1)) != 0) throw new ArgumentOutOfRangeException(nameof(alignment), alignment, "alignment must be a power of two from 8");
        this.alignment = alignment;
        Set("general.architecture", architecture);
        if (alignment != 32) Set("general.alignment", (uint)alignment);
    }

    public GgufWriter Set(string key, string value) => Set(key, GgufType.Text, w => Text(w, value));
    public GgufWriter Set(string key, bool value) => Set(key, GgufType.Flag, w => w.Write(value));
    public GgufWriter Set(string key, uint value) => Set(key, GgufType.U32, w => w.Write(value));
    public GgufWriter Set(string key, int value) => Set(key, GgufType.I32, w => w.Write(value));
    public GgufWriter Set(string key, long value) => Set(key, GgufType.I64, w => w.Write(value));
    public GgufWriter Set(string key, Real value) => Set(key, GgufType.F32, w => w.Write(value));
    public GgufWriter Set(string key, double value) => Set(key, GgufType.F64, w => w.Write(value));
    public GgufWriter Set(string key, IReadOnlyList<string> values) => Set(key, GgufType.Text, values, Text);
    public GgufWriter Set(string key, IReadOnlyList<bool> values) => Set(key, GgufType.Flag, values, (w, x) => w.Write(x));
    public GgufWriter Set(string key, IReadOnlyList<int> values) => Set(key, GgufType.I32, values, (w, x) => w.Write(x));
    public GgufWriter Set(string key, IReadOnlyList<Real> values) => Set(key, GgufType.F32, values, (w, x) => w.Write(x));

    GgufWriter Set<T>(string key, GgufType item, IReadOnlyList<T> values, Action<BinaryWriter, T> write) =>
        Set(key, GgufType.Array, w => { w.Write((uint)item); w.Write((ulong)values.Count); foreach (var x in values) write(w, x); });

    GgufWriter Set(string key, GgufType type, Action<BinaryWriter> write)
    {
        if (!keys.Add(key)) throw new ArgumentException($"metadata '{key}' is given twice", nameof(key));
        metadata.Add((key, w => { w.Write((uint)type); write(w); }));
        return this;
    }

    /// <summary>Takes over a value from a file, as it is; the file must be open when this one is saved.</summary>
    public GgufWriter Copy(GgufFile file, string key)
    {
        var value = file.Value(key);
        return Set(key, value.Type, w =>
        {
            if (value.Type == GgufType.Array) { w.Write((uint)value.Item); w.Write((ulong)value.Count); }
            w.Write(file.Raw(value));
        });
    }

    /// <summary>Whether tensors can be written as this kind: F32, F16, Q8_0 or Q4_0.</summary>
    public static bool Writes(GgufKind kind) => kind is GgufKind.F32 or GgufKind.F16 or GgufKind.Q8_0 or GgufKind.Q4_0;

    /// <summary>Declares a tensor [… rows, columns] as F32, F16, Q8_0 or Q4_0; <paramref name="fill"/> is called once per row, in order, by Save.</summary>
    public GgufWriter Add(string name, GgufKind kind, ReadOnlySpan<int> shape, GgufRow fill)
    {
        if (!Writes(kind)) throw new ArgumentOutOfRangeException(nameof(kind), kind, "expected F32, F16, Q8_0 or Q4_0");
        if (shape.Length is < 1 or > 4) throw new ArgumentException($"tensor '{name}' has {shape.Length} dimensions, expected 1 to 4", nameof(shape));
        long count = 1;
        foreach (int d in shape) count = d > 0 ? checked(count * d) : throw new ArgumentException($"tensor '{name}' has a dimension of {d}, expected at least 1", nameof(shape));
        if (shape[^1] % GgufKinds.Block(kind) != 0) throw new ArgumentException($"tensor '{name}' has rows of {shape[^1]} numbers, expected a multiple of {GgufKinds.Block(kind)} for {kind}", nameof(shape));
        if (!names.Add(name)) throw new ArgumentException($"tensor '{name}' is given twice", nameof(name));
        tensors.Add(new(name, kind, shape.ToArray(), GgufKinds.Bytes(kind, count) ?? 0, fill));
        return this;
    }

    /// <summary>Declares a tensor whose numbers are there already.</summary>
    public GgufWriter Add(string name, GgufKind kind, Tensor tensor) => Add(name, kind, tensor.Shape.AsSpan, (row, to) => tensor.Span.Slice((int)(row * to.Length), to.Length).CopyTo(to));

    /// <summary>Writes the file, which appears whole or not at all.</summary>
    public void Save(string path) => AtomicFile.Write(path, Save);

    /// <summary>Writes the same bytes to a stream.</summary>
    public void Save(Stream stream)
    {
        long written = Head(stream);
        foreach (var t in tensors)
        {
            written = Pad(stream, written);
            var row = new Real[t.Shape[^1]]; var bytes = new byte[GgufKinds.Bytes(t.Kind, row.Length) ?? 0];
            for (long r = 0; r < t.Bytes / bytes.Length; r++) { t.Fill(r, row); GgufNumbers.Encode(t.Kind, row, bytes); stream.Write(bytes); }
            written += t.Bytes;
        }
        Pad(stream, written);
    }

    long Head(Stream stream)
    {
        var head = new MemoryStream();
        using var w = new BinaryWriter(head, Encoding.UTF8, leaveOpen: true);
        w.Write("GGUF"u8); w.Write(3u); w.Write((ulong)tensors.Count); w.Write((ulong)metadata.Count);
        foreach (var (key, write) in metadata) { Text(w, key); write(w); }
        long at = 0;
        foreach (var t in tensors)
        {
            Text(w, t.Name); w.Write((uint)t.Shape.Length);
            for (int i = t.Shape.Length - 1; i >= 0; i--) w.Write((ulong)t.Shape[i]);
            w.Write((uint)t.Kind); w.Write((ulong)at);
            at += t.Bytes + alignment - 1 & -alignment;
        }
        head.WriteTo(stream);
        return head.Length;
    }

    long Pad(Stream stream, long written)
    {
        for (; written % alignment != 0; written++) stream.WriteByte(0);
        return written;
    }

    static void Text(BinaryWriter w, string text) { var bytes = Encoding.UTF8.GetBytes(text); w.Write((ulong)bytes.Length); w.Write(bytes); }
}
