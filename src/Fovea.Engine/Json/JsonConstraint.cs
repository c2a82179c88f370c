namespace Fovea.Engine;

/// <summary>
/// A text that must be one JSON value, of any form or of a schema's. The state is the set of all ways in which the text so far can be read; bytes that leave none are not allowed.
/// </summary>
public sealed class JsonConstraint : IConstraint
{
    /// <summary>The most ways in which a text is read at once.</summary>
    internal const int MostWays = 64;
    List<Reading> ways;

    /// <summary>Any JSON object.</summary>
    public JsonConstraint() : this(new ObjectForm([], new HashSet<int>(), AnyForm.Instance)) { }
    /// <summary>What a schema describes; see <see cref="JsonSchema"/> for what schemas may say.</summary>
    public JsonConstraint(JsonForm form) => ways = [new(form, null)];

    public bool Complete => ways.Exists(w => w.CanEnd);
    public bool Allows(ReadOnlySpan<byte> bytes) => bytes.Length > 0 && After(bytes).Count > 0;
    public void Accept(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        var after = After(bytes);
        ways = after.Count > 0 ? after : throw new InvalidOperationException($"'{System.Text.Encoding.UTF8.GetString(bytes)}' cannot follow");
    }

    List<Reading> After(ReadOnlySpan<byte> bytes)
    {
        List<Reading> now = ways, next = [];
        foreach (byte b in bytes)
        {
            next = [];
            foreach (var w in now) w.Step(b, next);
            if (next.Count == 0) return next;
            // More ways than this come only from schemas that say the same several times; following all of them could take any time.
            if (next.Count > MostWays) next.RemoveRange(MostWays, next.Count - MostWays);
            now = next;
        }
        return next;
    }
}

/// <summary>What is still to be read: a part, then the rest.</summary>
public sealed record Reading(JsonForm? Part, Reading? Rest)
{
    /// <summary>Whether nothing more need follow.</summary>
    public bool CanEnd => (Part is null || Part.CanEnd) && (Rest is null || Rest.CanEnd);
    /// <summary>Adds all ways in which one more byte can be read.</summary>
    public void Step(byte b, List<Reading> into)
    {
        Part?.Step(b, Rest, into);
        if (Part is null or { CanEnd: true }) Rest?.Step(b, into);
    }
}

/// <summary>A form that text may have, or what is left of it.</summary>
public abstract class JsonForm
{
    public virtual bool CanEnd => false;
    /// <summary>Adds what is left, and then rest, for every way in which b can be read.</summary>
    public abstract void Step(byte b, Reading? rest, List<Reading> into);
    private protected static void Then(JsonForm? part, Reading? rest, List<Reading> into) => into.Add(new(part, rest));
}

/// <summary>These bytes.</summary>
sealed class Literal(byte[] text, int at = 0) : JsonForm
{
    public static Literal Of(string text) => new(System.Text.Encoding.UTF8.GetBytes(text));
    public override void Step(byte b, Reading? rest, List<Reading> into) { if (text[at] == b) Then(at + 1 < text.Length ? new Literal(text, at + 1) : null, rest, into); }
}

/// <summary>One of several forms.</summary>
sealed class Either(IReadOnlyList<JsonForm> forms) : JsonForm
{
    public override void Step(byte b, Reading? rest, List<Reading> into) { foreach (var f in forms) f.Step(b, rest, into); }
}

/// <summary>White space, a little of it: a text that never goes on is no JSON.</summary>
sealed class Space(int most = 16) : JsonForm
{
    public static Space Some { get; } = new();
    public override bool CanEnd => true;
    public override void Step(byte b, Reading? rest, List<Reading> into) { if (b is (byte)' ' or (byte)'\n' or (byte)'\t' or (byte)'\r' && most > 0) Then(new Space(most - 1), rest, into); }
}

/// <summary>A string of so many characters, after its quotation mark where opened.</summary>
sealed class StringForm(int least = 0, int most = int.MaxValue, bool opened = false, int state = 0) : JsonForm
{
    // 0: between characters; 1: after a backslash; 2 to 5: so many hexadecimal digits and one less are missing; −1 to −3: continuation bytes are missing.
    const int Escaped = 1, Digits = 5, AfterE0 = -10, AfterEd = -11, AfterF0 = -12, AfterF4 = -13;
    public override void Step(byte b, Reading? rest, List<Reading> into)
    {
        void Go(int next, int characters = 0) { if (most >= characters) Then(new StringForm(Math.Max(0, least - characters), most == int.MaxValue ? most : most - characters, true, next), rest, into); }
        if (!opened) { if (b == '"') Go(0); return; }
        switch (state)
        {
            case Escaped: if (b == 'u') Go(Digits); else if ("\"\\/bfnrt".Contains((char)b, StringComparison.Ordinal)) Go(0); break;
            case > Escaped: if (char.IsAsciiHexDigit((char)b)) Go(state == 2 ? 0 : state - 1); break;
            case < 0 and >= -3: if ((b & 0xc0) == 0x80) Go(state + 1); break;
            // The byte after these leads has a narrower range, or it would be a surrogate, too long a form, or beyond Unicode.
            case < 0: if ((b & 0xc0) == 0x80 && state switch { AfterE0 => b >= 0xa0, AfterEd => b <= 0x9f, AfterF0 => b >= 0x90, _ => b <= 0x8f }) Go(state is AfterE0 or AfterEd ? -1 : -2); break;
            default:
                if (b == '"') { if (least == 0) Then(null, rest, into); }
                else if (b == '\\') Go(Escaped, 1);
                else if (b is >= 0x20 and < 0x80) Go(0, 1);
                else if (b is >= 0xc2 and <= 0xdf) Go(-1, 1);
                else if (b is >= 0xe1 and <= 0xec or 0xee or 0xef) Go(-2, 1);
                else if (b is >= 0xf1 and <= 0xf3) Go(-3, 1);
                else if (b is 0xe0 or 0xed or 0xf0 or 0xf4) Go(b switch { 0xe0 => AfterE0, 0xed => AfterEd, 0xf0 => AfterF0, _ => AfterF4 }, 1);
                break;
        }
    }
}

/// <summary>A number, of at most so many more digits in each part.</summary>
sealed class NumberForm(bool whole, int state = NumberForm.Start, int left = NumberForm.Most) : JsonForm
{
    const int Start = 0, Signed = 1, Zero = 2, Integer = 3, Point = 4, Fraction = 5, Exponent = 6, ExponentSign = 7, ExponentDigits = 8, Most = 18;
    public override bool CanEnd => state is Zero or Integer or Fraction or ExponentDigits;
    public override void Step(byte b, Reading? rest, List<Reading> into)
    {
        void Go(int next) { int room = next == state ? left - 1 : next == ExponentDigits ? 3 : Most; if (room >= 0) Then(new NumberForm(whole, next, room), rest, into); }
        bool digit = char.IsAsciiDigit((char)b);
        switch (state)
        {
            case Start or Signed: if (b == '-' && state == Start) Go(Signed); else if (b == '0') Go(Zero); else if (digit) Go(Integer); break;
            case Zero or Integer: if (digit && state == Integer) Go(Integer); else if (b == '.' && !whole) Go(Point); else if (b is (byte)'e' or (byte)'E' && !whole) Go(Exponent); break;
            case Point or Fraction: if (digit) Go(Fraction); else if (state == Fraction && b is (byte)'e' or (byte)'E') Go(Exponent); break;
            case Exponent: if (b is (byte)'+' or (byte)'-') Go(ExponentSign); else if (digit) Go(ExponentDigits); break;
            default: if (digit) Go(ExponentDigits); break;
        }
    }
}
