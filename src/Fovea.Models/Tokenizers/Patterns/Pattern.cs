namespace Fovea.Models;

enum PatternOp { Set, Loop, Split, Jump, Ahead, NotAhead, Behind, NotBehind, Edge, Match }

/// <summary>
/// A step of a compiled pattern. Split tries A and then B; Loop reads between A and B characters, as many as there are, and gives back unless Keep; looking ahead runs from the next step to a Match and goes
/// on at A.
/// </summary>
readonly record struct PatternStep(PatternOp Op, CharSet Chars, int A = 0, int B = 0, bool Keep = false);

/// <summary>A regular expression over code points. The leftmost match wins, and of those the first alternative, as in Perl.</summary>
sealed class Pattern
{
    const int Largest = 20_000;
    readonly List<PatternStep> steps = [];

    Pattern(string text)
    {
        Text = text;
        var tree = new PatternParser(text).Parse();
        var alternatives = tree is PatternNode.Choice c ? c.Parts : [tree];
        Starts = new (int, CharSet?)[alternatives.Length];
        for (int i = 0; i < alternatives.Length; i++)
        {
            Starts[i] = (steps.Count, alternatives[i].Empty ? null : First(alternatives[i]));
            Compile(alternatives[i]); Emit(PatternOp.Match);
        }
        Steps = [.. steps];
    }

    /// <summary>Compiles a pattern; what is not supported is an <see cref="InvalidDataException"/>.</summary>
    public static Pattern Parse(string text) => new(text);

    public string Text { get; }
    public PatternStep[] Steps { get; }
    /// <summary>Where each alternative begins, and a set that holds every character it can begin with (none where it can begin with nothing).</summary>
    public (int At, CharSet? First)[] Starts { get; }

    void Emit(PatternOp op, CharSet? chars = null, int a = 0, int b = 0, bool keep = false)
    {
        if (steps.Count == Largest) throw new InvalidDataException($"pattern '{Text[..Math.Min(Text.Length, 60)]}' has more than {Largest} steps");
        steps.Add(new(op, chars ?? CharSet.Any, a, b, keep));
    }

    void Compile(PatternNode node)
    {
        switch (node)
        {
            case PatternNode.Set s: Emit(PatternOp.Set, s.Chars); break;
            case PatternNode.Sequence s: foreach (var part in s.Parts) Compile(part); break;
            case PatternNode.Choice c: Choice(c.Parts); break;
            case PatternNode.Repeat { Body: PatternNode.Set s, Mode: not '?' } r: Emit(PatternOp.Loop, s.Chars, r.Min, r.Max, r.Mode == '+'); break;
            case PatternNode.Repeat r: Repeat(r); break;
            case PatternNode.Look { Ahead: false, Body: PatternNode.Set s } l: Emit(l.Negated ? PatternOp.NotBehind : PatternOp.Behind, s.Chars); break;
            case PatternNode.Look l:
                int at = steps.Count;
                Emit(l.Negated ? PatternOp.NotAhead : PatternOp.Ahead); Compile(l.Body); Emit(PatternOp.Match);
                steps[at] = steps[at] with { A = steps.Count };
                break;
            case PatternNode.Edge e: Emit(PatternOp.Edge, a: e.Kind); break;
        }
    }

    void Choice(PatternNode[] parts)
    {
        var ends = new List<int>();
        for (int i = 0; i < parts.Length; i++)
        {
            int split = steps.Count;
            if (i + 1 < parts.Length) Emit(PatternOp.Split, a: split + 1);
            Compile(parts[i]);
            if (i + 1 == parts.Length) break;
            ends.Add(steps.Count); Emit(PatternOp.Jump);
            steps[split] = steps[split] with { B = steps.Count };
        }
        foreach (int end in ends) steps[end] = steps[end] with { A = steps.Count };
    }

    void Repeat(PatternNode.Repeat r)
    {
        bool lazy = r.Mode == '?';
        for (int i = 0; i < r.Min; i++) Compile(r.Body);
        if (r.Max == int.MaxValue)
        {
            int split = steps.Count;
            Emit(PatternOp.Split); Compile(r.Body); Emit(PatternOp.Jump, a: split);
            Aim(split, lazy);
            return;
        }
        var splits = new List<int>();
        for (int i = r.Min; i < r.Max; i++) { splits.Add(steps.Count); Emit(PatternOp.Split); Compile(r.Body); }
        foreach (int split in splits) Aim(split, lazy);
    }
    void Aim(int split, bool lazy) => steps[split] = steps[split] with { A = lazy ? steps.Count : split + 1, B = lazy ? split + 1 : steps.Count };

    /// <summary>What a node can begin with: null where that is not known.</summary>
    static CharSet? First(PatternNode node) => node switch
    {
        PatternNode.Set s => s.Chars,
        PatternNode.Choice c => Join(c.Parts),
        PatternNode.Repeat { Min: > 0 } r => First(r.Body),
        PatternNode.Sequence s => Join([.. s.Parts.Take(1 + Array.FindIndex(s.Parts, p => !p.Empty) is var n and > 0 ? n : 0)]),
        PatternNode.Repeat r when r.Body is PatternNode.Set s => s.Chars,
        _ => null,
    };
    static CharSet? Join(PatternNode[] parts)
    {
        var sets = parts.Select(First).ToArray();
        return parts.Length == 0 || sets.Contains(null) ? null : new([new(0, [], [.. sets.OfType<CharSet>()])], false);
    }
}
