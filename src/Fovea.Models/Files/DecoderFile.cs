using System.Text.Json;
using System.Text.Json.Nodes;
using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>A decoder of this project in one safetensors file: its weights, and in the metadata its sizes and the mixers of its layers. Positions are rotary, norms RMS, feed-forward parts SwiGLU.</summary>
public sealed record DecoderFile(ModelConfig Config, MixerSpec Mixer, Weights Weights)
{
    const string Key = "fovea.decoder"; const int Largest = 1 << 20;

    /// <summary>Writes all weights that the model has asked for, atomically.</summary>
    public static void Save(string path, ModelConfig c, MixerSpec mixer, Weights weights)
    {
        if (c.TokenPositions is not null) throw new ArgumentException("positions added to embeddings are not part of such files");
        var facts = new JsonObject { ["vocabulary"] = c.Vocabulary, ["dim"] = c.Dim, ["layers"] = c.Layers, ["heads"] = c.Heads, ["kvHeads"] = c.KvHeads ?? c.Heads, ["hidden"] = c.HiddenDim, ["length"] = c.Length, ["tied"] = c.Tied, ["mixer"] = mixer.Name };
        Safetensors.Write(path, weights.All, new Dictionary<string, string> { [Key] = facts.ToJsonString() });
    }

    /// <summary>Reads a file; one that is none of these is an <see cref="InvalidDataException"/>.</summary>
    public static DecoderFile Open(string path)
    {
        var file = Safetensors.Open(path);
        if (!file.Metadata.TryGetValue(Key, out string? text) || text.Length > Largest) throw new InvalidDataException($"{path}: has no '{Key}' in its metadata; expected a model that fovea has trained");
        try
        {
            using var json = JsonDocument.Parse(text, new() { MaxDepth = 4 }); var root = json.RootElement;
            int Size(string name) => root.GetProperty(name).TryGetInt32(out int n) && n is > 0 and <= 1 << 28 ? n : throw new InvalidDataException($"{path}: {name} is {root.GetProperty(name).GetRawText()}, expected a positive whole number");
            var config = new ModelConfig(Size("vocabulary"), Size("dim"), Size("layers"), Size("heads")) { KvHeads = Size("kvHeads"), Hidden = Size("hidden"), Length = Size("length"), Tied = root.GetProperty("tied").GetBoolean() };
            return new(config.Checked(), MixerSpec.Parse(root.GetProperty("mixer").GetString() ?? ""), Weights.From(file.Tensors));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException) { throw new InvalidDataException($"{path}: '{Key}' is wrong: {e.Message}"); }
    }

    /// <summary>The model itself.</summary>
    public DecoderModel Model() => new(Config, Weights, Mixer.Mixer);
}
