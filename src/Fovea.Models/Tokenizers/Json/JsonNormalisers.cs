using System.Globalization;
using System.Text;
namespace Fovea.Models;

/// <summary>The "normalizer" of a tokenizer.json.</summary>
static class JsonNormalisers
{
    public static Normaliser? Read(JsonPart part)
    {
        if (part.IsNull) return null;
        return part.Type() switch
        {
            "Sequence" => new InOrder([.. part["normalizers"].Items().Select(Read).OfType<Normaliser>()]),
            "Prepend" => new Prepend(CodePoints.Of(part["prepend"].Text())),
            "Replace" => new ReplaceText(Pattern(part["pattern"]), CodePoints.Of(part["content"].Text())),
            "NFC" => new UnicodeForms(compatible: false, compose: true),
            "NFD" => new UnicodeForms(compatible: false, compose: false),
            "NFKC" => new UnicodeForms(compatible: true, compose: true),
            "NFKD" => new UnicodeForms(compatible: true, compose: false),
            "Lowercase" => new EachCharacter(Lower),
            "Strip" => new StripSpace(part["strip_left"].Flag(true), part["strip_right"].Flag(true)),
            "StripAccents" => new EachCharacter((c, to) => { if (!UnicodeForms.IsMark(c)) to.Add(c); }),
            "Nmt" => new EachCharacter(Nmt),
            "Precompiled" => new Precompiled(new(Base64(part["precompiled_charsmap"]))),
            var other => throw part.Unsupported($"the normalizer '{other}'"),
        };
    }

    static void Lower(int c, PieceText to)
    {
        if (c == 0x130) { to.Add('i'); to.Add(0x307); }      // the only letter whose small form is two characters
        else if (c is 0xa7ce or 0xa7d2 or 0xa7d4) to.Add(c + 1);      // these letters are younger than the framework's table
        else if (c is >= 0x16ea0 and <= 0x16eb8) to.Add(c + 27);
        else to.Add(Rune.IsValid(c) ? Rune.ToLowerInvariant(new(c)).Value : c);
    }

    /// <summary>Leaves control characters out and makes spaces of line ends and of characters without width.</summary>
    static void Nmt(int c, PieceText to)
    {
        if (c is (>= 1 and <= 8) or 0xb or (>= 0xe and <= 0x1f) or 0x7f or 0x8f or 0x9f) return;
        to.Add(c is 9 or 0xa or 0xc or 0xd or 0x1680 or (>= 0x200b and <= 0x200f) or 0x2028 or 0x2029 or 0x2581 or 0xfeff or 0xfffd ? ' ' : c);
    }

    static byte[] Base64(JsonPart part)
    {
        try { return Convert.FromBase64String(part.Text()); }
        catch (FormatException) { throw new InvalidDataException($"{part.Path} is not base 64"); }
    }

    /// <summary>{"String": …} or {"Regex": …}.</summary>
    public static Pattern Pattern(JsonPart part)
    {
        if (part["String"] is { IsNull: false } literal) return Literal(literal.Text());
        try { return Models.Pattern.Parse(part["Regex"].Text()); }
        catch (InvalidDataException e) { throw new InvalidDataException($"{part.Path}: {e.Message}", e); }
    }

    /// <summary>The pattern that matches a text.</summary>
    public static Pattern Literal(string text) => Models.Pattern.Parse(string.Concat(text.EnumerateRunes().Select(r => $"\\x{{{r.Value:x}}}")));

    /// <summary>
    /// SentencePiece's rules as the reference applies them: to every user-perceived character of fewer than six bytes as a whole (by the shortest rule that fits its beginning), else to each of its code points.
    /// </summary>
    sealed class Precompiled(CharsMap rules) : Normaliser
    {
        public override PieceText Apply(PieceText text)
        {
            string s = Encoding.UTF8.GetString(CodePoints.Encode(text.All)); var to = new PieceText(); var bytes = new byte[4 * 64];
            for (int at = 0, n; at < s.Length; at += n)
            {
                n = StringInfo.GetNextTextElementLength(s.AsSpan(at));
                var element = s.AsSpan(at, n);
                if (n <= 5 && Encoding.UTF8.GetBytes(element, bytes) is < 6 and var length && Rule(bytes.AsSpan(0, length), to)) continue;
                foreach (var rune in element.EnumerateRunes()) if (!Rule(bytes.AsSpan(0, rune.EncodeToUtf8(bytes)), to)) to.Add(rune.Value);
            }
            return to;
        }
        bool Rule(ReadOnlySpan<byte> text, PieceText to)
        {
            var replaced = rules.Replace(text, shortest: true, out int used);
            CodePoints.Decode(replaced, to);
            return used > 0;
        }
    }
}
