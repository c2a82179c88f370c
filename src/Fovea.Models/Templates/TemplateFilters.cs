using System.Globalization;
using System.Text;
namespace Fovea.Models;

/// <summary>Filters and tests.</summary>
static class TemplateFilters
{
    public static object? Apply(object? x, TemplateCall call)
    {
        switch (call.Name)
        {
            case "default" or "d": return x is TemplateUndefined || (call.Flag(1, "boolean", false) && !TemplateValues.Truth(x)) ? call.Get(0, "default_value", "") : x;
            case "trim": return call.Only(1, "chars").TextOrNone(0, "chars") is { } chars ? Text(x, call).Trim(chars.ToCharArray()) : Text(x, call).Trim();
            case "upper": return Text(x, call).ToUpperInvariant();
            case "lower": return Text(x, call).ToLowerInvariant();
            case "capitalize": return TemplateMethods.Capital(Text(x, call));
            case "title": return TemplateMethods.Title(Text(x, call));
            case "string": return Text(x, call);
            case "safe": return Text(x, call);
            case "escape" or "e": return Made(call, Text(x, call).Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;").Replace("'", "&#39;").Replace("\"", "&#34;"));
            case "replace": return TemplateMethods.Replace(Text(x, call), call);
            case "length" or "count": return x is TemplateMap map ? map.Items.Count : x is string s ? s.EnumerateRunes().Count() : (long)List(x, call).Count;
            case "first": return List(x, call) is [var first, ..] ? first : new TemplateUndefined("first");
            case "last": return List(x, call) is [.., var last] ? last : new TemplateUndefined("last");
            case "list": return new TemplateList(List(x, call));
            case "items": return x is TemplateUndefined ? new TemplateList([]) : Items(x, call);
            case "dictsort": return new TemplateList([.. Items(x, call).OrderBy(i => ((TemplateList)i!)[0] as string, StringComparer.OrdinalIgnoreCase)]);
            case "reverse": return x is string t ? string.Concat(List(t, call).Reverse()) : new TemplateList([.. List(x, call).Reverse()]);
            case "join": return Join(x, call);
            case "unique": return new TemplateList(Unique(List(x, call), call));
            case "sort": return Sorted(x, call);
            case "min": return List(x, call) is { Count: > 0 } l ? Ordered(l, call)[0] : new TemplateUndefined("min");
            case "max": return List(x, call) is { Count: > 0 } m ? Ordered(m, call)[^1] : new TemplateUndefined("max");
            case "sum": return List(x, call).Aggregate((object?)0L, (a, b) => (a, b) switch { (long p, long q) => (object?)(p + q), _ when TemplateValues.Number(a) is { } p && TemplateValues.Number(b) is { } q => p + q, _ => throw call.Bad($"of {TemplateValues.Kind(b)}") });
            case "abs": return x switch { long n when n != long.MinValue => Math.Abs(n), double d => Math.Abs(d), _ => throw call.Bad($"of {TemplateValues.Kind(x)}") };
            case "int": return Int(x, call);
            case "float": return TemplateValues.Number(x) ?? (x is string f && double.TryParse(f, NumberStyles.Float, CultureInfo.InvariantCulture, out double parsed) ? parsed : call.Get(0, "default", 0.0));
            case "round": return TemplateValues.Number(x) is { } number ? Math.Round(number, (int)Math.Clamp(call.Whole(0, "precision", 0), 0, 15), MidpointRounding.ToEven) : throw call.Bad($"of {TemplateValues.Kind(x)}");
            case "tojson": return Json(x, call);
            case "indent": return Indented(Text(x, call), call);
            case "map": return Mapped(x, call);
            case "select": return Chosen(x, call, 0, wanted: true, attribute: false);
            case "reject": return Chosen(x, call, 0, wanted: false, attribute: false);
            case "selectattr": return Chosen(x, call, 1, wanted: true, attribute: true);
            case "rejectattr": return Chosen(x, call, 1, wanted: false, attribute: true);
            default: throw call.Place.Bad($"the filter '{call.Name}' is not supported");
        }
    }

    /// <summary>Whether a test holds.</summary>
    public static bool Holds(object? x, TemplateCall call) => call.Name switch
    {
        "defined" => x is not TemplateUndefined,
        "undefined" => x is TemplateUndefined,
        "none" => x is null,
        "string" => x is string,
        "mapping" => x is TemplateMap,
        "sequence" => x is TemplateList or string or TemplateMap,
        "iterable" => x is TemplateList or string or TemplateMap or TemplateUndefined,
        "number" => x is long or double or bool,
        "integer" => x is long,
        "float" => x is double,
        "boolean" => x is bool,
        "true" => x is true,
        "false" => x is false,
        "callable" => x is TemplateFunction,
        "odd" => x is long n ? n % 2 != 0 : throw call.Bad($"of {TemplateValues.Kind(x)}"),
        "even" => x is long m ? m % 2 == 0 : throw call.Bad($"of {TemplateValues.Kind(x)}"),
        "divisibleby" => x is long p && call.Whole(0, "num", 0) is not 0 and var q ? q == -1 || p % q == 0 : throw call.Bad($"of {TemplateValues.Kind(x)}"),
        "equalto" or "eq" or "==" or "sameas" => TemplateValues.Same(x, call.Need(0, "other")),
        "ne" or "!=" => !TemplateValues.Same(x, call.Need(0, "other")),
        "lower" => x is string s && s == s.ToLowerInvariant(),
        "upper" => x is string t && t == t.ToUpperInvariant(),
        "in" => call.Need(0, "seq") switch
        {
            string whole when x is string part => whole.Contains(part, StringComparison.Ordinal),
            TemplateMap map => x is string or long or double or bool && map.Items.ContainsKey(x),
            var of => List(of, call).Any(i => TemplateValues.Same(i, x)),
        },
        _ => throw call.Place.Bad($"the test '{call.Name}' is not supported"),
    };

    static string Text(object? x, TemplateCall call)
    {
        if (x is not string s)
        {
            var to = new StringBuilder();
            try { TemplateValues.Write(x, to); } catch (InvalidDataException e) { throw call.Bad(e.Message); }
            s = to.ToString();
        }
        return Made(call, s);
    }
    static string Made(TemplateCall call, string text) { call.Run.Make(call.Place, text.Length); return text; }
    static IReadOnlyList<object?> List(object? x, TemplateCall call) => new TemplateEvaluator(call.Run).Each(x, call.Place);

    public static TemplateList Items(object? x, TemplateCall call)
    {
        if (x is not TemplateMap map) throw call.Bad($"of {TemplateValues.Kind(x)}, expected a map");
        call.Run.Step(call.Place, map.Items.Count);
        return new([.. map.Items.Select(p => new TemplateList([p.Key, p.Value], isTuple: true))]);
    }

    static string Join(object? x, TemplateCall call)
    {
        string between = call.TextOrNone(0, "d") ?? ""; string? key = call.TextOrNone(1, "attribute");
        var parts = List(x, call).Select(p => Text(key is null ? p : Attribute(p, key), call)).ToArray();
        call.Run.Make(call.Place, (long)between.Length * parts.Length);
        return string.Join(between, parts);
    }

    static object? Attribute(object? x, string key)
    {
        foreach (string part in key.Split('.'))
            x = x is TemplateMap m && m.Items.TryGetValue(part, out var value) ? value : x is TemplateList l && int.TryParse(part, CultureInfo.InvariantCulture, out int i) && (uint)i < (uint)l.Count ? l[i] : new TemplateUndefined(part);
        return x;
    }

    static TemplateList Mapped(object? x, TemplateCall call)
    {
        if (!TemplateValues.Truth(x)) return new([]);
        if (call.Plain is [string filter, .. var rest]) return new([.. List(x, call).Select(p => Apply(p, new(call.Run, call.Place, filter, rest, call.Named)))]);
        string key = call.Only(0, "attribute", "default").Text(0, "attribute"); var none = new TemplateUndefined("default"); object? usual = call.Get(1, "default", none);
        return new([.. List(x, call).Select(p => Attribute(p, key) is var value && value is TemplateUndefined && !ReferenceEquals(usual, none) ? usual : value)]);
    }

    static TemplateList Chosen(object? x, TemplateCall call, int skip, bool wanted, bool attribute)
    {
        if (!TemplateValues.Truth(x)) return new([]);
        string? key = attribute ? call.Text(0, "attribute") : null;
        string? test = call.Plain.Length > skip ? call.Plain[skip] as string ?? throw call.Bad("names no test") : null;
        return new([.. List(x, call).Where(p =>
        {
            object? value = key is null ? p : Attribute(p, key);
            bool holds = test is null ? TemplateValues.Truth(value) : Holds(value, new(call.Run, call.Place, test, call.Plain[(skip + 1)..], []));
            return holds == wanted;
        })]);
    }

    static List<object?> Unique(IReadOnlyList<object?> list, TemplateCall call)
    {
        var seen = new List<object?>();
        foreach (var x in list) { call.Run.Step(call.Place, seen.Count); if (!seen.Any(s => TemplateValues.Same(s, x))) seen.Add(x); }
        return seen;
    }

    static TemplateList Sorted(object? x, TemplateCall call)
    {
        string? key = call.TextOrNone(2, "attribute");
        var sorted = Ordered(List(x, call), call, key);
        return new(call.Flag(0, "reverse", false) ? [.. sorted.Reverse()] : sorted);
    }

    /// <summary>Texts by letters of either case, or numbers; a mixture has no order.</summary>
    static object?[] Ordered(IReadOnlyList<object?> list, TemplateCall call, string? key = null)
    {
        var keyed = list.Select(p => (Item: p, Key: key is null ? p : Attribute(p, key))).ToArray();
        if (keyed.All(k => k.Key is string)) return [.. keyed.OrderBy(k => (string)k.Key!, StringComparer.OrdinalIgnoreCase).Select(k => k.Item)];
        foreach (var k in keyed) if (TemplateValues.Number(k.Key) is null) throw call.Bad($"has no order for {TemplateValues.Kind(k.Key)} among others, expected texts or numbers");
        return [.. keyed.OrderBy(k => TemplateValues.Number(k.Key)).Select(k => k.Item)];
    }

    static object? Int(object? x, TemplateCall call) => x switch
    {
        long or bool => TemplateValues.Long(x),
        double d when Math.Abs(d) < 9e18 => (long)d,
        string s when long.TryParse(s.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long n) => n,
        string s when double.TryParse(s, NumberStyles.Float, CultureInfo.InvariantCulture, out double d) && Math.Abs(d) < 9e18 => (long)d,
        _ => call.Get(0, "default", 0L),
    };

    static string Json(object? x, TemplateCall call)
    {
        var to = new StringBuilder();
        call.Only(1, "indent", "ensure_ascii", "sort_keys", "separators");
        if (call.Flag(9, "ensure_ascii", false) || call.Flag(9, "sort_keys", false) || call.Get(9, "separators") is not null) throw call.Bad("with ensure_ascii, sort_keys or separators is not supported");
        long indent = call.Get(0, "indent") is null ? 0 : call.Whole(0, "indent", 0);
        try { TemplateValues.Show(x, to, 0, (int)Math.Clamp(indent, 0, 16)); } catch (InvalidDataException e) { throw call.Bad(e.Message); }
        return Made(call, to.ToString());
    }

    static string Indented(string s, TemplateCall call)
    {
        string by = call.Get(0, "width", 4L) is string given ? given : new(' ', (int)Math.Clamp(call.Whole(0, "width", 4), 0, 1000)); bool first = call.Flag(1, "first", false), blank = call.Flag(2, "blank", false);
        call.Run.Make(call.Place, (long)by.Length * (1 + s.Count(c => c == '\n')));
        return string.Join('\n', s.Split('\n').Select((line, i) => i == 0 ? (first ? by + line : line) : line.Length == 0 && !blank ? line : by + line));
    }
}
