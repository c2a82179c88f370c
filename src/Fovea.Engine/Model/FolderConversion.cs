using System.Text;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Engine;

/// <summary>A folder of Hugging Face as one GGUF file, which computes and generates the same.</summary>
public static class FolderConversion
{
    static readonly HashSet<string> whole = ["embedding_length", "block_count", "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length", "feed_forward_length", "context_length", "vocab_size", "attention.sliding_window", "rope.scaling.original_context_length"];

    /// <summary>
    /// Writes the folder's facts, tensors, tokenizer.json (as tokenizer.huggingface.json, word for word) and chat template; the file appears whole or not at all. Matrices are kept as kind where their rows fill its blocks, else as F16; vectors are F32.
    /// What <see cref="LoadedModel.Open"/> refuses is refused.
    /// </summary>
    public static void Save(string folder, string to, GgufKind kind)
    {
        using var loaded = LoadedModel.Open(folder); using var f = HuggingFaceFolder.Open(folder);
        string family = f.Architecture == "mistral" ? "llama" : f.Architecture;
        var w = new GgufWriter(family).Set("general.name", loaded.Model.Name).Set("general.file_type", kind switch { GgufKind.F32 => 0u, GgufKind.F16 => 1u, GgufKind.Q4_0 => 2u, GgufKind.Q8_0 => 7u, _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "expected F32, F16, Q8_0 or Q4_0") }).Set("general.quantization_version", 2u);
        foreach (string key in f.Facts)
        {
            string name = $"{family}.{key}";
            if (whole.Contains(key)) w.Set(name, (uint)f.Size(key)); else if (key == "rope.scaling.type") w.Set(name, f.Text(key)); else w.Set(name, (float)f.Number(key));
        }
        int headDim = ((AttentionRows)loaded.Model.Layers[0].Attention).Parts.Dim;
        if (loaded.Model.Positions is null) w.Set($"{family}.rope.dimension_count", (uint)headDim);
        w.Set(GgufTokenizerKeys.Json, File.ReadAllText(Path.Combine(folder, "tokenizer.json")));
        if (loaded.Tokenizer.Bos is { } bos) w.Set(GgufTokenizerKeys.Bos, Encoding.UTF8.GetString(loaded.Tokenizer.Piece(bos, showControl: true)));
        if (loaded.Tokenizer.Eos is { } eos) w.Set(GgufTokenizerKeys.Eos, Encoding.UTF8.GetString(loaded.Tokenizer.Piece(eos, showControl: true)));
        if (LoadedModel.FolderTemplate(folder) is { } template) w.Set("tokenizer.chat_template", template);
        foreach (string name in f.Tensors)
        {
            var t = f.Find(name)!; int columns = t.Shape[^1];
            // Files of this family have channels that turn together side by side; folders have them half a head apart.
            bool turned = family == "llama" && (name.Contains(".attn_q.", StringComparison.Ordinal) || name.Contains(".attn_k.", StringComparison.Ordinal));
            int At(int row) => turned ? row / headDim * headDim + row % 2 * (headDim / 2) + row % headDim / 2 : row;
            if (t.Shape.Count == 1) { float[] v = t.Decode(); w.Add(name, GgufKind.F32, [v.Length], (_, y) => { for (int i = 0; i < y.Length; i++) y[i] = v[At(i)]; }); continue; }
            int size = (int)t.Format.RowBytes(columns);
            w.Add(name, kind is GgufKind.F32 || columns % 32 == 0 ? kind : GgufKind.F16, [.. t.Shape], (row, y) => t.Format.Decode(t.Bytes.Span.Slice(checked(At((int)row) * size), size), columns, y));
        }
        w.Save(to);
    }
}
