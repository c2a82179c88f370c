using System.Runtime.InteropServices;
using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Engine;

/// <summary>Models that this project has trained, with any mixers: softmax attention, with or without a window, gets pages like that of other models; other mechanisms keep their own states.</summary>
static class OwnModel
{
    public const string Extension = ".safetensors";

    /// <summary>Opens a file that <see cref="DecoderFile"/> has written. Mechanisms that cannot go on from a past are an <see cref="InvalidDataException"/>.</summary>
    public static LanguageModel Open(string path)
    {
        var file = DecoderFile.Open(path); var (c, mixer, w) = file;
        try
        {
            if (mixer.Layers.FirstOrDefault(l => !l.Mechanism.Traits.HasFlag(Traits.Incremental | Traits.Causal)) is { } bad) throw new InvalidDataException($"{path}: '{bad.Mechanism.Name}' does not write token by token");
            var rotary = new Rotations(c.Dim / c.Heads, 10000, null, RotaryPairs.Halves); var embedding = Matrix(w["embed"], c.Vocabulary, c.Dim);
            RowNorm Norm(Weights n) => new RmsNormRows(n.Get("weight", [c.Dim]).Span.ToArray(), 1e-6);
            var layers = Enumerable.Range(0, c.Layers).Select(i =>
            {
                var b = w["blocks"][i]; var mlp = b["mlp"];
                return new DecoderLayer(Norm(b["norm1"]), Mixing(c, mixer.Layers[i % mixer.Layers.Count], b["attn"], i, rotary), null, Norm(b["norm2"]), new GatedFeed<Silu>(Project(mlp["gate"], c.HiddenDim, c.Dim), Project(mlp["up"], c.HiddenDim, c.Dim), Project(mlp["down"], c.Dim, c.HiddenDim)), null);
            }).ToList();
            var model = new LanguageModel(null)
            {
                Name = Path.GetFileNameWithoutExtension(path),
                Architecture = "fovea",
                Embedding = embedding,
                Layers = layers,
                FinalNorm = Norm(w["final_norm"]),
                Head = c.Tied ? embedding : Matrix(w["head"], c.Vocabulary, c.Dim),
                Length = c.Length,
                Parameters = w.Count,
                WeightBytes = w.Count * sizeof(float),
            };
            return w.Unused.ToArray() is { Length: > 0 } more ? throw new InvalidDataException($"{path}: not part of the model: {string.Join(", ", more.Take(8))}") : model;
        }
        catch (Exception e) when (e is KeyNotFoundException or ShapeException or ArgumentException) { throw new InvalidDataException($"{path}: {e.Message}"); }
    }

    static Matrix Matrix(Weights w, int @out, int @in) => new(NumberFormat.For<Float32>(), @out, @in, MemoryMarshal.AsBytes<float>(w.Get("weight", [@out, @in]).Span).ToArray());
    static Projection Project(Weights w, int @out, int @in) => new(Matrix(w, @out, @in), null);

    static MixingRows Mixing(ModelConfig c, MixerSpec.Layer l, Weights w, int layer, Rotations rotary)
    {
        object? Knob(string name) => l.Knobs.TryGetValue(name, out object? set) ? set : l.Mechanism.Knobs.First(k => k.Name == name).Default;
        int? window = l.Mechanism.Type == typeof(SlidingWindowAttention) && Knob("window") is int size && l.Knobs.Keys.All(k => k == "window") ? size : null;
        if (window is null && (l.Mechanism.Type != typeof(SoftmaxAttention) || l.Knobs.Count > 0)) return new MixerRows(layer, l.New(c.Attention(causal: true), w), c.Dim);
        int d = c.Dim / c.Heads, groups = c.KvHeads ?? c.Heads;
        var parts = new AttentionParts(layer, c.Heads, groups, d, d, Project(w["q_proj"], c.Dim, c.Dim), Project(w["k_proj"], groups * d, c.Dim), Project(w["v_proj"], groups * d, c.Dim), Project(w["o_proj"], c.Dim, c.Dim), rotary) { Window = window };
        return window is { } n ? new AttentionRows<Plain, Window>(parts, new(), new(n)) : new AttentionRows<Plain, Causal>(parts, new(), new());
    }
}
