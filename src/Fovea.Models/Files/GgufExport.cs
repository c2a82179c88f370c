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
        var a = c.Attention(causal: true); int half = a.HeadDim / 2; var rope = c.Position as Rope;
        if (rope is not { Share: 1, Scaling: null or YarnScaling { Fast: 32, Slow: 1 } }) throw new ArgumentException("positions are not rotary ones of all channels, plain or by YaRN");
        w.Set("llama.embedding_length", (uint)c.Dim).Set("llama.block_count", (uint)c.Layers).Set("llama.attention.head_count", (uint)c.Heads).Set("llama.attention.head_count_kv", (uint)a.Groups).Set("llama.feed_forward_length", (uint)c.HiddenDim)
            .Set("llama.context_length", (uint)c.Length).Set("llama.vocab_size", (uint)c.Vocabulary).Set("llama.attention.layer_norm_rms_epsilon", (Real)1e-6).Set("llama.rope.dimension_count", (uint)a.HeadDim).Set("llama.rope.freq_base", (Real)rope.Theta);
        if (rope.Scaling is YarnScaling yarn) w.Set("llama.rope.scaling.type", "yarn").Set("llama.rope.scaling.factor", (Real)yarn.Factor).Set("llama.rope.scaling.original_context_length", (uint)yarn.OriginalLength);
        foreach (var (name, t) in weights.All)
        {
            string to = Named(name);
            w.Add(to, t.Shape.Rank == 1 ? GgufKind.F32 : kind, IsTurned(to) ? t.Take(0, Order(t.Shape[0], half)) : t);
        }
        return w;
    }

    /// <summary>The other way: overwrites the weights of such a decoder with those of a file. A tensor that is missing or of another shape is an <see cref="InvalidDataException"/>.</summary>
    public static void Read(GgufFile file, ModelConfig c, Weights weights)
    {
        int half = c.Attention(causal: true).HeadDim / 2;
        foreach (var (name, t) in weights.All)
        {
            string from = Named(name);
            var stored = GgufNumbers.Read(file, from);
            if (stored.Shape != t.Shape) throw new InvalidDataException($"{from} is {stored.Shape}, expected {t.Shape}");
            if (!IsTurned(from)) { stored.Span.CopyTo(t.Span); continue; }
            int[] order = Order(t.Shape[0], half); int size = t.Shape[1];
            for (int r = 0; r < order.Length; r++) stored.Span.Slice(r * size, size).CopyTo(t.Span.Slice(order[r] * size, size));
        }
    }

    static string Named(string name)
    {
        string to = name.Replace("blocks.", "blk.", StringComparison.Ordinal);
        foreach (var (from, by) in names) to = to.Replace(from, by, StringComparison.Ordinal);
        return to != name && to.EndsWith(".weight", StringComparison.Ordinal) ? to : throw new ArgumentException($"weight '{name}' is not part of a plain decoder");
    }
    // Such files have the channels that turn together side by side, not half a head apart.
    static bool IsTurned(string name) => name.Contains("attn_q.", StringComparison.Ordinal) || name.Contains("attn_k.", StringComparison.Ordinal);
    static int[] Order(int rows, int half) => [.. Enumerable.Range(0, rows).Select(r => r / (2 * half) * (2 * half) + r % 2 * half + r % (2 * half) / 2)];

    static readonly (string From, string To)[] names =
    [
        ("attn.q_proj", "attn_q"), ("attn.k_proj", "attn_k"), ("attn.v_proj", "attn_v"), ("attn.o_proj", "attn_output"), ("mlp.gate", "ffn_gate"), ("mlp.up", "ffn_up"), ("mlp.down", "ffn_down"),
        ("norm1", "attn_norm"), ("norm2", "ffn_norm"), ("final_norm", "output_norm"), ("embed.", "token_embd."), ("head.", "output."),
    ];
}
