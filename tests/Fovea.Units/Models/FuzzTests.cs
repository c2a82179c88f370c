using System.Text;
using Fovea.Models;
namespace Fovea.Units;

/// <summary>Damaged files: whatever happens to them, readers say what is wrong or read them, within the memory that they promise.</summary>
public class FuzzTests
{
    const int Many = 20_000;

    /// <summary>One to four changes of a kind that files suffer, or that someone makes on purpose.</summary>
    internal static byte[] Damage(byte[] good, Rng rng, string[] words)
    {
        var bytes = new List<byte>(good); int draws = 0;
        int Below(int n) => (int)(n * rng.Uniform(draws++));
        for (int i = 1 + Below(4); i > 0 && bytes.Count > 0; i--)
        {
            int at = Below(bytes.Count), n;
            switch (Below(8))
            {
                case 0: bytes[at] ^= (byte)(1 << Below(8)); break;
                case 1: bytes[at] = (byte)Below(256); break;
                case 2 when Below(4) == 0: bytes.RemoveRange(at, bytes.Count - at); break;
                case 3: bytes.RemoveRange(at, Math.Min(1 + Below(12), bytes.Count - at)); break;
                case 4: n = 1 + Below(Math.Min(40, good.Length)); bytes.InsertRange(at, good.AsSpan(Below(good.Length - n + 1), n).ToArray()); break;
                case 5:
                    // A length or a count that says too much, or nearly too much.
                    ulong[] extremes = [0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1UL << 32, 1UL << 40, long.MaxValue, 1UL << 63, ulong.MaxValue, (ulong)good.Length, (ulong)good.Length - 1];
                    byte[] value = BitConverter.GetBytes(extremes[Below(extremes.Length)]);
                    for (int k = 0, size = Below(2) == 0 ? 4 : 8; k < size && at + k < bytes.Count; k++) bytes[at + k] = value[k];
                    break;
                default:
                    byte[] word = Encoding.UTF8.GetBytes(words[Below(words.Length)]);
                    bytes.InsertRange(at, word);
                    break;
            }
        }
        return [.. bytes];
    }

    /// <summary>Runs the reader and returns whether it read the file; throws where it took more memory than allowed, or another exception came out.</summary>
    static bool Reads<TException>(Action read, long allowed) where TException : Exception
    {
        long before = GC.GetAllocatedBytesForCurrentThread(); bool done = false;
        try { read(); done = true; } catch (TException) { }
        long taken = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(taken <= allowed, $"took {taken} bytes, at most {allowed} expected");
        return done;
    }

    static byte[] Gguf()
    {
        string[] tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "▁", "▁a", "Ġ", "c"];
        var to = new MemoryStream();
        new GgufWriter("toy").Set("toy.count", 7u).Set("toy.scale", 0.5f).Set("toy.names", (string[])["x", "yy"])
            .Set("tokenizer.ggml.model", "gpt2").Set("tokenizer.ggml.pre", "gpt-2").Set("tokenizer.ggml.tokens", tokens).Set("tokenizer.ggml.merges", (string[])["a b"])
            .Set("tokenizer.ggml.scores", (float[])[0, 0, 0, -1, -2, -3, -4, -5, -6, -7]).Set("tokenizer.ggml.token_type", (int[])[2, 3, 3, 1, 1, 1, 1, 1, 1, 1]).Set("tokenizer.ggml.eos_token_id", 2u)
            .Add("w", GgufKind.F32, Tensor.Zeros([2, 3])).Add("q", GgufKind.Q8_0, Tensor.Zeros([32])).Save(to);
        return to.ToArray();
    }

    [Fact]
    public void Damaged_gguf_files_are_read_or_refused()
    {
        byte[] good = Gguf(); int read = 0, vocabularies = 0;
        for (int i = 0; i < Many; i++)
        {
            byte[] bytes = Damage(good, new Rng(20)[i], ["GGUF", "llama", "t5", "toy", "qwen2"]); GgufFile? file = null;
            // The message and the stack trace of an exception take some, too.
            if (!Reads<InvalidDataException>(() => file = GgufFile.Open(bytes), GgufFile.BytesPerByte * bytes.Length + (64 << 10))) continue;
            read++;
            foreach (var t in file!.Tensors.Values) Reads<InvalidDataException>(() => { _ = file.Bytes(t).Length; GgufNumbers.Read(file, t.Name); }, 8 * bytes.Length + (64 << 10));
            foreach (string key in file.Keys.Take(4)) Reads<InvalidDataException>(() => { if (file.IsArray(key)) file.Texts(key); else file.Whole(key); }, GgufFile.BytesPerByte * bytes.Length + (64 << 10));
            if (Reads<InvalidDataException>(() => SubwordTokenizer.FromGguf(file).Encode("ab a<s>b", special: true, boundaries: true), 1 << 20)) vocabularies++;
        }
        Assert.InRange(read, Many / 50, Many);
        Assert.InRange(vocabularies, Many / 100, Many);
    }

    static readonly string[] jsons =
    [
        """
        { "version": "1.0", "added_tokens": [{ "id": 7, "content": "<s>", "special": true, "normalized": false, "lstrip": true }, { "id": 8, "content": "qq", "normalized": true }],
          "normalizer": { "type": "Sequence", "normalizers": [{ "type": "NFC" }, { "type": "Prepend", "prepend": "x" }, { "type": "Replace", "pattern": { "String": " " }, "content": "a" }] },
          "pre_tokenizer": { "type": "Sequence", "pretokenizers": [{ "type": "Split", "pattern": { "Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}]?\\p{L}+|\\s+(?!\\S)|x{1,3}" }, "behavior": "Isolated", "invert": false }, { "type": "ByteLevel", "add_prefix_space": false, "use_regex": true }] },
          "post_processor": { "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "<s>" } }, { "Sequence": { "id": "A" } }], "special_tokens": { "<s>": { "ids": [7] } } },
          "decoder": { "type": "ByteLevel" },
          "model": { "type": "BPE", "unk_token": null, "byte_fallback": false, "vocab": { "a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "x": 5, "Ġ": 6 }, "merges": ["a b", ["ab", "c"]] } }
        """,
        """
        { "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first" }, "decoder": { "type": "Sequence", "decoders": [{ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] },
          "model": { "type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["a", -1.5], ["▁", -2], ["▁a", -2.5e0]] } }
        """,
    ];

    [Fact]
    public void Damaged_tokenizer_json_is_read_or_refused()
    {
        int read = 0;
        for (int i = 0; i < Many; i++)
        {
            byte[] bytes = Damage(Encoding.UTF8.GetBytes(jsons[i % 2]), new Rng(21)[i], ["null", "1e999", "-1", "2147483647", "\"", "[", "{", "},", "[[[[[[[[", "\\ud800", "\"type\": \"BPE\",", "(", "*", "{1000}", "\\\\p{L}", "\u0301", "🙂"]);
            if (Reads<InvalidDataException>(() => SubwordTokenizer.FromJson(bytes).Encode("ab abc's <s> qq é", special: true, boundaries: true), 4 << 20)) read++;
        }
        Assert.InRange(read, Many / 50, Many);
    }

    [Fact]
    public void Damaged_safetensors_are_read_or_refused()
    {
        var to = new MemoryStream(); int read = 0;
        Safetensors.Write(to, [new("w", Tensor.Zeros([2, 3])), new("b", Tensor.Zeros([4]))], new Dictionary<string, string> { ["k"] = "v" });
        byte[] good = to.ToArray();
        for (int i = 0; i < Many; i++)
        {
            byte[] bytes = Damage(good, new Rng(22)[i], ["[", "{", "null", "99999999999", "\"F16\"", "\"U8\"", "-1", "1e3"]);
            if (Reads<InvalidDataException>(() => Safetensors.Read(new MemoryStream(bytes)), 64 * bytes.Length + (64 << 10))) read++;
        }
        Assert.InRange(read, Many / 50, Many);
    }

    [Fact]
    public void Damaged_templates_are_carried_out_or_refused()
    {
        int written = 0; string[] templates = [.. ChatTemplateTests.Cases.Select(c => c.Template)];
        for (int i = 0; i < Many / 2; i++)
        {
            string[] words = ["{{", "}}", "{%", "%}", "{#", "-", "(", ")", "[", "]", "|", "'", "{% for i in messages %}", "{% endfor %}", "{% if x %}", "{% endif %}", "* 99999", " ** 9", "loop", "range(999)", "[::-1]", ".", " is ", " not ", ":", "1e9"];
            string text = Encoding.UTF8.GetString(Damage(Encoding.UTF8.GetBytes(templates[i % templates.Length]), new Rng(23)[i], words));
            if (Reads<TemplateException>(() => ChatTemplate.Parse(text).Render(ChatTemplateTests.Messages, true, "<s>", "</s>", ChatTemplateTests.Tools), 256 << 20)) written++;
        }
        Assert.InRange(written, Many / 100, Many);
    }
}
