using System.Buffers.Binary;
using System.Text;
using Fovea.Kernels;
using Fovea.Models;
namespace Fovea.Units;

public class GgufTests
{
    static string Temporary() => Path.Combine(Path.GetTempPath(), $"fovea-gguf-{Environment.ProcessId}-{Environment.CurrentManagedThreadId}-{Environment.TickCount64}.gguf");
    static byte[] Bytes(GgufWriter w) { var s = new MemoryStream(); w.Save(s); return s.ToArray(); }
    static Tensor Wave(Shape shape) { var x = Tensor.Zeros(shape); for (int i = 0; i < x.Span.Length; i++) x.Span[i] = MathF.Sin(0.7f * i) + 0.1f; return x; }

    static GgufWriter Small() => new GgufWriter("toy")
        .Set("a.text", "naïve 😀").Set("a.flag", true).Set("a.u32", 7u).Set("a.i32", -7).Set("a.i64", 1L << 40).Set("a.f32", 0.5f).Set("a.f64", 0.1)
        .Set("a.texts", (string[])["", "x", "▁y"]).Set("a.flags", (bool[])[true, false]).Set("a.wholes", (int[])[3, -1]).Set("a.numbers", (float[])[1.5f, -2])
        .Add("f32", GgufKind.F32, Wave([3, 7])).Add("f16", GgufKind.F16, Wave([2, 5])).Add("q8", GgufKind.Q8_0, Wave([2, 3, 64])).Add("q4", GgufKind.Q4_0, Wave([32]));

    [Fact]
    public void What_is_written_is_read()
    {
        string path = Temporary();
        try
        {
            Small().Save(path);
            using var f = GgufFile.Open(path);
            Assert.Equal((3, "toy", "naïve 😀", true), (f.Version, f.Architecture, f.Text("a.text"), f.Flag("a.flag")));
            Assert.Equal((7L, -7L, 1L << 40, 0.5, 0.1), (f.Whole("a.u32"), f.Whole("a.i32"), f.Whole("a.i64"), f.Number("a.f32"), f.Number("a.f64")));
            Assert.Equal(["", "x", "▁y"], f.Texts("a.texts"));
            Assert.Equal([true, false], f.Flags("a.flags"));
            Assert.Equal([3L, -1], f.Wholes("a.wholes"));
            Assert.Equal([1.5, -2], f.Numbers("a.numbers"));
            Assert.Equal([3.0, -1], f.Numbers("a.wholes"));
            Assert.Equal((9L, 0.25, "no", false), (f.Whole("b", 9), f.Number("b", 0.25), f.Text("b", "no"), f.TryTexts("b", out _)));
            Assert.Equal(["f32", "f16", "q8", "q4"], f.Tensors.Keys);
            Assert.Equal([2, 3, 64], f.Tensor("q8").Shape);
            Assert.Equal(Wave([3, 7]).Span.ToArray(), GgufNumbers.Read(f, "f32").Span.ToArray());
            Assert.Equal(Wave([2, 5]).Span.ToArray().Select(x => (float)(Half)x), GgufNumbers.Read(f, "f16").Span.ToArray());
            foreach (var (name, error) in new[] { ("q8", 1.1 / 254 + 0.0005), ("q4", 1.1 / 8 + 0.001) })
            {
                var read = GgufNumbers.Read(f, name); var wave = Wave(read.Shape);
                for (int i = 0; i < wave.Span.Length; i++) Assert.InRange(Math.Abs(read.Span[i] - wave.Span[i]), 0, error);
            }
            var row = new float[64];
            GgufNumbers.Read(f, f.Tensor("q8"), 4, 1, row);
            Assert.Equal(GgufNumbers.Read(f, "q8").Span[256..320].ToArray(), row);
            Assert.Equal(f.Bytes(f.Tensor("q4")).ToArray(), f.Memory(f.Tensor("q4")).ToArray());
            Assert.All(f.Tensors.Values, t => Assert.Equal(0, t.Offset % 32));
        }
        finally { File.Delete(path); }
    }

    [Fact]
    public void Memory_of_a_closed_file_throws()
    {
        string path = Temporary();
        try
        {
            Small().Save(path);
            ReadOnlyMemory<byte> bytes;
            using (var f = GgufFile.Open(path)) bytes = f.Memory(f.Tensor("q4"));
            Assert.Throws<ObjectDisposedException>(() => { _ = bytes.Span.Length; });
        }
        finally { File.Delete(path); }
    }

    [Fact]
    public void Block_sizes_are_those_of_the_kernels()
    {
        static void Same<TFormat>(GgufKind kind) where TFormat : struct, INumberFormat
        {
            Assert.Equal(TFormat.Name, GgufKinds.Name(kind).ToLowerInvariant());
            Assert.Equal(TFormat.BlockBytes, GgufKinds.Bytes(kind, TFormat.Block));
            Assert.Equal(TFormat.Block, Math.Max(GgufKinds.Block(kind), 8));
        }
        Same<Float32>(GgufKind.F32); Same<Float16>(GgufKind.F16); Same<BFloat16>(GgufKind.BF16); Same<Q8_0>(GgufKind.Q8_0); Same<Q4_0>(GgufKind.Q4_0); Same<Q4_1>(GgufKind.Q4_1);
        Same<Q5_0>(GgufKind.Q5_0); Same<Q5_1>(GgufKind.Q5_1); Same<Q4_K>(GgufKind.Q4_K); Same<Q5_K>(GgufKind.Q5_K); Same<Q6_K>(GgufKind.Q6_K);
    }

    [Theory]
    [InlineData("a.text", "metadata 'a.text' is of type Text, expected a whole number")]
    [InlineData("a.texts", "metadata 'a.texts' is an array of 3 Text, expected a whole number")]
    [InlineData("b", "has no metadata 'b', expected a whole number")]
    public void A_value_of_another_type_is_named(string key, string message)
    {
        using var f = GgufFile.Open(Bytes(Small()), "toy.gguf");
        Assert.Equal("toy.gguf: " + message, Assert.Throws<InvalidDataException>(() => f.Whole(key)).Message);
    }

    [Fact]
    public void Lengths_that_the_file_does_not_vouch_for_are_refused()
    {
        var good = Bytes(Small());
        Refused(good, 8, ulong.MaxValue, "the number of tensors at byte 8 is");
        Refused(good, 16, 1UL << 60, "the number of metadata entries at byte 16 is");
        Refused(good, 24, 1UL << 40, "the length of metadata key 0 at byte 24 is");
        int offset = Find(good, "q8") + 2 + 4 + 24 + 4;
        Refused(good, offset, 32 * 1000, "begins at byte 32000 of the data, but the file has"); Refused(good, offset, 704, "ends outside the file");
        Refused(good, offset, 33, "expected a multiple of 32");
        Refused(good, offset, 0, "overlaps");
        Refused(good, Find(good, "q8") + 2 + 4, 1UL << 62, "dimension");
        int padding = good.Length - 14;      // the last tensor has 18 of 32 bytes
        for (int n = 0; n < padding; n++) { var cut = good[..n]; Assert.Throws<InvalidDataException>(() => GgufFile.Open(cut)); }
    }

    static int Find(byte[] file, string text) => file.AsSpan().LastIndexOf((byte[])[(byte)text.Length, 0, 0, 0, 0, 0, 0, 0, .. Encoding.UTF8.GetBytes(text)]) + 8;
    static void Refused(byte[] good, int at, ulong value, string message)
    {
        var bad = (byte[])good.Clone();
        BinaryPrimitives.WriteUInt64LittleEndian(bad.AsSpan(at), value);
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => GgufFile.Open(bad)).Message);
    }

    [Fact]
    public void Doubles_and_odd_alignments_are_refused()
    {
        var twice = Bytes(new GgufWriter("toy").Set("k1", "x").Set("k2", "y")); twice[Find(twice, "k2") + 1] = (byte)'1';
        Assert.Contains("'k1' occurs twice", Assert.Throws<InvalidDataException>(() => GgufFile.Open(twice)).Message);
        var odd = Bytes(new GgufWriter("toy", 64)); odd[Find(odd, "general.alignment") + 17 + 4] = 24;
        Assert.Contains("general.alignment is 24, expected a power of two", Assert.Throws<InvalidDataException>(() => GgufFile.Open(odd)).Message);
        var nested = Bytes(new GgufWriter("toy").Set("k", (int[])[]));
        Assert.Equal([], GgufFile.Open(nested).Wholes("k"));
    }

    [Fact]
    public void A_kind_that_is_not_supported_is_named_when_it_is_read()
    {
        var bytes = Bytes(new GgufWriter("toy").Add("w", GgufKind.Q8_0, Wave([256])));
        int kind = Find(bytes, "w") + 1 + 4 + 8;
        bytes[kind] = 10;
        using var f = GgufFile.Open(bytes, "f");
        Assert.Equal(84, f.Tensor("w").Bytes);
        Assert.Contains("tensor w Q2_K [256] is of a kind that is not supported", Assert.Throws<InvalidDataException>(() => { f.Bytes(f.Tensor("w")); }).Message);
        bytes[kind] = 200;
        Assert.Contains("w number 200 [256]", Assert.Throws<InvalidDataException>(() => { var g = GgufFile.Open(bytes); g.Bytes(g.Tensor("w")); }).Message);
    }

    [Fact]
    public void Files_of_more_than_two_gigabytes_are_mapped()
    {
        string path = Temporary();
        try
        {
            // Sparse: only the ends are ever written.
            using (var s = new FileStream(path, FileMode.Create))
            {
                s.SetLength((3L << 30) + 5); s.Position = 3L << 30; s.Write("hello"u8);
            }
            using var f = MappedFile.Open(path);
            Assert.Equal("hello"u8, f.Slice(3L << 30, 5));
            Assert.Throws<ArgumentOutOfRangeException>(() => { f.Slice(3L << 30, 6); });
        }
        finally { File.Delete(path); }
    }
}
