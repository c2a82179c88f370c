namespace Fovea.Models;

/// <summary>
/// Matches patterns against one text. What a match may cost is bounded: a pattern that goes back and forth for longer is an <see cref="InvalidDataException"/>, not a hang.
/// </summary>
sealed class PatternRun
{
    const long Free = 50_000_000, PerCharacter = 500;
    (int Step, int At, int Least)[] stack = new (int, int, int)[64];
    int depth;
    long left = Free;

    /// <summary>The first match at or behind <paramref name="from"/>: its start and end, or false.</summary>
    public bool Find(Pattern pattern, ReadOnlySpan<int> text, int from, out int start, out int end)
    {
        for (start = from; start <= text.Length; start++)
        {
            left += PerCharacter;
            foreach (var (at, first) in pattern.Starts)
            {
                if (first is not null && (start == text.Length || !first.Has(text[start]))) continue;
                depth = 0;
                end = Run(pattern, text, at, start);
                if (end >= 0) return true;
            }
        }
        start = end = text.Length;
        return false;
    }

    /// <summary>Where the match from a step ends, or −1; the stack above depth is its own.</summary>
    int Run(Pattern pattern, ReadOnlySpan<int> text, int step, int at)
    {
        int bottom = depth; var steps = pattern.Steps;
        while (true)
        {
            if (--left < 0) throw new InvalidDataException($"pattern '{pattern.Text[..Math.Min(pattern.Text.Length, 60)]}' takes too long for this text");
            ref readonly var s = ref steps[step];
            bool go = true;
            switch (s.Op)
            {
                case PatternOp.Set: go = at < text.Length && s.Chars.Has(text[at]); at++; step++; break;
                case PatternOp.Loop:
                    int n = 0, most = Math.Min(s.B, text.Length - at);
                    while (n < most && s.Chars.Has(text[at + n])) n++;
                    left -= n; step++;
                    if (n < s.A) { go = false; break; }
                    if (n > s.A && !s.Keep) Push(step, at + n - 1, at + s.A);
                    at += n;
                    break;
                case PatternOp.Split: Push(s.B, at, at); step = s.A; break;
                case PatternOp.Jump: step = s.A; break;
                case PatternOp.Ahead or PatternOp.NotAhead: go = Run(pattern, text, step + 1, at) >= 0 == (s.Op == PatternOp.Ahead); step = s.A; break;
                case PatternOp.Behind or PatternOp.NotBehind: go = (at > 0 && s.Chars.Has(text[at - 1])) == (s.Op == PatternOp.Behind); step++; break;
                case PatternOp.Edge: go = Edge((char)s.A, text, at); step++; break;
                default: depth = bottom; return at;
            }
            if (go) continue;
            if (depth == bottom) return -1;
            ref var top = ref stack[depth - 1];
            (step, at) = (top.Step, top.At);
            if (top.At > top.Least) top.At--; else depth--;
        }
    }

    void Push(int step, int at, int least)
    {
        if (depth == stack.Length) Array.Resize(ref stack, 2 * depth);
        stack[depth++] = (step, at, least);
    }

    static bool Edge(char kind, ReadOnlySpan<int> text, int at)
    {
        if (kind is 'A' or '^' && at == 0) return at == 0;
        if (kind is 'z' or '$' && at == text.Length) return at == text.Length;
        if (kind == '^') return text[at - 1] == '\n';
        if (kind == '$') return text[at] == '\n';
        bool before = at > 0 && CharSet.Word.Has(text[at - 1]), behind = at < text.Length && CharSet.Word.Has(text[at]);
        return before != behind == (kind == 'b');
    }
}
