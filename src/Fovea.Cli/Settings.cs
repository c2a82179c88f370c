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
        try { return new Knob(name, type, null).Parse(text); }
        catch (ArgumentException e) { throw new UsageException("--set " + e.Message); }
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
