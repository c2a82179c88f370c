using System.Collections;
using System.Globalization;
using System.Text;
using System.Text.Json;
namespace Fovea.Models;

/// <summary>A list of a template, or a tuple, which only looks different; templates cannot change it.</summary>
sealed class TemplateList(IReadOnlyList<object?> items, bool isTuple = false) : IReadOnlyList<object?>
{
    public bool IsTuple => isTuple;
    public int Count => items.Count;
    public object? this[int i] => items[i];
    public IEnumerator<object?> GetEnumerator() => items.GetEnumerator();
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>A map of a template, in order of insertion, by texts, numbers or booleans. Only a namespace can be changed, by {% set ns.name = … %}.</summary>
sealed class TemplateMap(bool isNamespace = false)
{
    public bool IsNamespace => isNamespace;
    public OrderedDictionary<object, object?> Items { get; } = new(Keys.Instance);

    /// <summary>As in Python, 1, 1.0 and true are one key.</summary>
    sealed class Keys : IEqualityComparer<object>
    {
        public static readonly Keys Instance = new();
        bool IEqualityComparer<object>.Equals(object? a, object? b) => TemplateValues.Same(a, b);
        public int GetHashCode(object key) => key is string s ? string.GetHashCode(s, StringComparison.Ordinal) : (TemplateValues.Number(key) ?? 0).GetHashCode();
    }
}

/// <summary>A value that is not there: writes nothing, is false, and has no members.</summary>
sealed class TemplateUndefined(string name)
{
    public string Name => name;
}

/// <summary>Something that can be called.</summary>
sealed class TemplateFunction(string name, Func<TemplateCall, object?> body)
{
    public string Name => name;
    public object? Invoke(TemplateCall call) => body(call);
}

/// <summary>Values of templates: null, bool, long, double, text, list, map, undefined, function; what Python does with them.</summary>
static class TemplateValues
{
    const int Deepest = 64;

    /// <summary>A value of the program as a value of templates.</summary>
    public static object? From(object? x, int depth = 0)
    {
        if (depth > Deepest) throw new ArgumentException($"a value for a template is nested more than {Deepest} deep");
        switch (x)
        {
            case null or bool or long or double or string or TemplateList or TemplateMap or TemplateFunction: return x;
            case int n: return (long)n;
            case Single f: return (double)f;
            case JsonElement json: return FromJson(json, depth);
            case IReadOnlyDictionary<string, object?> map: return Map(map.Select(p => (p.Key, From(p.Value, depth + 1))));
            case IReadOnlyDictionary<string, string> map: return Map(map.Select(p => (p.Key, (object?)p.Value)));
            case IEnumerable list: return new TemplateList([.. list.Cast<object?>().Select(v => From(v, depth + 1))]);
            default: throw new ArgumentException($"a {x.GetType().Name} is no value for a template, expected null, bool, a number, a text, a list or a dictionary");
        }
    }
    static object? FromJson(JsonElement json, int depth) => json.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.String => json.GetString(),
        JsonValueKind.Number => json.TryGetInt64(out long n) ? (object)n : json.GetDouble(),
        JsonValueKind.Array => new TemplateList([.. json.EnumerateArray().Select(v => From(v, depth + 1))]),
        JsonValueKind.Object => Map(json.EnumerateObject().Select(p => (p.Name, From(p.Value, depth + 1)))),
        _ => null,
    };
    public static TemplateMap Map(IEnumerable<(string Key, object? Value)> items)
    {
        var map = new TemplateMap();
        foreach (var (key, value) in items) map.Items[key] = value;
        return map;
    }

    public static bool Truth(object? x) => x switch
    {
        null or TemplateUndefined => false,
        bool b => b,
        long n => n != 0,
        double d => d != 0,
        string s => s.Length > 0,
        TemplateList l => l.Count > 0,
        TemplateMap { IsNamespace: false } m => m.Items.Count > 0,
        _ => true,
    };

    public static string Kind(object? x) => x switch
    {
        null => "none",
        TemplateUndefined => "undefined",
        bool => "a boolean",
        long or double => "a number",
        string => "a text",
        TemplateList => "a list",
        TemplateMap => "a map",
        _ => "a function",
    };

    public static bool Same(object? a, object? b, int depth = 0)
    {
        if (depth > Deepest) return false;
        if (Number(a) is { } x && Number(b) is { } y) return a is long or bool && b is long or bool ? Long(a) == Long(b) : x == y;
        return (a, b) switch
        {
            (null, null) => true,
            (string s, string t) => s == t,
            (TemplateList l, TemplateList m) => l.Count == m.Count && l.Zip(m).All(p => Same(p.First, p.Second, depth + 1)),
            (TemplateMap l, TemplateMap m) => l.Items.Count == m.Items.Count && l.Items.All(p => m.Items.TryGetValue(p.Key, out var v) && Same(p.Value, v, depth + 1)),
            (TemplateUndefined, TemplateUndefined) => true,
            _ => a is not null && ReferenceEquals(a, b),
        };
    }
    public static long Long(object? x) => x is bool b ? b ? 1 : 0 : (long)x!;
    /// <summary>As a number, true and false included; null where it is none.</summary>
    public static double? Number(object? x) => x switch { bool b => b ? 1 : 0, long n => n, double d => d, _ => null };

    /// <summary>Writes a value as {{ }} does.</summary>
    public static void Write(object? x, StringBuilder to) { if (x is string s) to.Append(s); else if (x is not TemplateUndefined) Show(x, to, 0, null); }

    /// <summary>Writes a value as Python shows it within a list, or as JSON (indent at least 0).</summary>
    public static void Show(object? x, StringBuilder to, int depth, int? indent)
    {
        bool json = indent is not null;
        if (depth > Deepest || to.Length > TemplateRun.MostText) throw new InvalidDataException($"a value nested more than {Deepest} deep or of more than {TemplateRun.MostText} characters");
        switch (x)
        {
            case null: to.Append(json ? "null" : "None"); break;
            case bool b: to.Append(json ? b ? "true" : "false" : b ? "True" : "False"); break;
            case long n: to.Append(n); break;
            case double d: to.Append(Text(d)); break;
            case string s: if (json) Quote(s, to); else Python(s, to); break;
            case TemplateList l:
                bool round = l.IsTuple && !json;
                to.Append(round ? '(' : '[');
                for (int i = 0; i < l.Count; i++) { Separate(i, to, depth, indent); Show(l[i], to, depth + 1, indent); }
                Line(l.Count, to, depth, indent); to.Append(round ? l.Count == 1 ? ",)" : ")" : "]");
                break;
            case TemplateMap m:
                int k = 0;
                to.Append('{');
                foreach (var (key, value) in m.Items) { Separate(k++, to, depth, indent); if (json) Quote(key as string ?? Plain(key), to); else Show(key, to, depth + 1, null); to.Append(": "); Show(value, to, depth + 1, indent); }
                Line(k, to, depth, indent); to.Append('}');
                break;
            case TemplateUndefined u when json: throw new InvalidDataException($"'{u.Name}' is undefined and cannot be JSON");
            case TemplateUndefined: to.Append("Undefined"); break;
            default: throw new InvalidDataException($"{Kind(x)} cannot be written");
        }
    }
    static void Separate(int i, StringBuilder to, int depth, int? indent)
    {
        if (i > 0) to.Append(indent > 0 ? "," : ", ");
        if (indent > 0) to.Append('\n').Append(' ', indent.Value * (depth + 1));
    }
    static void Line(int count, StringBuilder to, int depth, int? indent) { if (count > 0 && indent > 0) to.Append('\n').Append(' ', indent.Value * depth); }

    /// <summary>A key that is no text, as JSON writes it between quotes.</summary>
    static string Plain(object key) => key switch { true => "true", false => "false", double d => Text(d), _ => $"{key}" };

    static string Text(double d)
    {
        if (double.IsNaN(d)) return "nan";
        if (double.IsInfinity(d)) return d > 0 ? "inf" : "-inf";
        if (d == Math.Floor(d) && Math.Abs(d) < 1e16) return d.ToString("F1", CultureInfo.InvariantCulture);
        return d.ToString("R", CultureInfo.InvariantCulture).Replace("E", "e");
    }

    static void Quote(string s, StringBuilder to)
    {
        to.Append('"');
        foreach (char c in s)
            switch (c)
            {
                case '"': to.Append("\\\""); break;
                case '\\': to.Append("\\\\"); break;
                case '\n': to.Append("\\n"); break;
                case '\r': to.Append("\\r"); break;
                case '\t': to.Append("\\t"); break;
                case '\b': to.Append("\\b"); break;
                case '\f': to.Append("\\f"); break;
                case < ' ': to.Append($"\\u{(int)c:x4}"); break;
                default: to.Append(c); break;
            }
        to.Append('"');
    }
    static void Python(string s, StringBuilder to)
    {
        char quote = s.Contains('\'') && !s.Contains('"') ? '"' : '\'';
        to.Append(quote);
        foreach (char c in s)
            switch (c)
            {
                case '\\': to.Append("\\\\"); break;
                case '\n': to.Append("\\n"); break;
                case '\r': to.Append("\\r"); break;
                case '\t': to.Append("\\t"); break;
                case < ' ' or '\x7f': to.Append($"\\x{(int)c:x2}"); break;
                default: if (c == quote) to.Append('\\'); to.Append(c); break;
            }
        to.Append(quote);
    }
}
