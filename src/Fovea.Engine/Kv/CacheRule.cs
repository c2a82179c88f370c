using System.Globalization;
using System.Reflection;
using Fovea.Mechanisms;
namespace Fovea.Engine;

/// <summary>Something that limits what attention reads of a cache. Rules are found by type; the name is that of the type in lower case.</summary>
public abstract class CacheRule
{
    static readonly Lazy<SortedDictionary<string, Type>> all = new(() => new(Discover.All<CacheRule>().Where(t => t.IsPublic).ToDictionary(NameOf, t => t), StringComparer.Ordinal));
    static string NameOf(Type t) => t.Name.ToLowerInvariant();

    /// <summary>Names of all rules with their parameters and defaults.</summary>
    public static IReadOnlyList<string> All => [.. all.Value.Select(x => x.Key + (Parameters(x.Value) is { Length: > 0 } p ? $"({string.Join(", ", p.Select(k => k.ParameterType == typeof(KvPolicy) ? k.Name : $"{k.Name}={Convert.ToString(k.DefaultValue, CultureInfo.InvariantCulture)}"))})" : ""))];
    static ParameterInfo[] Parameters(Type t) => t.GetConstructors().Single().GetParameters();

    /// <summary>A rule by its text: "h2o", "snapkv(window=16)", "adakv(snapkv)"; hyphens do not count, and "full" is no rule. Throws with what is wrong.</summary>
    public static CacheRule? Parse(string text)
    {
        text = text.Trim();
        int open = text.IndexOf('('); string name = (open < 0 ? text : text[..open]).Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();
        if (name == "full" && open < 0) return null;
        if (!all.Value.TryGetValue(name, out var type)) throw new ArgumentException($"no cache rule '{name}'; did you mean '{all.Value.Keys.Append("full").MinBy(n => Mechanism.Distance(n, name))}'? There are full, {string.Join(", ", all.Value.Keys)}");
        if (open >= 0 && !text.EndsWith(')')) throw new ArgumentException($"'{text}': expected ')' at the end");
        var parameters = Parameters(type); object?[] values = [.. parameters.Select(p => p.HasDefaultValue ? p.DefaultValue : null)]; var set = new HashSet<int>();
        foreach (string part in open < 0 ? [] : Models.MixerSpec.Split(text[(open + 1)..^1], ',').Where(p => p.Length > 0))
        {
            int eq = part.IndexOf('='), paren = part.IndexOf('('); bool named = eq > 0 && (paren < 0 || eq < paren);
            int at = named ? Array.FindIndex(parameters, p => p.Name == part[..eq].Trim()) : Array.FindIndex(parameters, p => p.ParameterType == typeof(KvPolicy));
            if (at < 0) throw new ArgumentException($"'{name}' has no parameter '{(named ? part[..eq] : part)}'; it has: {(parameters.Length == 0 ? "none" : string.Join(", ", parameters.Select(p => p.Name)))}");
            if (!set.Add(at)) throw new ArgumentException($"'{text}': '{parameters[at].Name}' is set twice");
            string value = named ? part[(eq + 1)..].Trim() : part;
            values[at] = parameters[at].ParameterType == typeof(KvPolicy) ? Parse(value) as KvPolicy ?? throw new ArgumentException($"'{value}' lets nothing leave, so '{name}' cannot wrap it") : new Knob(parameters[at].Name!, parameters[at].ParameterType, null).Parse(value);
        }
        if (Array.FindIndex(values, v => v is null) is >= 0 and var missing) throw new ArgumentException($"'{name}' needs {parameters[missing].Name}, as in {name}(snapkv)");
        try { return (CacheRule)Activator.CreateInstance(type, values)!; }
        catch (TargetInvocationException e) when (e.InnerException is ArgumentException inner) { throw new ArgumentException($"{name}: {inner.Message}"); }
    }
}
