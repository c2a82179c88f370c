using System.Globalization;
namespace Fovea.Models;

/// <summary>A set of code points: a union of ranges, Unicode categories and other sets, maybe cut with further ones, maybe turned round.</summary>
sealed class CharSet
{
    /// <summary>One union; Categories has a bit per <see cref="UnicodeCategory"/>.</summary>
    public sealed record Union(uint Categories, (int From, int To)[] Ranges, CharSet[] Sets)
    {
        public bool Has(int c)
        {
            if ((Categories >> (int)CodePoints.Category(c) & 1) != 0) return true;
            foreach (var (from, to) in Ranges) if (c >= from && c <= to) return true;
            foreach (var set in Sets) if (set.Has(c)) return true;
            return false;
        }
    }

    // In the order of UnicodeCategory.
    static readonly string[] names = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn"];

    readonly Union[] factors;
    readonly bool negated;
    readonly ulong low, high;        // the answers for ASCII

    public CharSet(Union[] factors, bool negated)
    {
        (this.factors, this.negated) = (factors, negated);
        for (int c = 0; c < 64; c++) { if (Slow(c)) low |= 1UL << c; if (Slow(c + 64)) high |= 1UL << c; }
    }

    /// <summary>The set as one union of categories and ranges, where it is one.</summary>
    public Union? Plain => !negated && factors is [{ Sets: [] } only] ? only : null;

    public bool Has(int c) => c < 64 ? (low >> c & 1) != 0 : c < 128 ? (high >> c - 64 & 1) != 0 : Slow(c);
    bool Slow(int c)
    {
        bool all = true;
        foreach (var f in factors) all = all && f.Has(c);
        return all != negated;
    }

    public static CharSet Of(params (int From, int To)[] ranges) => new([new(0, ranges, [])], false);
    public static CharSet OfCategories(uint categories, bool negated = false) => new([new(categories, [], [])], negated);
    public CharSet Not() => new([new(0, [], [this])], true);

    public static readonly CharSet Any = new([new(0, [], [])], true);
    public static readonly CharSet AnyButNewline = Of(('\n', '\n')).Not();
    public static readonly CharSet Space = Of((9, 13), (32, 32), (0x85, 0x85), (0xa0, 0xa0), (0x1680, 0x1680), (0x2000, 0x200a), (0x2028, 0x2029), (0x202f, 0x202f), (0x205f, 0x205f), (0x3000, 0x3000));
    public static readonly CharSet Number = OfCategories(Bits("N"));
    public static readonly CharSet Digit = OfCategories(Bits("Nd"));
    static readonly uint words = Bits("L") | Bits("M") | Bits("Nd") | Bits("Nl") | Bits("Pc");
    static readonly (int, int)[] letteredSymbols = [(0x24b6, 0x24e9), (0x1f130, 0x1f149), (0x1f150, 0x1f169), (0x1f170, 0x1f189)];
    /// <summary>What \w means in patterns, as in Oniguruma: also letters in circles and squares, and the small digits and fractions of Latin-1.</summary>
    public static readonly CharSet Word = new([new(words, [.. letteredSymbols, (0xb2, 0xb3), (0xb9, 0xb9), (0xbc, 0xbe)], [])], false);
    /// <summary>What Unicode calls part of a word (Technical Standard 18, annex C): without those digits, with the two joiners.</summary>
    public static readonly CharSet UnicodeWord = new([new(words, [.. letteredSymbols, (0x200c, 0x200d)], [])], false);
    static readonly CharSet han = Of((0x2e80, 0x2e99), (0x2e9b, 0x2ef3), (0x2f00, 0x2fd5), (0x3005, 0x3005), (0x3007, 0x3007), (0x3021, 0x3029), (0x3038, 0x303b), (0x3400, 0x4dbf), (0x4e00, 0x9fff),
        (0xf900, 0xfa6d), (0xfa70, 0xfad9), (0x16fe2, 0x16fe3), (0x16ff0, 0x16ff6), (0x20000, 0x2a6df), (0x2a700, 0x2b739), (0x2b740, 0x2b81d), (0x2b820, 0x2cea1), (0x2ceb0, 0x2ebe0), (0x2ebf0, 0x2ee5d), (0x2f800, 0x2fa1d), (0x30000, 0x3134a), (0x31350, 0x323af));

    static uint Bits(string name)
    {
        uint bits = 0;
        for (int i = 0; i < names.Length; i++) if (names[i].StartsWith(name, StringComparison.Ordinal)) bits |= 1u << i;
        return bits;
    }

    /// <summary>What \p{name} means: a general category, one letter or two, or Han; null for everything else.</summary>
    public static CharSet? Property(string name) => name switch
    {
        "Han" or "Script=Han" => han,
        { Length: 1 or 2 } when Bits(name) is not 0 and var bits => OfCategories(bits),
        _ => null,
    };

    /// <summary>The set with the other case of every letter in it that is listed by itself or in a range of ASCII.</summary>
    public static IEnumerable<int> OtherCases(int c)
    {
        if (c >= CodePoints.Raw || !System.Text.Rune.TryCreate(c, out var rune)) yield break;
        foreach (int other in (int[])[System.Text.Rune.ToUpperInvariant(rune).Value, System.Text.Rune.ToLowerInvariant(rune).Value]) if (other != c) yield return other;
        // The two letters outside ASCII that fold to one within.
        if (c is 's' or 'S') yield return 0x17f;
        if (c is 'k' or 'K') yield return 0x212a;
    }
}
