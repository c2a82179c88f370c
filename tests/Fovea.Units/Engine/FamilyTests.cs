using Fovea.Engine;
namespace Fovea.Units;

/// <summary>Every family of models against its definition, written out in float64.</summary>
public class FamilyTests
{
    sealed record Family(string Type, string Facts)
    {
        public bool Bias, HeadNorms, Gemma, Fused, Gpt;
        public int? Window;
    }
    const int C = 32, H = 4, G = 2, V = 40, F = 48, Layers = 2, Length = 64;
    const string Usual = "\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":48,\"max_position_embeddings\":64,\"vocab_size\":40,\"rms_norm_eps\":1e-5,\"rope_theta\":500.0";
    static Family Of(string name) => name switch
    {
        "mistral" => new("mistral", Usual + ",\"sliding_window\":7") { Window = 7 },
        "qwen2" => new("qwen2", Usual) { Bias = true },
        "qwen3" => new("qwen3", Usual + ",\"head_dim\":16") { HeadNorms = true },
        "gemma2" => new("gemma2", Usual + ",\"head_dim\":16,\"sliding_window\":5,\"query_pre_attn_scalar\":24,\"attn_logit_softcapping\":1.5,\"final_logit_softcapping\":2.0") { Gemma = true, Window = 5 },
        "phi3" => new("phi3", Usual + ",\"sliding_window\":9") { Fused = true, Window = 9 },
        _ => new("gpt2", "\"n_embd\":32,\"n_layer\":2,\"n_head\":4,\"n_positions\":64,\"vocab_size\":40,\"layer_norm_epsilon\":1e-5") { Gpt = true },
    };

    readonly Dictionary<string, Tensor> weights = [];
    float[] Weight(string name, params int[] shape)
    {
        if (!weights.TryGetValue(name, out var t)) { var x = new float[shape.Aggregate((a, b) => a * b)]; new Rng(3)[name].Normal(x, shape.Length == 1 ? 0.3f : 0.25f); if (name.Contains("norm") || name.Contains("ln_")) for (int i = 0; i < x.Length && name.EndsWith("weight"); i++) x[i] += 0.7f; weights[name] = t = Tensor.From(x, Shape.Of(shape)); }
        return t.Span.ToArray();
    }

    // y = W x + b, W [n,m], or [m,n] where a file has it turned.
    double[] Times(double[] x, string name, int n, bool bias = false, bool turned = false, int from = 0, int? rows = null)
    {
        int m = x.Length, all = rows ?? n; float[] w = turned ? Weight(name + ".weight", m, all) : Weight(name + ".weight", all, m), b = bias ? Weight(name + ".bias", all) : new float[all]; var y = new double[n];
        for (int i = 0; i < n; i++) { y[i] = b[from + i]; for (int j = 0; j < m; j++) y[i] += x[j] * (turned ? w[j * all + from + i] : w[(from + i) * m + j]); }
        return y;
    }
    double[] Rms(double[] x, string name, bool one)
    {
        float[] g = Weight(name + ".weight", x.Length); double r = Math.Sqrt(x.Sum(v => v * v) / x.Length + 1e-5);
        return [.. x.Select((v, i) => v / r * (g[i] + (one ? 1 : 0)))];
    }
    double[] LayerNorm(double[] x, string name)
    {
        float[] g = Weight(name + ".weight", x.Length), b = Weight(name + ".bias", x.Length); double mean = x.Average(), r = Math.Sqrt(x.Sum(v => (v - mean) * (v - mean)) / x.Length + 1e-5);
        return [.. x.Select((v, i) => (v - mean) / r * g[i] + b[i])];
    }
    static double Gelu(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    static double Silu(double x) => x / (1 + Math.Exp(-x));
    static double[] Turn(double[] x, int at)
    {
        int half = x.Length / 2; var y = new double[x.Length];
        for (int c = 0; c < half; c++) { double a = at * Math.Pow(500, -2.0 * c / x.Length), cos = Math.Cos(a), sin = Math.Sin(a); y[c] = x[c] * cos - x[c + half] * sin; y[c + half] = x[c + half] * cos + x[c] * sin; }
        return y;
    }

    // Logits of every token.
    double[] Naive(Family f, int[] tokens)
    {
        int n = tokens.Length, d = f.HeadNorms || f.Gemma ? 16 : C / H, groups = f.Gpt ? H : G, hidden = f.Gpt ? 4 * C : F; string root = f.Gpt ? "" : "model.";
        float[] table = Weight(f.Gpt ? "wte.weight" : "model.embed_tokens.weight", V, C); float[] places = f.Gpt ? Weight("wpe.weight", Length, C) : [];
        var x = tokens.Select((t, p) => Enumerable.Range(0, C).Select(c => table[t * C + c] * (f.Gemma ? Math.Sqrt(C) : 1) + (f.Gpt ? places[p * C + c] : 0)).ToArray()).ToArray();
        double[] Norm(double[] v, string name) => f.Gpt ? LayerNorm(v, name) : Rms(v, name, f.Gemma);
        for (int l = 0; l < Layers; l++)
        {
            string b = f.Gpt ? $"h.{l}." : $"model.layers.{l}.", a = b + (f.Gpt ? "attn." : "self_attn."); int q0 = H * d, k0 = groups * d; int? window = f.Gemma && l % 2 == 1 ? null : f.Window;
            var q = new double[n][][]; var k = new double[n][][]; var v = new double[n][][];
            for (int t = 0; t < n; t++)
            {
                double[] h = Norm(x[t], b + (f.Gpt ? "ln_1" : "input_layernorm"));
                double[] Part(string name, int size, int from) => f.Gpt ? Times(h, a + "c_attn", size, true, true, from, q0 + 2 * k0) : f.Fused ? Times(h, a + "qkv_proj", size, false, false, from, q0 + 2 * k0) : Times(h, a + name + "_proj", size, f.Bias);
                double[][] Split(double[] y) => [.. y.Chunk(d)];
                double[] Head(double[] y, string norm) { if (f.HeadNorms) y = Rms(y, a + norm, false); return f.Gpt ? y : Turn(y, t); }
                q[t] = [.. Split(Part("q", q0, 0)).Select(y => Head(y, "q_norm"))]; k[t] = [.. Split(Part("k", k0, q0)).Select(y => Head(y, "k_norm"))]; v[t] = Split(Part("v", k0, q0 + k0));
            }
            for (int t = 0; t < n; t++)
            {
                var o = new double[H * d];
                for (int h = 0; h < H; h++)
                {
                    int g = h / (H / groups), first = window is { } w ? Math.Max(0, t - w + 1) : 0;
                    double[] s = [.. Enumerable.Range(first, t - first + 1).Select(j => { double z = q[t][h].Zip(k[j][g], (u, w) => u * w).Sum() / Math.Sqrt(f.Gemma ? 24 : d); return f.Gemma ? 1.5 * Math.Tanh(z / 1.5) : z; })]; double max = s.Max(), sum = s.Sum(z => Math.Exp(z - max));
                    for (int j = 0; j < s.Length; j++) for (int c = 0; c < d; c++) o[h * d + c] += Math.Exp(s[j] - max) / sum * v[first + j][g][c];
                }
                double[] y = f.Gpt ? Times(o, a + "c_proj", C, true, true) : Times(o, a + "o_proj", C);
                if (f.Gemma) y = Norm(y, b + "post_attention_layernorm");
                for (int c = 0; c < C; c++) x[t][c] += y[c];
                double[] z = Norm(x[t], b + (f.Gpt ? "ln_2" : f.Gemma ? "pre_feedforward_layernorm" : "post_attention_layernorm")), inner;
                if (f.Gpt) inner = [.. Times(z, b + "mlp.c_fc", hidden, true, true).Select(Gelu)];
                else
                {
                    double[] gate = f.Fused ? Times(z, b + "mlp.gate_up_proj", F, false, false, 0, 2 * F) : Times(z, b + "mlp.gate_proj", F), up = f.Fused ? Times(z, b + "mlp.gate_up_proj", F, false, false, F, 2 * F) : Times(z, b + "mlp.up_proj", F);
                    inner = [.. gate.Zip(up, (i, j) => (f.Gemma ? Gelu(i) : Silu(i)) * j)];
                }
                y = f.Gpt ? Times(inner, b + "mlp.c_proj", C, true, true) : Times(inner, b + "mlp.down_proj", C);
                if (f.Gemma) y = Norm(y, b + "post_feedforward_layernorm");
                for (int c = 0; c < C; c++) x[t][c] += y[c];
            }
        }
        return [.. x.SelectMany(row =>
        {
            double[] y = Norm(row, f.Gpt ? "ln_f" : "model.norm");
            double[] logits = f.Type is "mistral" or "phi3" ? Times(y, "lm_head", V) : [.. Enumerable.Range(0, V).Select(t => Enumerable.Range(0, C).Sum(c => y[c] * table[t * C + c]))];
            return f.Gemma ? logits.Select(u => 2 * Math.Tanh(u / 2)) : logits;
        })];
    }

    [Theory, InlineData("mistral"), InlineData("qwen2"), InlineData("qwen3"), InlineData("gemma2"), InlineData("phi3"), InlineData("gpt2")]
    public void A_family_is_its_definition_however_it_is_read(string name)
    {
        var f = Of(name); int[] tokens = [.. Enumerable.Range(0, 30).Select(i => new Rng(9).Below(i, V))]; double[] expected = Naive(f, tokens);
        string folder = Path.Combine(Path.GetTempPath(), $"fovea-family-{Environment.ProcessId}-{name}"); Directory.CreateDirectory(folder);
        try
        {
            File.WriteAllText(Path.Combine(folder, "config.json"), $"{{\"model_type\":\"{f.Type}\",{f.Facts}}}"); Safetensors.Write(Path.Combine(folder, "model.safetensors"), weights);
            using var model = LanguageModel.Open(folder); double range = expected.Max() - expected.Min();
            foreach (int piece in (int[])[1, 7, 30])
            {
                using var s = model.Start(); float[] y = EngineModels.Read(s, tokens, piece);
                for (int i = 0; i < y.Length; i++) Assert.True(Math.Abs(y[i] - expected[i]) < 2e-5 * range, $"{name}, pieces of {piece}: logit {i} is {y[i]}, expected {expected[i]} of a range of {range}");
            }
        }
        finally { Directory.Delete(folder, true); }
    }

    [Theory, InlineData("f32"), InlineData("f16"), InlineData("bf16"), InlineData("q8_0")]
    public void Vectors_of_any_length_are_read_and_rows_that_fill_no_blocks_say_so(string format)
    {
        var f = Kernels.NumberFormat.Named(format); float[] x = [.. Enumerable.Range(0, 64).Select(i => i - 31.5f)];
        foreach (int n in (int[])[1, 7, 8, 13, 32, 63, 64])
        {
            if (!f.Plain && n % 32 != 0) { Assert.Contains($"{n} numbers do not fill blocks of 32", Assert.Throws<ArgumentException>(() => f.RunBytes(n)).Message); continue; }
            var bytes = new byte[f.RunBytes(n)]; var y = new float[n]; f.EncodeRun(x.AsSpan(0, n), bytes); f.DecodeRun(bytes, y);
            for (int i = 0; i < n; i++) Assert.Equal(x[i], y[i], f.Plain ? 0.13f : 0.3f);
            Assert.Equal(y, new StoredTensor("v", f, [n], bytes).Decode());
        }
    }
}
