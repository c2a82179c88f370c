using System.Globalization;
using Fovea.Mechanisms;
namespace Fovea.Cli;

/// <summary>Reads name=value pairs of --set for the parameters of a constructor.</summary>
static class Settings
{
    public static Dictionary<string, string> Pairs(IEnumerable<string> set)
    {
        var pairs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string s in set)
        {
            int eq = s.IndexOf('=');
            if (eq < 1) throw new UsageException($"--set {s}: expected name=value");
            if (!pairs.TryAdd(s[..eq], s[(eq + 1)..])) throw new UsageException($"--set {s}: '{s[..eq]}' is set twice");
        }
        return pairs;
    }

    public static object Parse(string name, string text, Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        var c = CultureInfo.InvariantCulture;
        if (type == typeof(int) && int.TryParse(text, NumberStyles.Integer, c, out int i)) return i;
        if (type == typeof(double) && double.TryParse(text, NumberStyles.Float, c, out double d)) return d;
        if (type == typeof(float) && float.TryParse(text, NumberStyles.Float, c, out float f)) return f;
        if (type == typeof(bool) && bool.TryParse(text, out bool b)) return b;
        if (type == typeof(string)) return text;
        if (type.IsEnum && Enum.TryParse(type, text, ignoreCase: true, out object? e) && Enum.IsDefined(type, e)) return e;
        throw new UsageException($"--set {name}={text}: expected {(type.IsEnum ? "one of " + string.Join(", ", Enum.GetNames(type)) : MechanismsCommand.TypeName(type))}");
    }

    /// <summary>What is left in the pairs, as parameters of the mechanism; a name that it does not have is refused with the nearest one.</summary>
    public static Dictionary<string, object> Knobs(Mechanism mechanism, Dictionary<string, string> pairs, params string[] alsoKnown)
    {
        var knobs = new Dictionary<string, object>();
        foreach (var (name, text) in pairs)
        {
            var knob = mechanism.Knobs.FirstOrDefault(k => k.Name == name);
            if (knob is null)
            {
                string[] known = [.. mechanism.Knobs.Select(k => k.Name), .. alsoKnown];
                throw new UsageException($"--set {name}: '{mechanism.Name}' has no such parameter; did you mean '{known.MinBy(k => Mechanism.Distance(k, name))}'? known: {string.Join(", ", known)}");
            }
            knobs[name] = Parse(name, text, knob.Type);
        }
        return knobs;
    }
}
