namespace Fovea.Models;

/// <summary>A token that is found in the text itself, before anything else happens to it.</summary>
sealed record SpecialToken(int Id, byte[] Text)
{
    /// <summary>Found only where special tokens are asked for.</summary>
    public bool Control { get; init; }
    /// <summary>Takes the spaces before it, and behind it, along.</summary>
    public bool StripLeft { get; init; }
    public bool StripRight { get; init; }
    /// <summary>Only where no part of a word touches it.</summary>
    public bool SingleWord { get; init; }
}

/// <summary>A stretch of text, or a token.</summary>
readonly record struct Fragment(int Start, int End, int Token = -1);

/// <summary>Finds special tokens: the longest first, wherever they are (as llama.cpp does), or the leftmost first and of those the longest (as the Hugging Face library does).</summary>
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

    /// <summary>Whether this is a control token's id.</summary>
    public bool IsControl(int id) => Array.Exists(all, t => t.Control && t.Id == id);

    /// <summary>The text with a mark behind the first character of every name of a control token, and at its ends where it could complete a name with what stands beside it.</summary>
    public string Apart(string text, char mark)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(text); var cuts = new SortedSet<int>();
        for (int at = 0; at < bytes.Length; at++)
            for (int i = at, node = 0; i < bytes.Length && (node = trie.Next(node, bytes[i])) >= 0; i++)
                if (trie.Value(node) is >= 0 and var token && all[token].Control) { cuts.Add(at + Character(bytes.AsSpan(at))); break; }
        // Templates often trim texts, so the ends are those without white space.
        int first = 0, last = bytes.Length;
        while (first < last && IsSpace(bytes[first])) first++;
        while (last > first && IsSpace(bytes[last - 1])) last--;
        ReadOnlySpan<byte> inner = bytes.AsSpan(first..last);
        if (inner.IsEmpty) return text;
        foreach (var t in all)
        {
            if (!t.Control) continue;
            for (int k = 1; k < t.Text.Length; k++)
            {
                ReadOnlySpan<byte> head = t.Text.AsSpan(0, k), tail = t.Text.AsSpan(k);
                if (inner.StartsWith(tail) || tail.StartsWith(inner)) cuts.Add(first);
                if (inner.EndsWith(head)) cuts.Add(last);
            }
        }
        if (cuts.Count == 0) return text;
        var marked = new System.Text.StringBuilder(); int done = 0;
        foreach (int cut in cuts) { marked.Append(System.Text.Encoding.UTF8.GetString(bytes, done, cut - done)).Append(mark); done = cut; }
        return marked.Append(System.Text.Encoding.UTF8.GetString(bytes, done, bytes.Length - done)).ToString();
    }
    static int Character(ReadOnlySpan<byte> text) { System.Text.Rune.DecodeFromUtf8(text, out _, out int length); return length; }

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
            if (token.StripLeft) start -= TrailingSpace(text[..start]);
            if (token.StripRight) end += LeadingSpace(text[end..]);
            start = Math.Max(start, done);
            // The token before has taken all of it; without StripLeft the reference finds it there a second time.
            if (start >= end && token.StripLeft) continue;
            if (start > done) fragments.Add(new(done, start));
            fragments.Add(new(start, end, token.Id));
            done = end;
        }
        if (done < text.Length) fragments.Add(new(done, text.Length));
        return fragments;
    }

    List<Fragment> ByLength(ReadOnlySpan<byte> text, ByteTrie finder)
    {
        // Only the lengths that occur at all are looked for, the longest first, each in what those before it have left.
        var lengths = new SortedSet<int>();
        for (int at = 0; at < text.Length; at++)
            for (int i = at, node = 0; i < text.Length && (node = finder.Next(node, text[i])) >= 0; i++) if (finder.Value(node) >= 0) lengths.Add(i + 1 - at);
        var fragments = new List<Fragment> { new(0, text.Length) };
        foreach (int length in lengths.Reverse())
        {
            var next = new List<Fragment>(fragments.Count + 2);
            foreach (var f in fragments) if (f.Token >= 0) next.Add(f); else Cut(text, f, length, finder, next);
            fragments = next;
        }
        return fragments;
    }

    void Cut(ReadOnlySpan<byte> text, Fragment f, int length, ByteTrie finder, List<Fragment> to)
    {
        int from = f.Start;
        for (int at = f.Start; at + length <= f.End; at++)
        {
            int node = 0;
            for (int i = at; i < at + length && node >= 0; i++) node = finder.Next(node, text[i]);
            if (node < 0 || finder.Value(node) < 0) continue;
            var token = all[finder.Value(node)]; int start = at;
            if (token.StripLeft) while (start > from && IsSpace(text[start - 1])) start--;
            if (start > from) to.Add(new(from, start));
            to.Add(new(start, at + length, token.Id));
            from = at + length;
            if (token.StripRight) while (from < f.End && IsSpace(text[from])) from++;
            at = from - 1;
        }
        if (from < f.End) to.Add(new(from, f.End));
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
    static bool StartsWithWord(ReadOnlySpan<byte> text) => !text.IsEmpty && System.Text.Rune.DecodeFromUtf8(text, out var rune, out _) == System.Buffers.OperationStatus.Done && CharSet.UnicodeWord.Has(rune.Value);
    static bool EndsWithWord(ReadOnlySpan<byte> text) => !text.IsEmpty && System.Text.Rune.DecodeLastFromUtf8(text, out var rune, out _) == System.Buffers.OperationStatus.Done && CharSet.UnicodeWord.Has(rune.Value);
}
