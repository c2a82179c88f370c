using System.Globalization;
using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>
/// Mixers of a model as text: one mechanism for all layers, "softmax"; with parameters, "sliding-window(window=64)"; several in turn, "sliding-window(window=64)*3+softmax",
/// which start again after the last. Names and parameters are those of <see cref="Mechanism"/>.
/// </summary>
public sealed class MixerSpec
{
    /// <summary>A mechanism and what of its parameters is set.</summary>
    public sealed record Layer(Mechanism Mechanism, IReadOnlyDictionary<string, object> Knobs)
    {
        public Attention New(AttentionConfig c, Weights w) => Mechanism.New(c, w, Knobs);
    }

    MixerSpec(string name, IReadOnlyList<Layer> layers) => (Name, Layers) = (name, layers);

    /// <summary>The text that it was made from.</summary>
    public string Name { get; }
    /// <summary>Layer i of a model is entry i modulo their number.</summary>
    public IReadOnlyList<Layer> Layers { get; }
    /// <summary>What all of them have.</summary>
    public Traits Traits => Layers.Aggregate(~Traits.None, (all, l) => all & l.Mechanism.Traits);
    public Mixer Mixer => (layer, c, w) => Layers[layer % Layers.Count].New(c, w);

    /// <summary>The same with a parameter set in those layers that have it and leave it open.</summary>
    public MixerSpec With<T>(string knob, T value) where T : notnull => new(Name, [.. Layers.Select(l =>
        l.Knobs.ContainsKey(knob) || !l.Mechanism.Knobs.Any(k => k.Name == knob && k.Type == typeof(T)) ? l : l with { Knobs = new Dictionary<string, object>(l.Knobs) { [knob] = value } })]);

    /// <summary>Reads the text; throws with what is wrong in it.</summary>
    public static MixerSpec Parse(string text)
    {
        var layers = new List<Layer>();
        foreach (string part in Split(text, '+'))
        {
            int open = part.IndexOf('('), close = part.LastIndexOf(')'), star = part.IndexOf('*', Math.Max(0, close)), end = star < 0 ? part.Length : star, count = 1;
            if (open >= 0 != close >= 0 || open > close || close >= 0 && close != end - 1 || part.Length == 0) throw Bad(text);
            if (star >= 0 && (!int.TryParse(part[(star + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out count) || count is < 1 or > 1000)) throw new ArgumentException($"'{part}': expected a count of 1 to 1000 after *");
            var mechanism = Mechanism.Find(part[..(open >= 0 ? open : end)].Trim()); var knobs = new Dictionary<string, object>();
            foreach (string pair in open >= 0 && close > open + 1 ? Split(part[(open + 1)..close], ',') : [])
            {
                int eq = pair.IndexOf('=');
                if (eq < 1) throw Bad(text);
                string name = pair[..eq].Trim();
                var knob = mechanism.Knobs.FirstOrDefault(k => k.Name == name) ?? throw new ArgumentException($"'{mechanism.Name}' has no parameter '{name}'; it has: {(mechanism.Knobs.Count == 0 ? "none" : string.Join(", ", mechanism.Knobs.Select(k => k.Name)))}");
                if (!knobs.TryAdd(name, knob.Parse(pair[(eq + 1)..].Trim()))) throw new ArgumentException($"'{part}': '{name}' is set twice");
            }
            for (int i = 0; i < count; i++) layers.Add(new(mechanism, knobs));
        }
        return new(text.Trim(), layers);
    }

    static ArgumentException Bad(string text) => new($"'{text}': expected a mechanism such as softmax, sliding-window(window=64), or several with + between, each perhaps with *count");

    /// <summary>Parts between separators that stand outside of brackets, trimmed.</summary>
    public static IReadOnlyList<string> Split(string text, char separator)
    {
        var parts = new List<string>(); int depth = 0, from = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            if (i == text.Length || text[i] == separator && depth == 0) { parts.Add(text[from..i].Trim()); from = i + 1; }
            else if (text[i] == '(') depth++;
            else if (text[i] == ')') depth = Math.Max(0, depth - 1);
        }
        return parts;
    }
}
