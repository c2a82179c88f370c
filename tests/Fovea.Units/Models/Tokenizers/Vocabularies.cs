using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Fovea.Models;
namespace Fovea.Units;

/// <summary>Vocabularies with reference texts and ids, which lie beside the repository where they are at all.</summary>
static class Vocabularies
{
    static string Folder([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "..", "..", "..", "..", "..", "shared", "data", "tokenizers"));

    /// <summary>Opens one, or skips the test with the reason.</summary>
    public static (GgufFile File, (string Text, int[] Ids)[] Reference) Open(string name)
    {
        string? at = new[] { Folder(), Path.Combine(Folder(), "..", "..", "..", "..", "shared", "data", "tokenizers") }.Select(f => Path.Combine(f, $"ggml-vocab-{name}.gguf")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(at is null, $"the reference vocabulary {name} is not beside the repository ({Folder()})");
        string[] texts = File.ReadAllText(at + ".inp").Split("\n__ggml_vocab_test__\n");
        int[][] ids = [.. File.ReadAllLines(at + ".out").Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse).ToArray())];
        return (GgufFile.Open(at!), [.. ids.Select((x, i) => (texts[i], x))]);
    }

    /// <summary>A tokenizer.json of the same vocabulary, written the way the Hugging Face library does.</summary>
    public static byte[] Json(GgufFile file, string name)
    {
        string[] texts = file.Texts("tokenizer.ggml.tokens"); long[] kinds = file.Wholes("tokenizer.ggml.token_type");
        var vocab = texts.Select((t, i) => (t, i)).ToDictionary(x => x.t, x => x.i, StringComparer.Ordinal);
        bool sentencePiece = name == "llama-spm";
        object? normalizer = null, pre = null; object decoder = new { type = "ByteLevel" };
        if (sentencePiece)
        {
            normalizer = new { type = "Sequence", normalizers = new object[] { new { type = "Prepend", prepend = "▁" }, new { type = "Replace", pattern = new { String = " " }, content = "▁" } } };
            decoder = new { type = "Sequence", decoders = new object[] { new { type = "Replace", pattern = new { String = "▁" }, content = " " }, new { type = "ByteFallback" }, new { type = "Fuse" }, new { type = "Strip", content = " ", start = 1, stop = 0 } } };
        }
        else if (name == "gpt-2") pre = new { type = "ByteLevel", add_prefix_space = false };
        else
        {
            string pattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
            pre = new { type = "Sequence", pretokenizers = new object[] { new { type = "Split", pattern = new { Regex = pattern }, behavior = "Isolated", invert = false }, new { type = "ByteLevel", add_prefix_space = false, use_regex = false } } };
        }
        return JsonSerializer.SerializeToUtf8Bytes(new
        {
            version = "1.0",
            normalizer,
            pre_tokenizer = pre,
            decoder,
            added_tokens = texts.Select((t, i) => (t, i)).Where(x => kinds[x.i] is 2 or 3 or 4).Select(x => new { id = x.i, content = x.t, special = kinds[x.i] != 4, normalized = false }).ToArray(),
            model = new { type = "BPE", vocab, merges = sentencePiece ? Merges(file, texts, kinds, vocab) : file.Texts("tokenizer.ggml.merges"), byte_fallback = sentencePiece, fuse_unk = sentencePiece, unk_token = sentencePiece ? "<unk>" : null },
        });
    }

    /// <summary>Every way to make a token of two, by score and then by ids.</summary>
    static string[] Merges(GgufFile file, string[] texts, long[] kinds, Dictionary<string, int> vocab)
    {
        double[] scores = file.Numbers("tokenizer.ggml.scores"); var all = new List<(string Rule, double Score, int Left, int Right)>();
        for (int i = 0; i < texts.Length; i++)
            for (int k = 1; kinds[i] == 1 && k < texts[i].Length; k++)
                if (!char.IsLowSurrogate(texts[i][k]) && vocab.TryGetValue(texts[i][..k], out int l) && vocab.TryGetValue(texts[i][k..], out int r) && kinds[l] == 1 && kinds[r] == 1) all.Add(($"{texts[i][..k]} {texts[i][k..]}", scores[i], l, r));
        return [.. all.OrderByDescending(m => m.Score).ThenBy(m => m.Left).ThenBy(m => m.Right).Select(m => m.Rule)];
    }

    /// <summary>Random text of many scripts, with control characters, marks, and characters beyond U+FFFF.</summary>
    public static string Text(Rng rng, int length)
    {
        var to = new StringBuilder();
        for (int i = 0; i < length; i++)
        {
            double kind = rng.Uniform(2 * i), u = rng.Uniform(2 * i + 1);
            int Between(int from, int to) => from + (int)(u * (to - from));
            int c = kind switch { < 0.35 => Between('a', '{'), < 0.5 => " \n\t'\r"[Between(0, 5)], < 0.7 => Between(0, 0x250), < 0.8 => Between(0x300, 0x1200), < 0.9 => Between(0x2000, 0xd7ff), _ => Between(0x10000, 0x1fbff) };
            to.Append(char.ConvertFromUtf32(c));
        }
        return to.ToString();
    }
}
