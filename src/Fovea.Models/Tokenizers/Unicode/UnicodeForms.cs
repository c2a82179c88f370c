namespace Fovea.Models;

/// <summary>
/// The normal forms NFC, NFD, NFKC and NFKD (Unicode Standard Annex 15), with tables of Unicode 9 (forms.py makes them): those of the reference implementation of tokenizer.json, whose ids depend on them.
/// The framework's own forms do nothing where it runs without ICU, and would differ between machines.
/// The tables are numbers of seven bits a byte: decompositions (canonical, then compatible) as distance to the character before, length and text; combining classes as runs; characters that are never composed; marks as runs.
/// </summary>
sealed class UnicodeForms(bool compatible, bool compose) : Normaliser
{
    const int HangulFirst = 0xac00, HangulCount = 11172, LeadFirst = 0x1100, VowelFirst = 0x1161, TailFirst = 0x11a7, Vowels = 21, Tails = 28;
    static readonly Dictionary<int, int[]> canonical, compatibles;
    static readonly Dictionary<int, byte> classes = [];
    static readonly Dictionary<(int, int), int> pairs = [];
    static readonly HashSet<int> marks = [];

    static UnicodeForms()
    {
        using var stream = typeof(UnicodeForms).Assembly.GetManifestResourceStream("Fovea.Models.forms.bin") ?? throw new InvalidOperationException("the tables of Unicode's normal forms are not in this assembly");
        canonical = Table(stream); compatibles = Table(stream);
        for (int i = Next(stream), c = 0; i > 0; i--)
        {
            c += Next(stream); int n = Next(stream); byte k = (byte)Next(stream);
            for (int j = 0; j < n; j++) classes[c + j] = k;
        }
        var never = new HashSet<int>();
        for (int i = Next(stream), c = 0; i > 0; i--) never.Add(c += Next(stream));
        for (int i = Next(stream), c = 0; i > 0; i--)
        {
            c += Next(stream);
            for (int n = Next(stream), j = 0; j < n; j++) marks.Add(c + j);
        }
        foreach (var (c, parts) in canonical) if (parts.Length == 2 && !never.Contains(c)) pairs[(parts[0], parts[1])] = c;
    }
    static Dictionary<int, int[]> Table(Stream stream)
    {
        int n = Next(stream), c = 0; var all = new Dictionary<int, int[]>(n);
        for (; n > 0; n--)
        {
            c += Next(stream); var text = new int[Next(stream)];
            for (int i = 0; i < text.Length; i++) text[i] = Next(stream);
            all[c] = text;
        }
        return all;
    }
    static int Next(Stream stream)
    {
        int n = 0;
        for (int shift = 0; ; shift += 7) { int b = stream.ReadByte(); n |= (b & 0x7f) << shift; if (b < 0x80) return n; }
    }

    public override PieceText Apply(PieceText text)
    {
        // Nothing below decomposes or combines in any way that composing would not undo.
        if (!text.All.ContainsAnyExceptInRange(0, compose && !compatible ? 0x2ff : compose ? 0x9f : 0x7f)) return text;
        var apart = new PieceText();
        apart.Reserve(text.Length + 8);
        foreach (int c in text.All) Decompose(c, apart);
        int[] all = apart.All.ToArray();
        Order(all);
        var to = new PieceText();
        to.Add(compose ? all.AsSpan(0, Compose(all)) : all);
        return to;
    }

    void Decompose(int c, PieceText to)
    {
        int s = c - HangulFirst;
        if (s is >= 0 and < HangulCount)
        {
            to.Add(LeadFirst + s / (Vowels * Tails)); to.Add(VowelFirst + s % (Vowels * Tails) / Tails);
            if (s % Tails > 0) to.Add(TailFirst + s % Tails);
        }
        else if ((compatible && compatibles.TryGetValue(c, out var parts)) || canonical.TryGetValue(c, out parts)) foreach (int part in parts) Decompose(part, to);
        else to.Add(c);
    }

    /// <summary>Whether a character was of a category M in that version.</summary>
    public static bool IsMark(int c) => marks.Contains(c);

    static byte Class(int c) => classes.GetValueOrDefault(c);

    /// <summary>Sorts marks by class within each run of them, keeping the order of equals.</summary>
    static void Order(int[] text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (Class(text[i]) == 0) continue;
            int from = i;
            while (i < text.Length && Class(text[i]) != 0) i++;
            var sorted = text[from..i].OrderBy(Class).ToArray();
            sorted.CopyTo(text, from);
        }
    }

    /// <summary>Puts marks back on their letters, in place; returns the new length.</summary>
    static int Compose(int[] text)
    {
        int n = 0, starter = -1, last = -1;      // last: the class of what was written behind the starter, −1 for nothing
        foreach (int c in text)
        {
            int k = Class(c);
            if (starter >= 0 && last < k && Pair(text[starter], c) is >= 0 and var whole) { text[starter] = whole; continue; }
            if (k == 0) { starter = n; last = -1; } else last = k;
            text[n++] = c;
        }
        return n;
    }

    static int Pair(int a, int b)
    {
        int lead = a - LeadFirst, vowel = b - VowelFirst, s = a - HangulFirst, tail = b - TailFirst;
        if (lead is >= 0 and < 19 && vowel is >= 0 and < Vowels) return HangulFirst + (lead * Vowels + vowel) * Tails;
        if (s is >= 0 and < HangulCount && s % Tails == 0 && tail is > 0 and < Tails) return a + tail;
        return pairs.TryGetValue((a, b), out int c) ? c : -1;
    }
}
