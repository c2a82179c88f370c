using System.Buffers.Binary;
using System.Text;
namespace Fovea.Units;

public class SafetensorsTests
{
    [Fact]
    public void What_is_written_is_read_back_bit_for_bit()
    {
        string path = TemporaryPath();
        var tensors = new Dictionary<string, Tensor>
        {
            ["a.weight"] = Tensor.From([1, -2, float.NaN, float.PositiveInfinity, -0f, float.Epsilon], [2, 3]),
            ["scalar"] = Tensor.From([7], []),
            ["empty"] = Tensor.From([], [0, 5]),
            ["ünï \"quoted\" 名"] = Tensor.From([.. Enumerable.Range(0, 1001).Select(i => i * 0.1f)], [7, 11, 13]),
        };
        Safetensors.Write(path, tensors, new Dictionary<string, string> { ["step"] = "12", ["ключ"] = "line\nbreak" });
        var read = Safetensors.Open(path);
        Assert.Equal(tensors.Keys, read.Tensors.Keys);
        Assert.Equal("12", read.Metadata["step"]); Assert.Equal("line\nbreak", read.Metadata["ключ"]);
        foreach (var (name, t) in tensors)
        {
            Assert.Equal(t.Shape, read.Tensors[name].Shape);
            Assert.Equal(Bits(t), Bits(read.Tensors[name]));
        }
        Assert.Equal(["file.safetensors"], Directory.GetFiles(Path.GetDirectoryName(path)!).Select(Path.GetFileName));
    }

    [Fact]
    public void A_file_made_by_hand_is_read_as_the_format_says()
    {
        byte[] data = [.. BitConverter.GetBytes(1.5f), .. BitConverter.GetBytes(-3f)];
        var read = Safetensors.Read(new MemoryStream(File("""{"__metadata__":{"k":"v"},"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   """, data)));
        Assert.Equal([1.5f, -3f], read["t"].Span.ToArray());
    }

    public static TheoryData<string, byte[], float[]> Types => new()
    {
        { "F64", [.. BitConverter.GetBytes(0.1), .. BitConverter.GetBytes(-2.0)], [0.1f, -2] },
        { "F16", [.. BitConverter.GetBytes((Half)0.1), .. BitConverter.GetBytes((Half)(-65504))], [(float)(Half)0.1, -65504] },
        { "BF16", [0x80, 0x3f, 0x49, 0xc0], [1, -3.140625f] },
        { "I64", [.. BitConverter.GetBytes(long.MinValue), .. BitConverter.GetBytes(5L)], [-9223372036854775808f, 5] },
        { "I32", [.. BitConverter.GetBytes(-7), .. BitConverter.GetBytes(1 << 20)], [-7, 1 << 20] },
        { "I8", [0x80, 0x7f], [-128, 127] },
        { "U8", [0x80, 0xff], [128, 255] },
    };

    [Theory, MemberData(nameof(Types))]
    public void Every_supported_type_becomes_Real(string type, byte[] data, float[] expected)
    {
        var read = Safetensors.Read(new MemoryStream(File($$$"""{"t":{"dtype":"{{{type}}}","shape":[2],"data_offsets":[0,{{{data.Length}}}]}}""", data)));
        Assert.Equal(expected, read["t"].Span.ToArray());
    }

    [Fact]
    public void Conversion_does_not_depend_on_where_a_chunk_ends()
    {
        var halves = Enumerable.Range(0, 5003).Select(i => (Half)(i % 2048)).ToArray();
        var read = Safetensors.Read(new MemoryStream(File("""{"t":{"dtype":"F16","shape":[5003],"data_offsets":[0,10006]}}""", [.. halves.SelectMany(BitConverter.GetBytes)])));
        Assert.Equal(halves.Select(h => (float)h), read["t"].Span.ToArray());
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "cut short")]
    [InlineData("""{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}""", "4 bytes too many")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}""", "tensor 'a' has 4 bytes, expected 12 for F32 [3]")]
    [InlineData("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}""", "tensor 'b' begins at byte 3 of the data, expected 2: there is a gap")]
    [InlineData("""{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", "overlap")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}""", "names 'a' twice")]
    [InlineData("""{"a":{"dtype":"Q4","shape":[4],"data_offsets":[0,4]}}""", "tensor 'a' has dtype 'Q4', expected one of F64")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4]}}""", "dimension 0 is 4294967296")]
    [InlineData("""{"a":{"dtype":"U8","shape":[65536,65536,65536],"data_offsets":[0,4]}}""", "more than")]
    [InlineData("""{"a":{"dtype":"U8","shape":[65536,65536,0],"data_offsets":[0,0]}}""", "more than")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,4],"data_offsets":[0,4]}}""", "more than 6 numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}""", "not a whole number")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}""", "before it begins")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0]}}""", "expected 2")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4]}}""", "lacks data_offsets")]
    [InlineData("""{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "dtype twice")]
    [InlineData("""{"__metadata__":{"a":1}}""", "expected a string")]
    [InlineData("""{"a":7}""", "expected an object")]
    [InlineData("""[1]""", "not a JSON object")]
    [InlineData("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}} x""", "not valid JSON")]
    [InlineData("""{"\ud800":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "not valid JSON")]
    public void A_bad_header_says_what_is_wrong(string json, string expected)
    {
        var e = Assert.Throws<InvalidDataException>(() => Safetensors.Open(new MemoryStream(File(json, new byte[4])), "x.safetensors"));
        Assert.StartsWith("x.safetensors: ", e.Message); Assert.Contains(expected, e.Message);
    }

    [Fact]
    public void A_header_that_claims_more_than_there_is_allocates_nothing()
    {
        foreach (ulong claim in (ulong[])[ulong.MaxValue, 100_000_001, 99_999_999, 1 << 20])
        {
            var bytes = new byte[64];
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, claim);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Throws<InvalidDataException>(() => Safetensors.Read(new MemoryStream(bytes)));
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 32_768);
        }
        Assert.Throws<InvalidDataException>(() => Safetensors.Read(new MemoryStream([1, 2, 3])));
    }

    [Fact]
    public void Two_tensors_of_one_name_and_the_reserved_name_cannot_be_written()
    {
        var t = Tensor.From([1], [1]); string path = TemporaryPath();
        Assert.Throws<ArgumentException>(() => Safetensors.Write(path, [new("a", t), new("a", t)]));
        Assert.Throws<ArgumentException>(() => Safetensors.Write(path, [new("__metadata__", t)]));
        Assert.False(System.IO.File.Exists(path));
    }

    [Fact]
    public void A_write_that_fails_leaves_the_old_file_and_nothing_else()
    {
        string path = TemporaryPath();
        Safetensors.Write(path, [new("a", Tensor.From([1], [1]))]);
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(path, s => { s.WriteByte(1); throw new InvalidOperationException(); }));
        Assert.Equal([1f], Safetensors.Read(path)["a"].Span.ToArray());
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
    }

    [Fact]
    public void Any_mutation_either_reads_or_is_refused_within_bounded_memory()
    {
        var original = new MemoryStream();
        Safetensors.Write(original, [new("model.layers.0.weight", Tensor.From(new float[12], [3, 4])), new("bias", Tensor.From(new float[4], [4])), new("half", Tensor.From([1], []))],
            new Dictionary<string, string> { ["format"] = "pt" });
        byte[] seed = original.ToArray(); int read = 0, refused = 0;
        for (int i = 0; i < 24_000; i++)
        {
            var bytes = Mutate(seed, new Rng(1)["safetensors"][i]);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try { Safetensors.Open(i % 2 == 0 ? new MemoryStream(bytes) : new NoSeek(bytes)); read++; }
            catch (InvalidDataException) { refused++; }
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 256 * 1024 + 32L * bytes.Length);
        }
        Assert.True(read > 500 && refused > 5000, $"{read} read, {refused} refused: the mutations do not reach both sides");
    }

    static readonly string[] tokens = ["0", "-1", "1e9", "2147483648", "9223372036854775807", "18446744073709551616", "null", "[]", "{}", "\"F16\"", "\"I8\"", "\"\\ud800\"", "__metadata__", "\"", "]", "}", ",", ":", "3", "12", "4"];

    static byte[] Mutate(byte[] seed, Rng rng)
    {
        var bytes = new List<byte>(seed); int draw = 0;
        int Next(int below) => (int)(rng.Uniform(draw++) * below);
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(seed);
        for (int times = 1 + Next(3); times > 0; times--)
        {
            int at = Next(10) < 8 ? Math.Min(bytes.Count, 8 + Next(header)) : Next(bytes.Count + 1);
            switch (Next(7))
            {
                case 0 when at < bytes.Count: bytes[at] ^= (byte)(1 << Next(8)); break;
                case 1 when at < bytes.Count: bytes[at] = (byte)Next(256); break;
                case 2: bytes.Insert(at, (byte)Next(256)); break;
                case 3 when at < bytes.Count: bytes.RemoveRange(at, Math.Min(1 + Next(9), bytes.Count - at)); break;
                case 4: var copy = bytes.Skip(at).Take(Next(40)).ToArray(); bytes.InsertRange(Next(bytes.Count + 1), copy); break;
                case 5:
                    var token = Encoding.UTF8.GetBytes(tokens[Next(tokens.Length)]);
                    int digits = bytes.FindIndex(at, b => b is >= (byte)'0' and <= (byte)'9');
                    if (digits >= 8 && digits < header) bytes.RemoveAt(digits); else digits = at;
                    bytes.InsertRange(digits, token);
                    break;
                case 6 when Next(4) == 0 && bytes.Count >= 8: bytes[Next(8)] = (byte)Next(256); break;
            }
            // Mostly the length is kept honest, so that mutations get past the first check.
            if (bytes.Count >= 8 && Next(5) > 0) { var p = new byte[8]; BinaryPrimitives.WriteInt64LittleEndian(p, header + bytes.Count - seed.Length); for (int i = 0; i < 8; i++) bytes[i] = p[i]; }
        }
        return [.. bytes];
    }

    sealed class NoSeek(byte[] bytes) : MemoryStream(bytes) { public override bool CanSeek => false; }

    static byte[] File(string json, byte[] data)
    {
        var header = Encoding.UTF8.GetBytes(json); var prefix = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, header.Length);
        return [.. prefix, .. header, .. data];
    }
    static uint[] Bits(Tensor t) => [.. t.Span.ToArray().Select(BitConverter.SingleToUInt32Bits)];
    static string TemporaryPath() => Path.Combine(Directory.CreateTempSubdirectory("fovea-units-").FullName, "file.safetensors");
}
