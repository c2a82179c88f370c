using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>Brings the project's own models and vocabularies into GGUF.</summary>
public static class GgufExport
{
    /// <summary>The token that begins and ends texts of an exported vocabulary.</summary>
    public const string Boundary = "<|end|>";

    /// <summary>
    /// A byte pair vocabulary as that of GPT-2: ids stay, one more stands for the beginning and the end of a text. Files are read with the cutting rule of GPT-2, which for text without runs of spaces is that of <see cref="BytePairTokenizer"/>.
    /// </summary>
    public static GgufWriter Vocabulary(this GgufWriter w, BytePairTokenizer t)
    {
        string Name(int id) => string.Concat(t.Decode([id]).Select(b => (char)ByteAlphabet.Letter(b)));
        int end = t.VocabularySize;
        return w.Set("tokenizer.ggml.model", "gpt2").Set("tokenizer.ggml.pre", "gpt-2").Set("tokenizer.ggml.tokens", (string[])[.. Enumerable.Range(0, end).Select(Name), Boundary])
            .Set("tokenizer.ggml.token_type", (int[])[.. Enumerable.Repeat(1, end), 3]).Set("tokenizer.ggml.merges", (string[])[.. t.Merges.Select(m => $"{Name(m.Left)} {Name(m.Right)}")])
            .Set("tokenizer.ggml.bos_token_id", (uint)end).Set("tokenizer.ggml.eos_token_id", (uint)end).Set("tokenizer.ggml.add_bos_token", true);
    }

    /// <summary>
    /// A decoder with softmax attention, rotary positions, RMS norms and a SwiGLU feed-forward part as a model of the family llama. Matrices are kept as kind, vectors as F32.
    /// Throws where a weight is not part of such a model.
    /// </summary>
    public static GgufWriter Decoder(this GgufWriter w, ModelConfig c, Weights weights, GgufKind kind)
    {
        var a = c.Attention(causal: true); int half = a.HeadDim / 2;
        w.Set("llama.embedding_length", (uint)c.Dim).Set("llama.block_count", (uint)c.Layers).Set("llama.attention.head_count", (uint)c.Heads).Set("llama.attention.head_count_kv", (uint)a.Groups).Set("llama.feed_forward_length", (uint)c.HiddenDim)
            .Set("llama.context_length", (uint)c.Length).Set("llama.vocab_size", (uint)c.Vocabulary).Set("llama.attention.layer_norm_rms_epsilon", (Real)1e-6).Set("llama.rope.dimension_count", (uint)a.HeadDim).Set("llama.rope.freq_base", (Real)10000);
        foreach (var (name, t) in weights.All)
        {
            string to = name.Replace("blocks.", "blk.", StringComparison.Ordinal);
            foreach (var (from, by) in names) to = to.Replace(from, by, StringComparison.Ordinal);
            if (to == name && !name.StartsWith("head.", StringComparison.Ordinal) || !to.EndsWith(".weight", StringComparison.Ordinal)) throw new ArgumentException($"weight '{name}' is not part of a plain decoder");
            // Such files have the channels that turn together side by side, not half a head apart.
            bool turned = to.Contains("attn_q.") || to.Contains("attn_k.");
            w.Add(to, t.Shape.Rank == 1 ? GgufKind.F32 : kind, turned ? t.Take(0, [.. Enumerable.Range(0, t.Shape[0]).Select(r => r / (2 * half) * (2 * half) + r % 2 * half + r % (2 * half) / 2)]) : t);
        }
        return w;
    }
    static readonly (string From, string To)[] names =
    [
        ("attn.q_proj", "attn_q"), ("attn.k_proj", "attn_k"), ("attn.v_proj", "attn_v"), ("attn.o_proj", "attn_output"), ("mlp.gate", "ffn_gate"), ("mlp.up", "ffn_up"), ("mlp.down", "ffn_down"),
        ("norm1", "attn_norm"), ("norm2", "ffn_norm"), ("final_norm", "output_norm"), ("embed.", "token_embd."), ("head.", "output."),
    ];
}
