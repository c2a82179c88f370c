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
            "StripAccents" => new EachCharacter((c, to) => { if (CodePoints.Category(c) is not (UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark)) to.Add(c); }),
            "Precompiled" => new Precompiled(new(Base64(part["precompiled_charsmap"]))),
            var other => throw part.Unsupported($"the normalizer '{other}'"),
        };
    }

    static void Lower(int c, PieceText to)
    {
        if (c == 0x130) { to.Add('i'); to.Add(0x307); }      // the only letter whose small form is two characters
        else to.Add(Rune.IsValid(c) ? Rune.ToLowerInvariant(new(c)).Value : c);
    }

    static byte[] Base64(JsonPart part)
    {
        try { return Convert.FromBase64String(part.Text()); }
        catch (FormatException) { throw new InvalidDataException($"{part.Path} is not base 64"); }
    }

    /// <summary>{"String": …} or {"Regex": …}.</summary>
    public static Pattern Pattern(JsonPart part)
    {
        if (part["String"] is { IsNull: false } literal) return Models.Pattern.Parse(string.Concat(literal.Text().EnumerateRunes().Select(r => $"\\x{{{r.Value:x}}}")));
        try { return Models.Pattern.Parse(part["Regex"].Text()); }
        catch (InvalidDataException e) { throw new InvalidDataException($"{part.Path}: {e.Message}", e); }
    }

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
