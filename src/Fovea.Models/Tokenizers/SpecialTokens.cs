namespace Fovea.Models;

/// <summary>A token that is found in the text itself, before anything else happens to it.</summary>
sealed record SpecialToken(int Id, byte[] Text)
{
    /// <summary>Found only where special tokens are asked for.</summary>
    public bool Control { get; init; }
    /// <summary>Takes the spaces before it, and behind it, along.</summary>
    public bool StripLeft { get; init; }
    public bool StripRight { get; init; }
    /// <summary>Only where no letter or digit touches it.</summary>
    public bool SingleWord { get; init; }
}

/// <summary>A stretch of text, or a token.</summary>
readonly record struct Fragment(int Start, int End, int Token = -1);

/// <summary>Finds special tokens: each in the order of length (as GGUF readers do), or leftmost first and then the longest (as tokenizer.json readers do).</summary>
sealed class SpecialTokens
{
    readonly SpecialToken[] all;
    readonly bool byLength;
    readonly ByteTrie trie, plain;       // all, and those that are no control tokens

    public SpecialTokens(IEnumerable<SpecialToken> tokens, bool byLength)
    {
        this.byLength = byLength;
        all = [.. tokens.Where(t => t.Text.Length > 0).OrderByDescending(t => t.Text.Length)];
        trie = Trie(t => true); plain = Trie(t => !t.Control);
    }
    ByteTrie Trie(Func<SpecialToken, bool> fits) => new(all.Select((t, i) => (t, i)).Where(x => fits(x.t)).Reverse().Select(x => (x.t.Text, x.i)));

    /// <summary>Fragments of the text in order; nothing is left out but spaces that tokens take along.</summary>
    public List<Fragment> Split(ReadOnlySpan<byte> text, bool control)
    {
        var finder = control ? trie : plain;
        if (text.IsEmpty) return [];
        if (finder.IsEmpty) return [new(0, text.Length)];
        return byLength ? ByLength(text, finder) : Leftmost(text, finder);
    }

    List<Fragment> Leftmost(ReadOnlySpan<byte> text, ByteTrie finder)
    {
        var fragments = new List<Fragment>(); int done = 0;
        for (int at = 0; at < text.Length; at++)
        {
            var (index, length) = finder.Longest(text[at..]);
            if (length == 0) continue;
            var token = all[index]; int start = at, end = at + length;
            at = end - 1;
            if (token.SingleWord && (EndsWithWord(text[..start]) || StartsWithWord(text[end..]))) continue;
            if (token.StripLeft) start = Math.Max(done, text[..start].Length - TrailingSpace(text[..start]));
            if (token.StripRight) end += LeadingSpace(text[end..]);
            start = Math.Max(start, done);
            if (start > done) fragments.Add(new(done, start));
            fragments.Add(new(start, end, token.Id));
            done = end;
        }
        if (done < text.Length) fragments.Add(new(done, text.Length));
        return fragments;
    }

    List<Fragment> ByLength(ReadOnlySpan<byte> text, ByteTrie finder)
    {
        // Which tokens occur at all; only they are looked for in every fragment, the longest first.
        var occur = new SortedSet<int>();
        for (int at = 0; at < text.Length; at++)
            for (int i = at, node = 0; i < text.Length && (node = finder.Next(node, text[i])) >= 0; i++) if (finder.Value(node) >= 0) occur.Add(finder.Value(node));
        var fragments = new List<Fragment> { new(0, text.Length) };
        foreach (int index in occur)
        {
            var token = all[index]; var next = new List<Fragment>(fragments.Count + 2);
            foreach (var f in fragments)
            {
                int from = f.Start, found;
                while (f.Token < 0 && from < f.End && (found = text[from..f.End].IndexOf(token.Text)) >= 0)
                {
                    int start = from + found, end = start + token.Text.Length;
                    if (token.StripLeft) while (start > from && IsSpace(text[start - 1])) start--;
                    if (start > from) next.Add(new(from, start));
                    next.Add(new(start, end, token.Id));
                    from = end;
                    if (token.StripRight) while (from < f.End && IsSpace(text[from])) from++;
                }
                if (from < f.End) next.Add(f.Token >= 0 ? f : new(from, f.End));
            }
            fragments = next;
        }
        return fragments;
    }

    static bool IsSpace(byte b) => b is (byte)' ' or (>= 9 and <= 13);
    static int LeadingSpace(ReadOnlySpan<byte> text)
    {
        int n = 0;
        while (n < text.Length && System.Text.Rune.DecodeFromUtf8(text[n..], out var rune, out int length) == System.Buffers.OperationStatus.Done && CodePoints.IsSpace(rune.Value)) n += length;
        return n;
    }
    static int TrailingSpace(ReadOnlySpan<byte> text)
    {
        int n = 0;
        while (n < text.Length && System.Text.Rune.DecodeLastFromUtf8(text[..^n], out var rune, out int length) == System.Buffers.OperationStatus.Done && CodePoints.IsSpace(rune.Value)) n += length;
        return n;
    }
    static bool StartsWithWord(ReadOnlySpan<byte> text) => !text.IsEmpty && System.Text.Rune.DecodeFromUtf8(text, out var rune, out _) == System.Buffers.OperationStatus.Done && CharSet.Word.Has(rune.Value);
    static bool EndsWithWord(ReadOnlySpan<byte> text) => !text.IsEmpty && System.Text.Rune.DecodeLastFromUtf8(text, out var rune, out _) == System.Buffers.OperationStatus.Done && CharSet.Word.Has(rune.Value);
}
