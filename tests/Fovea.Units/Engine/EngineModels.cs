using System.Globalization;
using Fovea.Engine;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Units;

/// <summary>Small models in files of others, from weights that the project's own model class has, too.</summary>
sealed class EngineModels : IDisposable
{
    public string Folder { get; } = Path.Combine(Path.GetTempPath(), $"fovea-engine-{Environment.ProcessId}-{Guid()}");
    static int made;
    static int Guid() => Interlocked.Increment(ref made);
    public const int Vocabulary = 50;
    public static readonly ModelConfig Config = new(Vocabulary, 64, 2, 4) { KvHeads = 2, Hidden = 96, Length = 256 };
    public Weights Weights { get; } = Weights.Random(new Rng(1));
    public DecoderModel Own { get; }

    public EngineModels(Mixer? mixer = null) { Directory.CreateDirectory(Folder); Own = new(Config, Weights, mixer); }

    static string Llama(string name) => name.Replace("blocks.", "model.layers.").Replace(".attn.", ".self_attn.").Replace(".mlp.down", ".mlp.down_proj").Replace(".mlp.gate", ".mlp.gate_proj").Replace(".mlp.up", ".mlp.up_proj")
        .Replace("norm1", "input_layernorm").Replace("norm2", "post_attention_layernorm").Replace("embed.weight", "model.embed_tokens.weight").Replace("final_norm", "model.norm");

    /// <summary>config.json and the tensors in two files.</summary>
    public string HuggingFace(string extra = "", Func<string, Tensor, Tensor?>? change = null)
    {
        string path = Path.Combine(Folder, "hf" + Guid().ToString(CultureInfo.InvariantCulture)); Directory.CreateDirectory(path);
        File.WriteAllText(Path.Combine(path, "config.json"), $$"""
            {"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":96,"max_position_embeddings":256,"rms_norm_eps":1e-6,"vocab_size":50,"rope_theta":10000.0{{extra}}}
            """);
        var all = Weights.All.Select(x => (Name: Llama(x.Key), Tensor: change is null ? x.Value : change(Llama(x.Key), x.Value))).Where(x => x.Tensor is not null).Select(x => KeyValuePair.Create(x.Name, x.Tensor!)).ToArray();
        Safetensors.Write(Path.Combine(path, "model-00001-of-00002.safetensors"), all[..5]); Safetensors.Write(Path.Combine(path, "model-00002-of-00002.safetensors"), all[5..]);
        return path;
    }

    /// <summary>As llama files are: rows of queries and keys lie so that neighbours turn together.</summary>
    public string Gguf(GgufKind kind = GgufKind.F32)
    {
        string path = Path.Combine(Folder, $"{kind}-{Guid()}.gguf");
        var w = new GgufWriter("llama").Set("llama.embedding_length", 64u).Set("llama.block_count", 2u).Set("llama.attention.head_count", 4u).Set("llama.attention.head_count_kv", 2u).Set("llama.feed_forward_length", 96u)
            .Set("llama.context_length", 256u).Set("llama.attention.layer_norm_rms_epsilon", 1e-6f).Set("llama.rope.dimension_count", 16u);
        foreach (var (name, t) in Weights.All)
        {
            string to = name.Replace("blocks.", "blk.").Replace("attn.q_proj", "attn_q").Replace("attn.k_proj", "attn_k").Replace("attn.v_proj", "attn_v").Replace("attn.o_proj", "attn_output").Replace("mlp.", "ffn_")
                .Replace("norm1", "attn_norm").Replace("norm2", "ffn_norm").Replace("final_norm", "output_norm").Replace("embed.", "token_embd.");
            w.Add(to, t.Shape.Rank == 1 ? GgufKind.F32 : kind, to.Contains("attn_q.") || to.Contains("attn_k.") ? Neighbours(t) : t);
        }
        w.Save(path);
        return path;
    }

    // Row c of a head of 16 goes to 2c, row 8 + c to 2c + 1.
    static Tensor Neighbours(Tensor t) => t.Take(0, [.. Enumerable.Range(0, t.Shape[0]).Select(r => r / 16 * 16 + (r % 16 % 2 * 8) + r % 16 / 2)]);

    public static int[] Text(int n, int seed = 3) => [.. Enumerable.Range(0, n).Select(i => new Rng((ulong)seed).Below(i, Vocabulary))];
    /// <summary>Logits [n,V] of the project's own model.</summary>
    public float[] Expected(int[] tokens) { using var scope = Scope.NoGrad(); return Own.Forward(tokens, 1, Pass.Eval).Span.ToArray(); }
    public static double Apart(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Assert.Equal(a.Length, b.Length); double worst = 0;
        for (int i = 0; i < a.Length; i++) { Assert.True(float.IsFinite(a[i])); worst = Math.Max(worst, Math.Abs(a[i] - b[i])); }
        return worst;
    }
    /// <summary>Logits [n,V] after every token, in pieces.</summary>
    public static float[] Read(Sequence s, int[] tokens, int piece)
    {
        var y = new float[tokens.Length * s.Model.Vocabulary];
        for (int at = 0; at < tokens.Length; at += piece) s.Model.Forward([new(s, tokens.AsMemory(at, Math.Min(piece, tokens.Length - at)), All: true)], y.AsSpan(at * s.Model.Vocabulary));
        return y;
    }
    public void Dispose() => Directory.Delete(Folder, true);
}
