using System.Text;
namespace Fovea.Models;

/// <summary>Arguments of a call, a filter or a test, with checks that name what is wrong.</summary>
sealed class TemplateCall(TemplateRun run, TemplatePlace place, string name, object?[] plain, (string Name, object? Value)[] named)
{
    public TemplateRun Run => run;
    public TemplatePlace Place => place;
    public string Name => name;
    public object?[] Plain => plain;
    public (string Name, object? Value)[] Named => named;

    /// <summary>An argument by place or name; the fallback where it is not given.</summary>
    public object? Get(int i, string key, object? otherwise = null)
    {
        if (i < plain.Length) return plain[i];
        foreach (var (k, v) in named) if (k == key) return v;
        return otherwise;
    }
    public object? Need(int i, string key) => i < plain.Length || named.Any(n => n.Name == key) ? Get(i, key) : throw Bad($"lacks the argument '{key}'");
    public string Text(int i, string key) => Need(i, key) as string ?? throw Bad($"'{key}' is {TemplateValues.Kind(Need(i, key))}, expected a text");
    public string? TextOrNone(int i, string key) => Get(i, key) switch { null => null, string s => s, var x => throw Bad($"'{key}' is {TemplateValues.Kind(x)}, expected a text") };
    public long Whole(int i, string key, long otherwise) => Get(i, key, otherwise) switch { long n => n, bool b => b ? 1 : 0, var x => throw Bad($"'{key}' is {TemplateValues.Kind(x)}, expected a whole number") };
    public bool Flag(int i, string key, bool otherwise) => TemplateValues.Truth(Get(i, key, otherwise));
    /// <summary>Throws unless there are at most so many arguments, of these names.</summary>
    public TemplateCall Only(int most, params ReadOnlySpan<string> names)
    {
        if (plain.Length > most) throw Bad($"has {plain.Length} arguments, expected at most {most}");
        foreach (var (k, _) in named) if (!names.Contains(k)) throw Bad($"has no argument '{k}'");
        return this;
    }
    public TemplateException Bad(string what) => place.Bad($"'{name}' {what}");
}
