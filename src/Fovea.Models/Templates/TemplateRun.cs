using System.Text;
namespace Fovea.Models;

/// <summary>Names and their values; inner ones hide outer ones.</summary>
sealed class TemplateScope(TemplateScope? outer)
{
    readonly Dictionary<string, object?> names = new(StringComparer.Ordinal);
    public object? this[string name] { set => names[name] = value; }
    public bool Find(string name, out object? value)
    {
        for (var s = this; s is not null; s = s.Outer) if (s.names.TryGetValue(name, out value)) return true;
        value = null;
        return false;
    }
    TemplateScope? Outer => outer;
}

/// <summary>
/// Carries a template out. Steps, text and depth are bounded, so that no template hangs or fills the memory: the text that it makes on the way counts as what it writes does.
/// </summary>
sealed class TemplateRun
{
    /// <summary>The most nodes that are carried out, and the most characters that are made.</summary>
    public const long MostSteps = 2_000_000;
    public const int MostText = 16 << 20;
    const int Deepest = 32;
    enum Flow { On, Break, Continue }

    readonly TemplateEvaluator evaluator;
    StringBuilder output = new();
    long steps, text;
    int calls;

    public TemplateRun() => evaluator = new(this);

    public string Render(TemplateNode[] body, TemplateScope scope)
    {
        Body(body, new(scope));
        return output.ToString();
    }

    /// <summary>Counts work; throws where it is too much.</summary>
    public void Step(TemplatePlace place, long n = 1) { if ((steps += n) > MostSteps) throw place.Bad($"the template takes more than {MostSteps} steps"); }
    /// <summary>Counts characters that are made, before they are.</summary>
    public void Make(TemplatePlace place, long characters) { if ((text += characters) > MostText) throw place.Bad($"the template makes more than {MostText} characters"); }

    /// <summary>Throws where what is nested needs more of the stack than there is.</summary>
    public static void Room(TemplatePlace place) { if (!System.Runtime.CompilerServices.RuntimeHelpers.TryEnsureSufficientExecutionStack()) throw place.Bad("the template is nested too deep"); }

    Flow Body(TemplateNode[] body, TemplateScope scope)
    {
        foreach (var node in body)
        {
            Step(node.Place);
            Room(node.Place);
            if (Statement(node, scope) is not Flow.On and var flow) return flow;
        }
        return Flow.On;
    }

    Flow Statement(TemplateNode node, TemplateScope scope)
    {
        switch (node)
        {
            case TemplateNode.Text t: Make(t.Place, t.Value.Length); output.Append(t.Value); break;
            case TemplateNode.Show s: string shown = evaluator.Shown(evaluator.Value(s.Value, scope), s.Place); output.Append(shown); break;
            case TemplateNode.If i:
                foreach (var (when, then) in i.Branches) if (when is null || TemplateValues.Truth(evaluator.Value(when, scope))) return Body(then, scope);
                break;
            case TemplateNode.For f: return Loop(f, scope);
            case TemplateNode.Set s: Set(s, scope); break;
            case TemplateNode.Macro m: scope[m.Name] = new TemplateFunction(m.Name, call => Call(m, scope, call)); break;
            case TemplateNode.Block b: return Body(b.Body, scope);
            case TemplateNode.Leave l: return l.Loop ? Flow.Break : Flow.Continue;
        }
        return Flow.On;
    }

    void Set(TemplateNode.Set s, TemplateScope scope)
    {
        object? value = s.Value is not null ? evaluator.Value(s.Value, scope) : Captured(s.Body, new(scope));
        if (s.Member is not null)
        {
            if (!scope.Find(s.Names[0], out var target) || target is not TemplateMap { IsNamespace: true } map) throw s.Place.Bad($"'{s.Names[0]}' is not a namespace");
            map.Items[s.Member] = value;
        }
        else Bind(s.Names, value, scope, s.Place);
    }

    void Bind(string[] names, object? value, TemplateScope scope, TemplatePlace place)
    {
        if (names.Length == 1) { scope[names[0]] = value; return; }
        if (value is not TemplateList l || l.Count != names.Length) throw place.Bad($"{names.Length} names for {(value is TemplateList x ? $"a list of {x.Count}" : TemplateValues.Kind(value))}");
        for (int i = 0; i < names.Length; i++) scope[names[i]] = l[i];
    }

    Flow Loop(TemplateNode.For f, TemplateScope scope)
    {
        var all = evaluator.Each(evaluator.Value(f.Over, scope), f.Place);
        if (f.Where is not null)
            all = [.. all.Where(item =>
            {
                Step(f.Place);
                var inner = new TemplateScope(scope);
                Bind(f.Names, item, inner, f.Place);
                return TemplateValues.Truth(evaluator.Value(f.Where, inner));
            })];
        if (all.Count == 0) return Body(f.Else, scope);
        for (int i = 0; i < all.Count; i++)
        {
            Step(f.Place, 12);
            var inner = new TemplateScope(scope);
            Bind(f.Names, all[i], inner, f.Place);
            inner["loop"] = State(all, i);
            if (Body(f.Body, inner) == Flow.Break) break;
        }
        return Flow.On;
    }

    static TemplateMap State(IReadOnlyList<object?> all, int i) => TemplateValues.Map(
    [
        ("index", i + 1L), ("index0", (long)i), ("revindex", (long)all.Count - i), ("revindex0", all.Count - i - 1L), ("first", i == 0), ("last", i == all.Count - 1), ("length", (long)all.Count),
        ("previtem", i > 0 ? all[i - 1] : new TemplateUndefined("previtem")), ("nextitem", i + 1 < all.Count ? all[i + 1] : new TemplateUndefined("nextitem")),
        ("cycle", new TemplateFunction("cycle", call => call.Plain.Length > 0 ? call.Plain[i % call.Plain.Length] : throw call.Bad("has nothing to choose from"))),
    ]);

    string Captured(TemplateNode[] body, TemplateScope scope)
    {
        var before = output;
        output = new();
        try { Body(body, scope); return output.ToString(); }
        finally { output = before; }
    }

    string Call(TemplateNode.Macro m, TemplateScope scope, TemplateCall call)
    {
        if (++calls > Deepest) throw call.Bad($"calls itself more than {Deepest} deep");
        call.Only(m.Parameters.Length, [.. m.Parameters.Select(p => p.Name)]);
        var inner = new TemplateScope(scope);
        for (int i = 0; i < m.Parameters.Length; i++)
        {
            var (name, usual) = m.Parameters[i]; var missing = new TemplateUndefined(name);
            object? value = call.Get(i, name, missing);
            inner[name] = ReferenceEquals(value, missing) && usual is not null ? evaluator.Value(usual, inner) : value;
        }
        string written = Captured(m.Body, inner);
        calls--;
        return written;
    }
}
