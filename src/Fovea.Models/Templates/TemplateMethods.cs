using System.Globalization;
namespace Fovea.Models;

/// <summary>Methods of texts and maps, as Python has them.</summary>
static class TemplateMethods
{
    public static object? Call(object? of, TemplateCall call) => of switch
    {
        string s => OfText(s, call),
        TemplateMap m => OfMap(m, call),
        _ => throw call.Place.Bad($"{TemplateValues.Kind(of)} has no method '{call.Name}' that is supported"),
    };

    static object? OfMap(TemplateMap m, TemplateCall call) => call.Name switch
    {
        "get" => m.Items.TryGetValue(call.Only(2, "default").Need(0, "key") ?? "", out var value) ? value : call.Get(1, "default"),
        "items" => TemplateFilters.Items(m, call.Only(0)),
        "keys" => new TemplateList([.. m.Items.Keys]),
        "values" => new TemplateList([.. m.Items.Values]),
        _ => throw call.Place.Bad($"a map has no method '{call.Name}' that is supported"),
    };

    static object? OfText(string s, TemplateCall call)
    {
        call.Run.Make(call.Place, s.Length);
        switch (call.Name)
        {
            case "strip": return call.TextOrNone(0, "chars") is { } both ? s.Trim(both.ToCharArray()) : s.Trim();
            case "lstrip": return call.TextOrNone(0, "chars") is { } left ? s.TrimStart(left.ToCharArray()) : s.TrimStart();
            case "rstrip": return call.TextOrNone(0, "chars") is { } right ? s.TrimEnd(right.ToCharArray()) : s.TrimEnd();
            case "startswith": return Any(call, part => s.StartsWith(part, StringComparison.Ordinal));
            case "endswith": return Any(call, part => s.EndsWith(part, StringComparison.Ordinal));
            case "removeprefix": return call.Text(0, "prefix") is var prefix && s.StartsWith(prefix, StringComparison.Ordinal) ? s[prefix.Length..] : s;
            case "removesuffix": return call.Text(0, "suffix") is { Length: > 0 } suffix && s.EndsWith(suffix, StringComparison.Ordinal) ? s[..^suffix.Length] : s;
            case "upper": return s.ToUpperInvariant();
            case "lower": return s.ToLowerInvariant();
            case "capitalize": return Capital(s);
            case "title": return Title(s);
            case "split": return Split(s, call);
            case "rsplit": return SplitRight(s, call);
            case "splitlines": return new TemplateList([.. (s.EndsWith('\n') ? s[..^1] : s).Split('\n').Where(_ => s.Length > 0)]);
            case "replace": return Replace(s, call);
            case "find": return At(s, s.IndexOf(call.Text(0, "sub"), StringComparison.Ordinal));
            case "rfind": return At(s, s.LastIndexOf(call.Text(0, "sub"), StringComparison.Ordinal));
            case "count": return call.Text(0, "sub") is { Length: > 0 } sub ? (long)(s.Length - s.Replace(sub, "").Length) / sub.Length : s.EnumerateRunes().Count() + 1L;
            case "join": return string.Join(s, Parts(s, call));
            case "isdigit": return s.Length > 0 && s.All(char.IsDigit);
            case "isalpha": return s.Length > 0 && s.All(char.IsLetter);
            case "isspace": return s.Length > 0 && s.All(char.IsWhiteSpace);
            case "isupper": return s.Any(char.IsUpper) && !s.Any(char.IsLower);
            case "islower": return s.Any(char.IsLower) && !s.Any(char.IsUpper);
            default: throw call.Place.Bad($"a text has no method '{call.Name}' that is supported");
        }
    }

    // Places are counted in code points.
    static long At(string s, int index) => index < 0 ? -1 : Count(s.AsSpan(0, index).EnumerateRunes());
    static long Count(System.Text.SpanRuneEnumerator runes) { long n = 0; foreach (var _ in runes) n++; return n; }

    static bool Any(TemplateCall call, Func<string, bool> fits) => call.Need(0, "prefix") switch
    {
        string part => fits(part),
        TemplateList parts => parts.Any(p => p is string part ? fits(part) : throw call.Bad($"of {TemplateValues.Kind(p)}")),
        var x => throw call.Bad($"of {TemplateValues.Kind(x)}, expected a text"),
    };

    static string[] Parts(string s, TemplateCall call)
    {
        var parts = new TemplateEvaluator(call.Run).Each(call.Need(0, "iterable"), call.Place).Select(p => p as string ?? throw call.Bad($"of {TemplateValues.Kind(p)}, expected texts")).ToArray();
        call.Run.Make(call.Place, parts.Sum(p => (long)p.Length + s.Length));
        return parts;
    }

    public static string Replace(string s, TemplateCall call)
    {
        string old = call.Text(0, "old"), by = call.Text(1, "new"); long most = call.Whole(2, "count", -1);
        if (most == 0) return s;
        // Python puts the new text between all characters where the old is empty.
        if (old.Length == 0) throw call.Bad("of an empty text is not supported");
        long found = 0; int at = 0, end = 0;
        while ((most < 0 || found < most) && (at = s.IndexOf(old, at, StringComparison.Ordinal)) >= 0) { found++; at += old.Length; end = at; }
        call.Run.Make(call.Place, s.Length + found * by.Length);
        return string.Concat(s.AsSpan(0, end).ToString().Replace(old, by, StringComparison.Ordinal), s.AsSpan(end));
    }

    static TemplateList Split(string s, TemplateCall call)
    {
        long most = call.Whole(1, "maxsplit", -1); int count = most < 0 || most >= int.MaxValue ? int.MaxValue : (int)most + 1;
        call.Run.Step(call.Place, s.Length);
        if (call.TextOrNone(0, "sep") is { } sep) return sep.Length > 0 ? new(s.Split(sep, count)) : throw call.Bad("by an empty text");
        var words = new List<object?>();
        for (int i = 0; i < s.Length;)
        {
            if (char.IsWhiteSpace(s[i])) { i++; continue; }
            int from = i;
            if (words.Count + 1 >= count) { words.Add(s[from..].TrimEnd()); break; }
            while (i < s.Length && !char.IsWhiteSpace(s[i])) i++;
            words.Add(s[from..i]);
        }
        return new(words);
    }

    static TemplateList SplitRight(string s, TemplateCall call)
    {
        long most = call.Whole(1, "maxsplit", -1); string sep = call.Text(0, "sep");
        if (sep.Length == 0) throw call.Bad("by an empty text");
        call.Run.Step(call.Place, s.Length);
        var parts = s.Split(sep); int keep = most < 0 || most >= parts.Length ? 0 : parts.Length - (int)most;
        return keep == 0 ? new(parts) : new([string.Join(sep, parts[..keep]), .. parts[keep..]]);
    }

    public static string Capital(string s) => s.Length == 0 ? s : s[..1].ToUpperInvariant() + s[1..].ToLowerInvariant();
    public static string Title(string s) => string.Concat(s.Select((c, i) => i > 0 && char.IsLetter(s[i - 1]) ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c)));
}
