using System.Text;
namespace Fovea.Models;

/// <summary>Values of expressions.</summary>
sealed class TemplateEvaluator(TemplateRun run)
{
    /// <summary>The text that {{ }} writes.</summary>
    public string Shown(object? x, TemplatePlace place)
    {
        string text;
        if (x is string s) text = s;
        else
        {
            var to = new StringBuilder();
            try { TemplateValues.Write(x, to); } catch (InvalidDataException e) { throw place.Bad(e.Message); }
            text = to.ToString();
        }
        run.Make(place, text.Length);
        return text;
    }

    /// <summary>What a loop goes over: items, keys, or characters.</summary>
    public IReadOnlyList<object?> Each(object? x, TemplatePlace place)
    {
        IReadOnlyList<object?> all = x switch
        {
            TemplateList l => l,
            TemplateMap { IsNamespace: false } m => [.. m.Items.Keys],
            string s => [.. s.EnumerateRunes().Select(r => r.ToString())],
            TemplateUndefined => [],
            _ => throw place.Bad($"{TemplateValues.Kind(x)} cannot be gone over"),
        };
        run.Step(place, all.Count);
        return all;
    }

    public object? Value(TemplateExpr e, TemplateScope scope)
    {
        run.Step(e.Place);
        TemplateRun.Room(e.Place);
        switch (e)
        {
            case TemplateExpr.Constant c: return c.Value;
            case TemplateExpr.Name n: return scope.Find(n.Id, out var found) ? found : new TemplateUndefined(n.Id);
            case TemplateExpr.Items l: return new TemplateList([.. l.Parts.Select(p => Value(p, scope))], l.IsTuple);
            case TemplateExpr.Map m:
                var made = new TemplateMap();
                foreach (var (key, item) in m.Parts) made.Items[Value(key, scope) is { } k and (string or long or double or bool) ? k : throw key.Place.Bad("a key of a map is a text, a number or a boolean")] = Value(item, scope);
                return made;
            case TemplateExpr.Member m: return Member(m, Value(m.Of, scope), Value(m.Key, scope));
            case TemplateExpr.Slice s: return Slice(s, Value(s.Of, scope), Bound(s.From, scope), Bound(s.To, scope), Bound(s.Step, scope) ?? 1);
            case TemplateExpr.Call c: return Call(c, scope);
            case TemplateExpr.Filter f: return TemplateFilters.Apply(Value(f.Of, scope), With(f.Place, f.Id, f.With, scope));
            case TemplateExpr.Test t: return TemplateFilters.Holds(Value(t.Of, scope), With(t.Place, t.Id, t.With, scope)) != t.Negated;
            case TemplateExpr.Choice c: return TemplateValues.Truth(Value(c.If, scope)) ? Value(c.Then, scope) : c.Else is null ? new TemplateUndefined("") : Value(c.Else, scope);
            case TemplateExpr.Unary u: return Unary(u, Value(u.Of, scope));
            case TemplateExpr.Binary { Sign: "and" } b: return Value(b.Left, scope) is var left && TemplateValues.Truth(left) ? Value(b.Right, scope) : left;
            case TemplateExpr.Binary { Sign: "or" } b: return Value(b.Left, scope) is var first && TemplateValues.Truth(first) ? first : Value(b.Right, scope);
            case TemplateExpr.Binary b: return TemplateArithmetic.Apply(run, this, b, Value(b.Left, scope), Value(b.Right, scope));
            default: throw e.Place.Bad("this expression is not supported");
        }
    }

    long? Bound(TemplateExpr? e, TemplateScope scope) => e is null ? null : Value(e, scope) switch { null => null, long n => n, var x => throw e.Place.Bad($"a bound of a slice is {TemplateValues.Kind(x)}, expected a whole number") };

    TemplateCall With(TemplatePlace place, string name, TemplateExpr.Arguments with, TemplateScope scope) =>
        new(run, place, name, [.. with.Plain.Select(a => Value(a, scope))], [.. with.Named.Select(a => (a.Name, Value(a.Value, scope)))]);

    object? Call(TemplateExpr.Call c, TemplateScope scope)
    {
        // A method is looked for where its name follows a value that has none by it.
        if (c.Of is TemplateExpr.Member { Key: TemplateExpr.Constant { Value: string method } } m)
        {
            object? of = Value(m.Of, scope);
            if (of is TemplateMap map && map.Items.TryGetValue(method, out var item) && item is TemplateFunction f) return f.Invoke(With(c.Place, method, c.With, scope));
            if (of is TemplateUndefined u) throw m.Place.Bad($"'{u.Name}' is undefined");
            return TemplateMethods.Call(of, With(c.Place, method, c.With, scope));
        }
        object? function = Value(c.Of, scope); string name = c.Of is TemplateExpr.Name n ? n.Id : "this";
        return function is TemplateFunction g ? g.Invoke(With(c.Place, g.Name, c.With, scope)) : throw c.Place.Bad($"'{name}' is {TemplateValues.Kind(function)}, expected a function");
    }

    static object? Member(TemplateExpr.Member m, object? of, object? key)
    {
        switch (of, key)
        {
            case (TemplateUndefined u, _): throw m.Place.Bad($"'{u.Name}' is undefined");
            case (TemplateMap map, string or long or double or bool): return map.Items.TryGetValue(key, out var value) ? value : new TemplateUndefined($"{key}");
            case (TemplateList list, long i): return (i < 0 ? i + list.Count : i) is var at && at >= 0 && at < list.Count ? list[(int)at] : new TemplateUndefined($"[{i}]");
            case (string s, long i):
                var runes = s.EnumerateRunes().ToArray();
                return (i < 0 ? i + runes.Length : i) is var k && k >= 0 && k < runes.Length ? runes[k].ToString() : new TemplateUndefined($"[{i}]");
            default: return new TemplateUndefined(key as string ?? "");
        }
    }

    object? Slice(TemplateExpr.Slice s, object? of, long? from, long? to, long step)
    {
        if (step == 0 || Math.Abs((double)step) > int.MaxValue) throw s.Place.Bad("the step of a slice is 0 or too large");
        var all = of is string or TemplateList ? Each(of, s.Place) : throw s.Place.Bad($"{TemplateValues.Kind(of)} cannot be sliced");
        int n = all.Count; var part = new List<object?>();
        long Inside(long? x, long usual, long low, long high) => x is null ? usual : Math.Clamp(x < 0 ? x.Value + n : x.Value, low, high);
        if (step > 0) for (long i = Inside(from, 0, 0, n), end = Inside(to, n, 0, n); i < end; i += step) part.Add(all[(int)i]);
        else for (long i = Inside(from, n - 1, -1, n - 1), end = Inside(to, -1, -1, n - 1); i > end; i += step) part.Add(all[(int)i]);
        if (of is not string) return new TemplateList(part);
        string text = string.Concat(part);
        run.Make(s.Place, text.Length);
        return text;
    }

    static object? Unary(TemplateExpr.Unary u, object? x) => (u.Sign, x) switch
    {
        ("not", _) => !TemplateValues.Truth(x),
        ("-", long n) when n != long.MinValue => -n,
        ("-", double d) => -d,
        ("+", long or double) => x,
        _ => throw u.Place.Bad($"'{u.Sign}' of {TemplateValues.Kind(x)}"),
    };
}

/// <summary>What stands between two values.</summary>
static class TemplateArithmetic
{
    public static object? Apply(TemplateRun run, TemplateEvaluator evaluator, TemplateExpr.Binary b, object? x, object? y)
    {
        switch (b.Sign)
        {
            case "==": return TemplateValues.Same(x, y);
            case "!=": return !TemplateValues.Same(x, y);
            case "in": return Holds(b, y, x, run);
            case "not in": return !Holds(b, y, x, run);
            case "~": return evaluator.Shown(x, b.Place) + evaluator.Shown(y, b.Place);
            case "<" or "<=" or ">" or ">=": return Compare(b, x, y);
        }
        if (x is string s && y is string t && b.Sign == "+") { run.Make(b.Place, (long)s.Length + t.Length); return s + t; }
        if (x is TemplateList l && y is TemplateList m && b.Sign == "+") { run.Make(b.Place, 8L * (l.Count + m.Count)); return new TemplateList([.. l, .. m]); }
        if (x is string repeated && y is long times && b.Sign == "*") { run.Make(b.Place, Math.Max(0, Math.Min(times, int.MaxValue)) * repeated.Length); return times <= 0 ? "" : string.Concat(Enumerable.Repeat(repeated, (int)times)); }
        if (x is long or bool && y is long or bool && b.Sign != "/") return Whole(b, TemplateValues.Long(x), TemplateValues.Long(y));
        if (TemplateValues.Number(x) is not { } a || TemplateValues.Number(y) is not { } c) throw b.Place.Bad($"'{b.Sign}' between {TemplateValues.Kind(x)} and {TemplateValues.Kind(y)}");
        if (c == 0 && b.Sign is "/" or "//" or "%") throw b.Place.Bad("a division by zero");
        return b.Sign switch { "+" => a + c, "-" => a - c, "*" => a * c, "/" => a / c, "//" => Math.Floor(a / c), "%" => a - c * Math.Floor(a / c), _ => Math.Pow(a, c) };
    }

    static object Whole(TemplateExpr.Binary b, long x, long y)
    {
        try
        {
            checked
            {
                switch (b.Sign)
                {
                    case "+": return x + y;
                    case "-": return x - y;
                    case "*": return x * y;
                    case "//" or "%" when y == 0: throw b.Place.Bad("a division by zero");
                    case "//": return x / y - (x % y != 0 && x < 0 != y < 0 ? 1 : 0);
                    case "%": return y == -1 ? 0 : (x % y + y) % y;
                    case "**" when y < 0: return Math.Pow(x, y);
                    default:
                        long power = 1;
                        for (long i = 0; i < y; i++) { power *= x; if (power is 0 or 1 && i > 1) return power; if (i > 64 && x == -1) return y % 2 == 0 ? 1L : -1L; }
                        return power;
                }
            }
        }
        catch (OverflowException) { throw b.Place.Bad("a number that is too large"); }
    }

    static bool Compare(TemplateExpr.Binary b, object? x, object? y)
    {
        int order = (x, y) switch
        {
            (string s, string t) => string.CompareOrdinal(s, t),
            (long m, long n) => m.CompareTo(n),
            _ when TemplateValues.Number(x) is { } p && TemplateValues.Number(y) is { } q => double.IsNaN(p) || double.IsNaN(q) ? 2 : p.CompareTo(q),
            _ => throw b.Place.Bad($"'{b.Sign}' between {TemplateValues.Kind(x)} and {TemplateValues.Kind(y)}"),
        };
        return order != 2 && b.Sign switch { "<" => order < 0, "<=" => order <= 0, ">" => order > 0, _ => order >= 0 };
    }

    static bool Holds(TemplateExpr.Binary b, object? of, object? x, TemplateRun run)
    {
        if (of is TemplateList l) run.Step(b.Place, l.Count);
        return of switch
        {
            TemplateList list => list.Any(i => TemplateValues.Same(i, x)),
            TemplateMap m => x is string or long or double or bool && m.Items.ContainsKey(x),
            string s => x is string part ? s.Contains(part, StringComparison.Ordinal) : throw b.Place.Bad($"'in' a text of {TemplateValues.Kind(x)}"),
            TemplateUndefined => false,
            _ => throw b.Place.Bad($"'in' {TemplateValues.Kind(of)}"),
        };
    }
}
