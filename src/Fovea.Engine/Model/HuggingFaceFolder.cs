using System.Text.Json;
using System.Text.RegularExpressions;
using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>
/// A folder of Hugging Face: config.json and one or many safetensors files, mapped into memory. Facts and tensors answer to the names that GGUF gives them; matrices that GPT-2 keeps transposed are turned when they are read,
/// and gains that Gemma keeps without their 1 get it.
/// </summary>
public sealed partial class HuggingFaceFolder : ModelFile
{
    const string Config = "config.json"; const long LargestConfig = 16 << 20;
    readonly JsonElement config; readonly List<MappedFile> files = []; readonly Dictionary<string, (MappedFile File, SafetensorsPlace Place)> tensors = new(StringComparer.Ordinal);

    HuggingFaceFolder(string path, JsonElement config) => (Path, this.config) = (path, config);

    /// <summary>Reads config.json and the heads of all *.safetensors.</summary>
    public static new HuggingFaceFolder Open(string path)
    {
        string file = System.IO.Path.Combine(path, Config);
        if (!File.Exists(file)) throw new InvalidDataException($"{path}: has no {Config}; expected a folder of Hugging Face, or a GGUF file");
        if (new FileInfo(file).Length > LargestConfig) throw new InvalidDataException($"{file}: has {new FileInfo(file).Length} bytes, expected at most {LargestConfig}");
        JsonElement root;
        try { using var json = JsonDocument.Parse(File.ReadAllBytes(file), new() { MaxDepth = 32 }); root = json.RootElement.Clone(); }
        catch (JsonException e) { throw new InvalidDataException($"{file}: is not JSON: {e.Message}"); }
        if (root.ValueKind != JsonValueKind.Object) throw new InvalidDataException($"{file}: is {root.ValueKind}, expected an object");
        var folder = new HuggingFaceFolder(path, root);
        try { folder.Map(); return folder; }
        catch { folder.Dispose(); throw; }
    }

    void Map()
    {
        string[] found = [.. Directory.GetFiles(Path, "*.safetensors").Order(StringComparer.Ordinal)];
        if (found.Length == 0) throw new InvalidDataException($"{Path}: has no *.safetensors");
        foreach (string file in found)
        {
            IReadOnlyList<SafetensorsPlace> places;
            using (var stream = File.OpenRead(file)) places = Safetensors.Places(stream, file);
            var mapped = MappedFile.Open(file); files.Add(mapped);
            foreach (var p in places)
                if (Name(p.Name) is { } name && !tensors.TryAdd(name, (mapped, p))) throw new InvalidDataException($"{file}: tensor '{p.Name}' is in another file, too");
        }
    }

    public override string Path { get; }
    public override string Architecture => Value("model_type") is { ValueKind: JsonValueKind.String } v ? v.GetString()! : throw Bad("model_type", "a text");
    public override RotaryPairs Pairs => RotaryPairs.Halves;
    public override IEnumerable<string> Tensors => tensors.Keys.Concat(Lists.Keys.Where(n => List(n) is not null));
    /// <summary>The facts that config.json has, by the keys of GGUF.</summary>
    internal IEnumerable<string> Facts => Keys.Keys.Where(Has);

    // Lists of config.json that are tensors in GGUF: factors of the frequencies of Phi-3.
    static readonly Dictionary<string, string> Lists = new() { ["rope_factors_long.weight"] = "rope_scaling.long_factor", ["rope_factors_short.weight"] = "rope_scaling.short_factor" };
    float[]? List(string name)
    {
        if (Architecture != "phi3" || !Lists.TryGetValue(name, out string? key) || Value(key) is not { } list) return null;
        return list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0 && list.EnumerateArray().All(x => x.ValueKind == JsonValueKind.Number && x.TryGetDouble(out double f) && f is > 0 and < 1e9) ? [.. list.EnumerateArray().Select(x => (float)x.GetDouble())] : throw Bad(key, "a list of numbers above 0");
    }

    public override StoredTensor? Find(string name)
    {
        if (List(name) is { } list) return Own(name, [list.Length], list);
        if (!tensors.TryGetValue(name, out var t)) return null;
        if (!Formats.TryGetValue(t.Place.Type, out string? format)) throw new InvalidDataException($"{Path}: tensor '{t.Place.Name}' is of type {t.Place.Type}, expected one of {string.Join(", ", Formats.Keys)}");
        if (t.Place.Bytes > int.MaxValue) throw new InvalidDataException($"{Path}: tensor '{t.Place.Name}' has {t.Place.Bytes} bytes, expected at most {int.MaxValue}");
        var stored = new StoredTensor(name, NumberFormat.Named(format), t.Place.Shape, t.File.Memory(t.Place.Offset, (int)t.Place.Bytes));
        if (Transposed().IsMatch(t.Place.Name) && stored.Shape.Count == 2) return Own(name, [stored.Shape[1], stored.Shape[0]], Turned(stored.Decode(), stored.Shape[0], stored.Shape[1]));
        if (Architecture == "gemma2" && stored.Shape.Count == 1) return Own(name, stored.Shape, [.. stored.Decode().Select(x => x + 1)]);
        return stored;
    }
    static readonly Dictionary<string, string> Formats = new() { ["F32"] = "f32", ["F16"] = "f16", ["BF16"] = "bf16" };
    static StoredTensor Own(string name, IReadOnlyList<int> shape, float[] numbers) => new(name, NumberFormat.For<Float32>(), shape, System.Runtime.InteropServices.MemoryMarshal.AsBytes(numbers.AsSpan()).ToArray());
    static float[] Turned(float[] x, int rows, int columns)
    {
        var y = new float[x.Length];
        for (int r = 0; r < rows; r++) for (int c = 0; c < columns; c++) y[c * rows + r] = x[r * columns + c];
        return y;
    }

    /// <summary>The name that GGUF has for a tensor; null for buffers that are no weights.</summary>
    string? Name(string name)
    {
        if (Buffers().IsMatch(name)) return null;
        name = Prefix().Replace(name, "");
        var layer = Layer().Match(name);
        if (!layer.Success) return Outside.FirstOrDefault(x => name.StartsWith(x.Key, StringComparison.Ordinal)) is { Key: { } key } found ? found.Value + name[key.Length..] : name;
        string rest = layer.Groups[2].Value, block = $"blk.{layer.Groups[1].Value}.";
        bool sandwich = config.TryGetProperty("model_type", out var type) && type.ValueEquals("gemma2");
        var inside = Inside.FirstOrDefault(x => rest.StartsWith(x.Key + ".", StringComparison.Ordinal));
        if (inside.Key is null) return block + rest;
        return block + (sandwich && inside.Key == "post_attention_layernorm" ? "post_attention_norm" : inside.Value) + rest[inside.Key.Length..];
    }
    static readonly Dictionary<string, string> Outside = new() { ["embed_tokens"] = "token_embd", ["wte"] = "token_embd", ["wpe"] = "position_embd", ["norm."] = "output_norm.", ["ln_f"] = "output_norm", ["lm_head"] = "output" };
    static readonly Dictionary<string, string> Inside = new()
    {
        ["input_layernorm"] = "attn_norm",
        ["ln_1"] = "attn_norm",
        ["post_attention_layernorm"] = "ffn_norm",
        ["pre_feedforward_layernorm"] = "ffn_norm",
        ["ln_2"] = "ffn_norm",
        ["post_feedforward_layernorm"] = "post_ffw_norm",
        ["self_attn.q_proj"] = "attn_q",
        ["self_attn.k_proj"] = "attn_k",
        ["self_attn.v_proj"] = "attn_v",
        ["self_attn.o_proj"] = "attn_output",
        ["self_attn.qkv_proj"] = "attn_qkv",
        ["self_attn.q_norm"] = "attn_q_norm",
        ["self_attn.k_norm"] = "attn_k_norm",
        ["attn.c_attn"] = "attn_qkv",
        ["attn.c_proj"] = "attn_output",
        ["mlp.gate_proj"] = "ffn_gate",
        ["mlp.up_proj"] = "ffn_up",
        ["mlp.gate_up_proj"] = "ffn_up",
        ["mlp.down_proj"] = "ffn_down",
        ["mlp.c_fc"] = "ffn_up",
        ["mlp.c_proj"] = "ffn_down",
    };

    // The facts of config.json by the keys of GGUF: one or several names that families use.
    static readonly Dictionary<string, string[]> Keys = new()
    {
        ["embedding_length"] = ["hidden_size", "n_embd"],
        ["block_count"] = ["num_hidden_layers", "n_layer"],
        ["attention.head_count"] = ["num_attention_heads", "n_head"],
        ["attention.head_count_kv"] = ["num_key_value_heads"],
        ["attention.key_length"] = ["head_dim"],
        ["attention.value_length"] = ["head_dim"],
        ["feed_forward_length"] = ["intermediate_size", "n_inner"],
        ["context_length"] = ["max_position_embeddings", "n_positions"],
        ["attention.layer_norm_rms_epsilon"] = ["rms_norm_eps"],
        ["attention.layer_norm_epsilon"] = ["layer_norm_epsilon"],
        ["vocab_size"] = ["vocab_size"],
        ["rope.freq_base"] = ["rope_theta"],
        ["attention.sliding_window"] = ["sliding_window"],
        ["attn_logit_softcapping"] = ["attn_logit_softcapping"],
        ["final_logit_softcapping"] = ["final_logit_softcapping"],
        ["attention.query_pre_scale"] = ["query_pre_attn_scalar"],
        ["rope.scaling.original_context_length"] = ["rope_scaling.original_max_position_embeddings", "original_max_position_embeddings"],
        ["rope.scaling.factor"] = ["rope_scaling.factor"],
        ["rope.scaling.type"] = ["rope_scaling.rope_type", "rope_scaling.type"],
        ["rope.scaling.low_freq_factor"] = ["rope_scaling.low_freq_factor"],
        ["rope.scaling.high_freq_factor"] = ["rope_scaling.high_freq_factor"],
        ["rope.scaling.yarn_beta_fast"] = ["rope_scaling.beta_fast"],
        ["rope.scaling.yarn_beta_slow"] = ["rope_scaling.beta_slow"],
        ["rope.scaling.attn_factor"] = ["rope_scaling.attention_factor"],
    };

    JsonElement? Fact(string key) => key == "attention.sliding_window" && Value("use_sliding_window") is { ValueKind: JsonValueKind.False } ? null
        : Keys.TryGetValue(key, out string[]? names) ? names.Select(Value).FirstOrDefault(v => v is not null) : null;
    JsonElement? Value(string path)
    {
        var at = config;
        foreach (string part in path.Split('.')) if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(part, out at)) return null;
        return at.ValueKind == JsonValueKind.Null ? null : at;
    }
    public override bool Has(string key) => Fact(key) is not null;
    public override long Whole(string key) => Fact(key) is { ValueKind: JsonValueKind.Number } v && v.TryGetInt64(out long n) ? n : throw Bad(key, "a whole number");
    public override double Number(string key) => Fact(key) is { ValueKind: JsonValueKind.Number } v && v.TryGetDouble(out double x) && double.IsFinite(x) ? x : throw Bad(key, "a number");
    public override string Text(string key) => Fact(key) is { ValueKind: JsonValueKind.String } v ? v.GetString() switch { "default" => "none", "longrope" or "su" => "none", var s => s! } : throw Bad(key, "a text");
    public override bool Flag(string key) => Fact(key) is { ValueKind: JsonValueKind.True or JsonValueKind.False } v ? v.GetBoolean() : throw Bad(key, "true or false");
    InvalidDataException Bad(string key, string expected) => new($"{System.IO.Path.Combine(Path, Config)}: {(Keys.TryGetValue(key, out string[]? names) ? string.Join(" or ", names) : key)} is {(Fact(key) ?? Value(key))?.GetRawText() ?? "missing"}, expected {expected}");
    public override void Dispose() { foreach (var f in files) f.Dispose(); }

    [GeneratedRegex(@"^(model\.|transformer\.)")] private static partial Regex Prefix();
    [GeneratedRegex(@"^(?:layers|h)\.(\d+)\.(.+)$")] private static partial Regex Layer();
    [GeneratedRegex(@"\.attn\.(bias|masked_bias)$|rotary_emb\.inv_freq$")] private static partial Regex Buffers();
    [GeneratedRegex(@"(^|\.)h\.\d+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight$")] private static partial Regex Transposed();
}
