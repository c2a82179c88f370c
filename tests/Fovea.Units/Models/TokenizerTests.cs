using System.Text;
using Fovea.Models;
namespace Fovea.Units;

public class TokenizerTests
{
    static readonly byte[] text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("low lower lowest, newer newest wide wider 1234 été — naïve\n  indented();\n", 20)));

    [Fact]
    public void Byte_tokens_are_the_bytes()
    {
        var t = new ByteTokenizer();
        Assert.Equal([0, 128, 255], t.Encode((byte[])[0, 128, 255]));
        Assert.Equal((byte[])[0, 128, 255], t.Decode([0, 128, 255]));
        Assert.Contains("tokens[1] is 256", Assert.Throws<ArgumentOutOfRangeException>(() => t.Decode([0, 256])).Message);
    }

    [Fact]
    public void Pairs_merge_by_frequency_and_ties_go_to_small_ids()
    {
        // "abab abab": ab 4 times; then ids (ab)(ab) twice and " a" once.
        var t = BytePairTokenizer.Train("ababab cdcd"u8, 300);
        Assert.Equal(('a', 'b'), ((char)t.Merges[0].Left, (char)t.Merges[0].Right));
        // now (256,256) twice, "cd" twice: small ids first.
        Assert.Equal((99, 100), t.Merges[1]);
        Assert.Equal((256, 256), t.Merges[2]);
        Assert.Equal(3, t.Merges.Count);      // no other pair occurs twice
        Assert.Equal([258, 256, 32, 257, 257], t.Encode("ababab cdcd"));
    }

    [Fact]
    public void Fast_training_merges_as_counting_anew_does()
    {
        var fast = BytePairTokenizer.Train(text, 256 + 60);
        var pieces = new List<List<int>>();
        for (ReadOnlySpan<byte> rest = text; !rest.IsEmpty;)
        {
            int n = BytePairTokenizer.PieceLength(rest);
            pieces.Add([.. rest[..n].ToArray().Select(b => (int)b)]); rest = rest[n..];
        }
        for (int m = 0; m < fast.Merges.Count; m++)
        {
            var best = pieces.SelectMany(p => p.Zip(p.Skip(1))).GroupBy(x => x).OrderByDescending(g => g.Count()).ThenBy(g => g.Key.First).ThenBy(g => g.Key.Second).First();
            Assert.Equal(best.Key, fast.Merges[m]);
            foreach (var p in pieces) for (int i = 0; i + 1 < p.Count; i++) if ((p[i], p[i + 1]) == best.Key) { p[i] = 256 + m; p.RemoveAt(i + 1); }
        }
        Assert.Equal(pieces.SelectMany(p => p), fast.Encode(text));
    }

    [Fact]
    public void Any_bytes_come_back_exactly()
    {
        var t = BytePairTokenizer.Train(text, 400);
        Assert.Equal(text, t.Decode(t.Encode(text)));
        Assert.True(t.Encode(text).Length < text.Length / 2);
        for (int i = 0; i < 300; i++)
        {
            var rng = new Rng(3)[i]; var bytes = new byte[i];
            for (int j = 0; j < i; j++) bytes[j] = rng.Uniform(j) < 0.5 ? text[(int)(rng.Uniform(1000 + j) * text.Length)] : (byte)(rng.Uniform(2000 + j) * 256);
            Assert.Equal(bytes, t.Decode(t.Encode(bytes)));
        }
        Assert.Empty(t.Encode("")); Assert.Empty(t.Decode([]));
    }

    [Fact]
    public void A_long_run_of_one_letter_takes_linear_time()
    {
        var t = BytePairTokenizer.Train(text, 300);
        var run = new byte[1 << 20]; run.AsSpan().Fill((byte)'e');
        Assert.Equal(run, t.Decode(t.Encode(run)));
    }

    [Fact]
    public void Saved_and_loaded_it_encodes_the_same()
    {
        var t = BytePairTokenizer.Train(text, 350); string path = TemporaryPath();
        t.Save(path);
        var u = BytePairTokenizer.Load(path);
        Assert.Equal(t.Merges, u.Merges); Assert.Equal(t.Encode(text), u.Encode(text));
    }

    [Theory]
    [InlineData("")]
    [InlineData("not json")]
    [InlineData("[]")]
    [InlineData("""{"kind":"other","version":1,"merges":[]}""")]
    [InlineData("""{"kind":"fovea-byte-pairs","version":2,"merges":[]}""")]
    [InlineData("""{"kind":"fovea-byte-pairs","version":1}""")]
    [InlineData("""{"kind":"fovea-byte-pairs","version":1,"merges":[1]}""")]
    [InlineData("""{"kind":"fovea-byte-pairs","version":1,"merges":[1,"2"]}""")]
    [InlineData("""{"kind":"fovea-byte-pairs","version":1,"merges":[1,256]}""")]
    [InlineData("""{"kind":"fovea-byte-pairs","version":1,"merges":[1,-1]}""")]
    [InlineData("""{"kind":"fovea-byte-pairs","version":1,"merges":[1,2,1,2]}""")]
    // each merge doubles: the seventh would stand for 128 bytes, and the sixtieth for more than there are
    [InlineData("""{"kind":"fovea-byte-pairs","version":1,"merges":[1,1,256,256,257,257,258,258,259,259,260,260,261,261]}""")]
    public void A_bad_file_is_refused_by_name(string json)
    {
        string path = TemporaryPath(); File.WriteAllText(path, json);
        Assert.StartsWith(path, Assert.Throws<InvalidDataException>(() => BytePairTokenizer.Load(path)).Message);
    }

    static string TemporaryPath() => Path.Combine(Directory.CreateTempSubdirectory("fovea-units-").FullName, "tokenizer.json");
}
