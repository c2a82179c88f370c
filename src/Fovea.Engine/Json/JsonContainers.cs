namespace Fovea.Engine;

/// <summary>An object: the named members in any order, those that are required in any case, or members of any name.</summary>
sealed class ObjectForm(IReadOnlyList<(string Name, JsonForm Value)> members, IReadOnlySet<int> required, JsonForm? others) : JsonForm
{
    public override void Step(byte b, Reading? rest, List<Reading> into) { if (b == '{') Then(Space.Some, new(new Members(this, [], first: true), rest), into); }

    // After the brace or a member, before a name, a comma or the closing brace.
    sealed class Members(ObjectForm form, System.Collections.Immutable.ImmutableHashSet<int> seen, bool first, bool named = false) : JsonForm
    {
        readonly ObjectForm of = form;
        public override void Step(byte b, Reading? rest, List<Reading> into)
        {
            if (named || first) Names(b, rest, into);
            if (named) return;
            if (b == '}' && of.Required.IsSubsetOf(seen)) Then(null, rest, into);
            // A comma promises another member, so one must be left.
            else if (b == ',' && !first && (of.Others is not null || seen.Count < of.All.Count)) Then(Space.Some, new(new Members(of, seen, false, named: true), rest), into);
        }

        void Names(byte b, Reading? rest, List<Reading> into)
        {
            if (b != '"') return;
            Reading After(JsonForm value, System.Collections.Immutable.ImmutableHashSet<int> then) => new(Space.Some, new(Literal.Of(":"), new(Space.Some, new(value, new(Space.Some, new(new Members(of, then, false), rest))))));
            for (int i = 0; i < of.All.Count && into.Count < JsonConstraint.MostWays; i++)
                if (!seen.Contains(i)) Literal.Of(System.Text.Json.JsonSerializer.Serialize(of.All[i].Name, JsonSchema.Plain)).Step(b, After(of.All[i].Value, seen.Add(i)), into);
            if (of.Others is { } any) new StringForm().Step(b, After(any, seen), into);
        }
    }
    IReadOnlyList<(string Name, JsonForm Value)> All => members;
    IReadOnlySet<int> Required => required;
    JsonForm? Others => others;
}

/// <summary>An array of least to most items.</summary>
sealed class ArrayForm(JsonForm item, int least = 0, int most = int.MaxValue) : JsonForm
{
    public override void Step(byte b, Reading? rest, List<Reading> into) { if (b == '[') Then(Space.Some, new(new Items(item, least, most, first: true), rest), into); }

    sealed class Items(JsonForm item, int least, int most, bool first, bool begun = false) : JsonForm
    {
        public override void Step(byte b, Reading? rest, List<Reading> into)
        {
            if ((first || begun) && most > 0) item.Step(b, new(Space.Some, new(new Items(item, Math.Max(0, least - 1), most == int.MaxValue ? most : most - 1, false), rest)), into);
            if (begun) return;
            if (b == ']' && least == 0) Then(null, rest, into);
            else if (b == ',' && !first && most > 0) Then(Space.Some, new(new Items(item, least, most, false, begun: true), rest), into);
        }
    }
}

/// <summary>Any JSON value, nested up to a depth.</summary>
sealed class AnyForm(int depth = 0) : JsonForm
{
    const int Deepest = 24;
    public static AnyForm Instance { get; } = new();
    static readonly JsonForm[] plain = [new StringForm(), new NumberForm(whole: false), Literal.Of("true"), Literal.Of("false"), Literal.Of("null")];
    public override void Step(byte b, Reading? rest, List<Reading> into)
    {
        foreach (var f in plain) f.Step(b, rest, into);
        if (depth >= Deepest) return;
        if (b == '{') new ObjectForm([], new HashSet<int>(), new AnyForm(depth + 1)).Step(b, rest, into);
        if (b == '[') new ArrayForm(new AnyForm(depth + 1)).Step(b, rest, into);
    }
}
