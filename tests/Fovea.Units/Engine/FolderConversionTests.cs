using System.Text;
using System.Text.Json;
using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Units;

public class FolderConversionTests
{
    /// <summary>A folder with a vocabulary of 50 letters, merges and control tokens, and a template.</summary>
    internal static string Folder(EngineModels files, string extra)
    {
        string path = files.HuggingFace(extra); string[] tokens = [.. Enumerable.Range(0, 26).Select(i => $"{(char)('a' + i)}"), " ", "th", "the", "an", "and"];
        var vocab = tokens.Select((t, i) => (t, i)).ToDictionary(x => x.t, x => x.i);
        File.WriteAllBytes(Path.Combine(path, "tokenizer.json"), JsonSerializer.SerializeToUtf8Bytes(new
        {
            added_tokens = new[] { new { id = 48, content = "<s>", special = true }, new { id = 49, content = "</s>", special = true } },
            normalizer = new { type = "Lowercase" },
            post_processor = new { type = "TemplateProcessing", single = new object[] { new { SpecialToken = new { id = "<s>" } }, new { Sequence = new { id = "A" } } }, special_tokens = new Dictionary<string, object> { ["<s>"] = new { ids = new[] { 48 } } } },
            model = new { type = "BPE", vocab, merges = new[] { "t h", "th e", "a n", "an d" } },
        }));
        File.WriteAllText(Path.Combine(path, "tokenizer_config.json"), """{"bos_token":"<s>","eos_token":{"content":"</s>"},"chat_template":"{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"}""");
        return path;
    }
    static string Write(LoadedModel m, string prompt)
    {
        using var b = new Batcher(m.Model, m.Tokenizer); var text = new StringBuilder(); b.Add(new(m.Tokenizer.Encode(prompt, special: true, boundaries: true)) { MaxTokens = 40, Sampling = new() { Temperature = 1, Seed = 3 } }, w => text.Append(w.Text));
        while (b.Step()) { }
        return text.ToString();
    }

    [Theory]
    [InlineData("")]
    [InlineData(",\"model_type\":\"mistral\",\"sliding_window\":20")]
    [InlineData(",\"model_type\":\"qwen3\",\"rope_theta\":1000000")]
    [InlineData(",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}")]
    [InlineData(",\"rope_scaling\":{\"type\":\"linear\",\"factor\":3.0}")]
    public void A_converted_folder_has_the_same_logits_tokens_and_texts(string extra)
    {
        using var files = new EngineModels(); string folder = Folder(files, extra), to = Path.Combine(files.Folder, "made.gguf");
        if (extra.Contains("qwen3")) Safetensors.Write(Path.Combine(folder, "norms.safetensors"), [.. Enumerable.Range(0, 4).Select(i => KeyValuePair.Create($"model.layers.{i / 2}.self_attn.{"qk"[i % 2]}_norm.weight", Tensor.From([.. Enumerable.Range(0, 16).Select(c => 0.5f + c / 16f)], [16])))]);
        FolderConversion.Save(folder, to, GgufKind.F32);
        using var before = LoadedModel.Open(folder); using var after = LoadedModel.Open(to); int[] tokens = EngineModels.Text(70);
        float[] Logits(LoadedModel m) { using var s = m.Model.Start(); return EngineModels.Read(s, tokens, 33); }
        Assert.Equal(Logits(before), Logits(after));
        const string text = "The hand and the <s>land</s> ANT"; int[] ids = before.Tokenizer.Encode(text, special: true, boundaries: true);
        Assert.Equal(48, ids[0]); Assert.Equal(ids, after.Tokenizer.Encode(text, special: true, boundaries: true)); Assert.Equal((before.Tokenizer.Bos, before.Tokenizer.Eos), (after.Tokenizer.Bos, after.Tokenizer.Eos)); Assert.True(after.Tokenizer.Ends(49));
        Assert.Equal(before.Chat([new("user", "the")]), after.Chat([new("user", "the")])); string written = Write(before, "the hand"); Assert.NotEmpty(written); Assert.Equal(written, Write(after, "the hand"));
    }

    [Theory, InlineData(GgufKind.F16, 0.01), InlineData(GgufKind.Q8_0, 0.05), InlineData(GgufKind.Q4_0, 0.6)]
    public void Other_formats_change_little_and_take_less(GgufKind kind, double most)
    {
        using var files = new EngineModels(); string folder = Folder(files, ""), to = Path.Combine(files.Folder, "made.gguf"); int[] tokens = EngineModels.Text(40);
        FolderConversion.Save(folder, to, kind);
        using var m = LoadedModel.Open(to); using var s = m.Model.Start(); using var before = LanguageModel.Open(folder);
        Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, 40), files.Expected(tokens)), 1e-6, most); Assert.True(m.Model.WeightBytes < before.WeightBytes * 0.6);
    }

    [Fact]
    public void A_folder_that_is_no_model_is_not_converted()
    {
        using var files = new EngineModels(); string folder = Folder(files, ",\"model_type\":\"nobody\""), to = Path.Combine(files.Folder, "made.gguf");
        Assert.Contains("the architecture is 'nobody'", Assert.Throws<InvalidDataException>(() => FolderConversion.Save(folder, to, GgufKind.F32)).Message); Assert.False(File.Exists(to));
    }

    /// <summary>Phi-3 with the same weights: queries, keys and values in one matrix, gate and up in another.</summary>
    static string Phi3(EngineModels files, string scaling)
    {
        string from = Folder(files, $",\"model_type\":\"phi3\",\"original_max_position_embeddings\":64,\"rope_scaling\":{scaling}"); var all = Directory.GetFiles(from, "*.safetensors").SelectMany(f => Safetensors.Read(f)).ToDictionary(x => x.Key, x => x.Value);
        foreach (string f in Directory.GetFiles(from, "*.safetensors")) File.Delete(f);
        Tensor Stack(params string[] names) { var parts = names.Select(n => { Assert.True(all.Remove(n, out var t)); return t!; }).ToArray(); float[] x = [.. parts.SelectMany(p => p.Span.ToArray())]; return Tensor.From(x, [x.Length / 64, 64]); }
        for (int l = 0; l < 2; l++)
        {
            string b = $"model.layers.{l}.";
            all[b + "self_attn.qkv_proj.weight"] = Stack(b + "self_attn.q_proj.weight", b + "self_attn.k_proj.weight", b + "self_attn.v_proj.weight"); all[b + "mlp.gate_up_proj.weight"] = Stack(b + "mlp.gate_proj.weight", b + "mlp.up_proj.weight");
        }
        Safetensors.Write(Path.Combine(from, "model.safetensors"), [.. all]);
        return from;
    }

    [Fact]
    public void Lists_of_frequency_factors_in_config_json_are_used_and_converted()
    {
        using var files = new EngineModels(); int[] tokens = EngineModels.Text(70); string Factors(double f) => "[" + string.Join(',', Enumerable.Range(0, 8).Select(_ => f.ToString(System.Globalization.CultureInfo.InvariantCulture))) + "]";
        float[] Logits(string path) { using var m = LanguageModel.Open(path); using var s = m.Start(); return EngineModels.Read(s, tokens, 70); }
        // One factor for all frequencies is linear scaling, if vectors keep their length.
        float[] linear = Logits(Phi3(files, """{"type":"linear","factor":4.0}""")); string list = Phi3(files, $$"""{"type":"longrope","long_factor":{{Factors(4)}},"short_factor":{{Factors(1)}},"attention_factor":1.0}""");
        Assert.InRange(EngineModels.Apart(linear, Logits(list)), 0, 1e-5);
        // Without a factor of its own, vectors grow with the length: √(1 + ln(256/64)/ln 64).
        string usual = Phi3(files, $$"""{"type":"longrope","long_factor":{{Factors(4)}},"short_factor":{{Factors(1)}}}"""), said = Phi3(files, $$"""{"type":"longrope","long_factor":{{Factors(4)}},"short_factor":{{Factors(1)}},"attention_factor":{{Math.Sqrt(1 + 2 / 6.0).ToString("R", System.Globalization.CultureInfo.InvariantCulture)}}}""");
        Assert.True(EngineModels.Apart(linear, Logits(usual)) > 1e-3); Assert.InRange(EngineModels.Apart(Logits(said), Logits(usual)), 0, 1e-5);
        string to = Path.Combine(files.Folder, "phi.gguf"); FolderConversion.Save(usual, to, GgufKind.F32);
        Assert.Equal(Logits(usual), Logits(to));
        Assert.Contains("long_factor", Assert.Throws<InvalidDataException>(() => LanguageModel.Open(Phi3(files, """{"type":"longrope","long_factor":[1,-2],"short_factor":[1]}"""))).Message);
    }
}
