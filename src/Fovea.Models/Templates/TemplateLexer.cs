using System.Globalization;
using System.Text;
namespace Fovea.Models;

enum TokenKind { Text, ExpressionStart, StatementStart, End, Name, Number, String, Sign, Done }

/// <summary>A token; Value is a long or a double where it is a number.</summary>
readonly record struct TemplateToken(TokenKind Kind, string Text, TemplatePlace Place, object? Value = null)
{
    public bool Is(string sign) => Kind is TokenKind.Sign or TokenKind.Name && Text == sign;
}

/// <summary>
/// Cuts a template into text and the tokens between {{ }} and {% %}. As where chat templates come from, the line end behind a statement or comment is dropped and so are the spaces before one that begins a line;
/// '-' strips all white space, '+' keeps what would be dropped.
/// </summary>
sealed class TemplateLexer
{
    static readonly string[] signs = ["==", "!=", "<=", ">=", "//", "**", "<", ">", "=", "+", "-", "*", "/", "%", "~", "|", ".", ",", ":", "(", ")", "[", "]", "{", "}"];
    readonly string s;
    readonly List<TemplateToken> tokens = [];
    readonly int[] lines;
    int at;

    TemplateLexer(string template)
    {
        s = template.Replace("\r\n", "\n").Replace('\r', '\n');
        if (s.EndsWith('\n')) s = s[..^1];
        lines = [0, .. Enumerable.Range(0, s.Length).Where(i => s[i] == '\n').Select(i => i + 1)];
    }

    public static List<TemplateToken> Read(string template) => new TemplateLexer(template).Read();

    TemplatePlace Place(int at)
    {
        int line = Array.BinarySearch(lines, at);
        if (line < 0) line = ~line - 1;
        return new(line + 1, at - lines[line] + 1);
    }

    List<TemplateToken> Read()
    {
        bool strip = false, dropLine = false;
        while (at < s.Length)
        {
            int open = NextOpen(at), from = at;
            if (strip) while (from < open && char.IsWhiteSpace(s[from])) from++;
            else if (dropLine && from < open && s[from] == '\n') from++;
            int to = open;
            if (open < s.Length)
            {
                char mark = open + 2 < s.Length ? s[open + 2] : ' ';
                if (mark == '-') while (to > from && char.IsWhiteSpace(s[to - 1])) to--;
                else if (mark != '+' && s[open + 1] != '{') to = LineStart(from, to);
            }
            if (to > from) tokens.Add(new(TokenKind.Text, s[from..to], Place(from)));
            at = open;
            if (open < s.Length) (strip, dropLine) = Tag();
        }
        tokens.Add(new(TokenKind.Done, "", Place(s.Length)));
        return tokens;
    }

    int NextOpen(int from)
    {
        for (int i = from; (i = s.IndexOf('{', i)) >= 0 && i + 1 < s.Length; i++) if (s[i + 1] is '{' or '%' or '#') return i;
        return s.Length;
    }

    /// <summary>Where the spaces before a tag begin, if nothing else stands before it on its line.</summary>
    int LineStart(int from, int to)
    {
        int i = to;
        while (i > from && s[i - 1] is ' ' or '\t') i--;
        return i == 0 || s[i - 1] == '\n' ? i : to;
    }

    (bool Strip, bool DropLine) Tag()
    {
        int open = at; char kind = s[at + 1]; string end = kind switch { '{' => "}}", '%' => "%}", _ => "#}" };
        at += 2;
        if (kind == '#')
        {
            int close = s.IndexOf(end, at, StringComparison.Ordinal);
            if (close < 0) throw Place(open).Bad("a comment that does not end");
            at = close + 2;
            return (s[close - 1] == '-' && close - 1 > open + 1, s[close - 1] != '+');
        }
        if (at < s.Length && s[at] is '-' or '+') at++;
        tokens.Add(new(kind == '{' ? TokenKind.ExpressionStart : TokenKind.StatementStart, s.Substring(open, 2), Place(open)));
        for (int depth = 0; ;)
        {
            while (at < s.Length && char.IsWhiteSpace(s[at])) at++;
            if (at >= s.Length) throw Place(open).Bad($"'{s.Substring(open, 2)}' that is not closed");
            bool minus = s[at] is '-' or '+' && string.CompareOrdinal(s, at + 1, end, 0, 2) == 0;
            if (depth == 0 && (minus || string.CompareOrdinal(s, at, end, 0, 2) == 0))
            {
                char mark = minus ? s[at] : ' ';
                tokens.Add(new(TokenKind.End, end, Place(at)));
                at += minus ? 3 : 2;
                if (kind == '%' && Raw()) return (s[at - 3] == '-', s[at - 3] != '+');
                return (mark == '-', kind == '%' && mark != '+');
            }
            var token = Token();
            depth += token.Kind != TokenKind.Sign ? 0 : token.Text is "(" or "[" or "{" ? 1 : token.Text is ")" or "]" or "}" ? -1 : 0;
            tokens.Add(token);
        }
    }

    /// <summary>Behind {% raw %}: everything up to {% endraw %} as text; the tokens of the tag are taken back.</summary>
    bool Raw()
    {
        if (tokens.Count < 3 || !tokens[^2].Is("raw") || tokens[^3].Kind != TokenKind.StatementStart) return false;
        tokens.RemoveRange(tokens.Count - 3, 3);
        int i = at, close = -1;
        while ((i = s.IndexOf("{%", i, StringComparison.Ordinal)) >= 0 && !s.AsSpan(i + 2, Math.Min(64, s.Length - i - 2)).TrimStart("-+ \t\n").StartsWith("endraw")) i += 2;
        if (i >= 0) close = s.IndexOf("%}", i, StringComparison.Ordinal);
        if (close < 0) throw Place(at).Bad("'raw' without 'endraw'");
        tokens.Add(new(TokenKind.Text, s[at..i], Place(at)));
        at = close + 2;
        return true;
    }

    TemplateToken Token()
    {
        int from = at; char c = s[at];
        if (char.IsLetter(c) || c == '_')
        {
            while (at < s.Length && (char.IsLetterOrDigit(s[at]) || s[at] == '_')) at++;
            return new(TokenKind.Name, s[from..at], Place(from));
        }
        if (char.IsAsciiDigit(c)) return Number();
        if (c is '"' or '\'') return Quoted(c);
        foreach (string sign in signs)
            if (string.CompareOrdinal(s, at, sign, 0, sign.Length) == 0) { at += sign.Length; return new(TokenKind.Sign, sign, Place(from)); }
        throw Place(from).Bad($"'{c}' is not expected here");
    }

    TemplateToken Number()
    {
        int from = at; bool whole = true;
        while (at < s.Length && (char.IsAsciiDigit(s[at]) || s[at] == '_')) at++;
        if (at + 1 < s.Length && s[at] == '.' && char.IsAsciiDigit(s[at + 1])) { whole = false; at++; while (at < s.Length && char.IsAsciiDigit(s[at])) at++; }
        if (at < s.Length && s[at] is 'e' or 'E')
        {
            whole = false; at++;
            if (at < s.Length && s[at] is '+' or '-') at++;
            while (at < s.Length && char.IsAsciiDigit(s[at])) at++;
        }
        string text = s[from..at].Replace("_", "");
        if (whole && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long n)) return new(TokenKind.Number, text, Place(from), n);
        if (!whole && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double x)) return new(TokenKind.Number, text, Place(from), x);
        throw Place(from).Bad($"'{text}' is not a number that can be kept");
    }

    TemplateToken Quoted(char quote)
    {
        int from = at++; var text = new StringBuilder();
        for (; at < s.Length && s[at] != quote; at++)
        {
            if (s[at] != '\\' || at + 1 == s.Length) { text.Append(s[at]); continue; }
            at++;
            switch (s[at])
            {
                case 'n': text.Append('\n'); break;
                case 't': text.Append('\t'); break;
                case 'r': text.Append('\r'); break;
                case 'b': text.Append('\b'); break;
                case 'f': text.Append('\f'); break;
                case 'v': text.Append('\v'); break;
                case 'a': text.Append('\a'); break;
                case '0': text.Append('\0'); break;
                case '\n': break;
                case 'x' or 'u' or 'U':
                    int digits = s[at] switch { 'x' => 2, 'u' => 4, _ => 8 };
                    if (at + digits >= s.Length || !int.TryParse(s.AsSpan(at + 1, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int code) || (uint)code > 0x10ffff) throw Place(at).Bad("an escape that is no character");
                    if (code < 0x10000) text.Append((char)code); else text.Append(char.ConvertFromUtf32(code));
                    at += digits;
                    break;
                case '\\' or '\'' or '"': text.Append(s[at]); break;
                default: text.Append('\\').Append(s[at]); break;
            }
        }
        if (at >= s.Length) throw Place(from).Bad("a text that is not closed");
        at++;
        return new(TokenKind.String, text.ToString(), Place(from));
    }
}
