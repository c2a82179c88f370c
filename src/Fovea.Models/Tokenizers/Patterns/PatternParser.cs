using System.Globalization;
namespace Fovea.Models;

/// <summary>A parsed pattern.</summary>
abstract record PatternNode
{
    public sealed record Set(CharSet Chars) : PatternNode;
    public sealed record Sequence(PatternNode[] Parts) : PatternNode;
    public sealed record Choice(PatternNode[] Parts) : PatternNode;
    /// <summary>At least Min and at most Max times; greedy, lazy or never giving back.</summary>
    public sealed record Repeat(PatternNode Body, int Min, int Max, char Mode) : PatternNode;
    public sealed record Look(PatternNode Body, bool Ahead, bool Negated) : PatternNode;
    /// <summary>'^' and '$' of a line, 'A' and 'z' of the text, 'b' of a word and 'B' elsewhere.</summary>
    public sealed record Edge(char Kind) : PatternNode;

    /// <summary>Whether it can match nothing.</summary>
    public bool Empty => this switch
    {
        Set => false,
        Sequence s => s.Parts.All(p => p.Empty),
        Choice c => c.Parts.Any(p => p.Empty),
        Repeat r => r.Min == 0 || r.Body.Empty,
        _ => true,
    };
}

/// <summary>
/// Reads the regular expressions that tokenizers are described with: sets, \p{…}, groups, alternatives, repetition, looking ahead and (one character) back.
/// Whatever else is an <see cref="InvalidDataException"/> that names the construct and its place.
/// </summary>
sealed class PatternParser(string pattern)
{
    const int Deepest = 32;
    readonly int[] p = CodePoints.Of(pattern);
    int at, depth;
    bool anyCase;

    public PatternNode Parse()
    {
        var all = Choice();
        return at == p.Length ? all : throw Bad("an unmatched ')'");
    }

    PatternNode Choice()
    {
        if (++depth > Deepest) throw Bad($"groups nested more than {Deepest} deep");
        bool before = anyCase;
        var parts = new List<PatternNode> { Sequence() };
        while (Take('|')) parts.Add(Sequence());
        anyCase = before; depth--;
        return parts.Count == 1 ? parts[0] : new PatternNode.Choice([.. parts]);
    }

    PatternNode Sequence()
    {
        var parts = new List<PatternNode>();
        while (at < p.Length && p[at] is not ('|' or ')')) if (Item() is { } item) parts.Add(Repeated(item));
        return parts.Count == 1 ? parts[0] : new PatternNode.Sequence([.. parts]);
    }

    PatternNode Repeated(PatternNode item)
    {
        int begin = at;
        if (!Times(out int min, out int max)) return item;
        char mode = Take('?') ? '?' : p[at - 1] != '}' && Take('+') ? '+' : ' ';
        if (item is PatternNode.Edge or PatternNode.Look || (item.Empty && max > 1)) { at = begin; throw Bad("repetition of something that can be empty"); }
        if (mode == '+' && item is not PatternNode.Set) { at = begin; throw Bad("possessive repetition of a group"); }
        return Times(out _, out _) ? throw Bad("a repetition of a repetition") : new PatternNode.Repeat(item, min, max, mode);
    }
    bool Times(out int min, out int max)
    {
        (min, max) = (0, int.MaxValue);
        if (Take('*')) return true;
        if (Take('+')) { min = 1; return true; }
        if (Take('?')) { max = 1; return true; }
        return Bounds(out min, out max);
    }

    /// <summary>{n}, {n,}, {n,m}; anything else is a brace.</summary>
    bool Bounds(out int min, out int max)
    {
        int begin = at; min = max = 0;
        if (Take('{') && Number(out min))
        {
            max = min;
            if (Take(',') && !Number(out max)) max = int.MaxValue;
            if (Take('}')) return min <= max && (max <= 1000 || max == int.MaxValue) && min <= 1000 ? true : throw Bad("a repetition of more than 1000 times");
        }
        at = begin;
        return false;
    }
    bool Number(out int n)
    {
        int begin = at;
        for (n = 0; at < p.Length && p[at] is >= '0' and <= '9' && at < begin + 6; at++) n = n * 10 + p[at] - '0';
        return at > begin;
    }

    PatternNode? Item()
    {
        int c = p[at++];
        switch (c)
        {
            case '(': return Group();
            case '[': return new PatternNode.Set(Class());
            case '.': return new PatternNode.Set(CharSet.AnyButNewline);
            case '^' or '$': return new PatternNode.Edge((char)c);
            case '*' or '+' or '?': at--; throw Bad("a repetition of nothing");
            case '\\':
                if (at < p.Length && p[at] is 'b' or 'B' or 'z' or 'A') return new PatternNode.Edge((char)p[at++]);
                return new PatternNode.Set(Escape() ?? Literal(escaped));
            default: return new PatternNode.Set(Literal(c));
        }
    }

    PatternNode? Group()
    {
        if (!Take('?')) return Closed(Choice());
        if (Take(':')) return Closed(Choice());
        if (Take('=')) return new PatternNode.Look(Closed(Choice()), true, false);
        if (Take('!')) return new PatternNode.Look(Closed(Choice()), true, true);
        if (Take('<') && at < p.Length && p[at] is '=' or '!')
        {
            bool negated = p[at++] == '!';
            return Closed(Choice()) is PatternNode.Set one ? new PatternNode.Look(one, false, negated) : throw Bad("looking back further than one character");
        }
        if (Take('i'))
        {
            if (Take(')')) { anyCase = true; return null; }
            if (Take(':'))
            {
                bool before = anyCase; anyCase = true;
                var body = Closed(Choice());
                anyCase = before;
                return body;
            }
        }
        throw Bad("this kind of group");
    }
    PatternNode Closed(PatternNode body) => Take(')') ? body : throw Bad("a group that is not closed");

    /// <summary>Behind '[': [^a-z\d[…]&amp;&amp;…].</summary>
    CharSet Class()
    {
        if (++depth > Deepest) throw Bad($"sets nested more than {Deepest} deep");
        bool negated = Take('^'), first = true;
        var factors = new List<CharSet.Union>(); var ranges = new List<(int, int)>(); var sets = new List<CharSet>(); uint categories = 0;
        void Close() { factors.Add(new(categories, [.. ranges], [.. sets])); ranges = []; sets = []; categories = 0; }
        for (; ; first = false)
        {
            if (at == p.Length) throw Bad("a set that is not closed");
            if (!first && Take(']')) break;
            if (at + 1 < p.Length && p[at] == '&' && p[at + 1] == '&') { at += 2; Close(); continue; }
            CharSet? inner = null;
            int from = p[at++];
            if (from == '[') inner = at < p.Length && p[at] == ':' ? throw Bad("a POSIX set") : Class();
            else if (from == '\\') { inner = Escape(); from = escaped; }
            if (inner is not null)
            {
                if (inner.Plain is { } plain) { categories |= plain.Categories; ranges.AddRange(plain.Ranges); } else sets.Add(inner);
                continue;
            }
            int to = from;
            if (at + 1 < p.Length && p[at] == '-' && p[at + 1] is not (']' or '['))
            {
                at++; to = p[at++];
                if (to == '\\') { if (Escape() is not null) throw Bad("a range that ends with a set"); to = escaped; }
                if (to < from) throw Bad("a range that ends before it begins");
            }
            ranges.Add((from, to));
            if (anyCase) AddCases(from, to, ranges);
        }
        Close(); depth--;
        return new([.. factors], negated);
    }

    static void AddCases(int from, int to, List<(int, int)> ranges)
    {
        for (int c = from; c <= to && c - from < 0x500; c++) foreach (int other in CharSet.OtherCases(c)) ranges.Add((other, other));
    }

    CharSet Literal(int c)
    {
        var ranges = new List<(int, int)> { (c, c) };
        if (anyCase) AddCases(c, c, ranges);
        return CharSet.Of([.. ranges]);
    }

    int escaped;
    /// <summary>Behind a backslash: a set, or nothing and the character in escaped.</summary>
    CharSet? Escape()
    {
        if (at == p.Length) throw Bad("a backslash at the end");
        int c = p[at++];
        switch (c)
        {
            case 's': return CharSet.Space;
            case 'S': return CharSet.Space.Not();
            case 'd': return CharSet.Digit;
            case 'D': return CharSet.Digit.Not();
            case 'w': return CharSet.Word;
            case 'W': return CharSet.Word.Not();
            case 'p' or 'P': return Property(c == 'P');
            case 'n': escaped = '\n'; return null;
            case 'r': escaped = '\r'; return null;
            case 't': escaped = '\t'; return null;
            case 'v': escaped = '\v'; return null;
            case 'f': escaped = '\f'; return null;
            case '0': escaped = 0; return null;
            case 'x': escaped = Take('{') ? Hex(6, true) : Hex(2, false); return null;
            case 'u': escaped = Take('{') ? Hex(6, true) : Hex(4, false); return null;
            case < 128 when char.IsAsciiLetterOrDigit((char)c): at--; throw Bad($"the escape '\\{(char)c}'");
            default: escaped = c; return null;
        }
    }

    int Hex(int digits, bool braced)
    {
        int value = 0, n = 0;
        for (; n < digits && at < p.Length && p[at] < 128 && char.IsAsciiHexDigit((char)p[at]); n++, at++) value = value * 16 + int.Parse([(char)p[at]], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        if (n == 0 || (braced ? !Take('}') : n < digits) || value >= CodePoints.Raw) throw Bad("a code point");
        return value;
    }

    CharSet Property(bool negated)
    {
        string name;
        if (Take('{'))
        {
            int end = Array.IndexOf(p, '}', at);
            if (end < 0) throw Bad("a property that is not closed");
            if (Take('^')) negated = !negated;
            name = string.Concat(p[at..end].Select(c => c < 128 ? ((char)c).ToString() : "?"));
            at = end + 1;
        }
        else name = at < p.Length && p[at] < 128 ? ((char)p[at++]).ToString() : "";
        var set = CharSet.Property(name) ?? throw Bad($"the property '{name}'");
        return negated ? set.Not() : set;
    }

    bool Take(char c)
    {
        if (at == p.Length || p[at] != c) return false;
        at++;
        return true;
    }
    InvalidDataException Bad(string what) => new($"pattern '{(pattern.Length <= 60 ? pattern : pattern[..60] + "…")}', character {at}: {what} is not supported");
}
