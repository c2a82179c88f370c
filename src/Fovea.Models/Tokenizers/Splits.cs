namespace Fovea.Models;

/// <summary>What becomes of what a split finds.</summary>
enum SplitBehaviour { Isolated, Removed, Contiguous, MergedWithPrevious, MergedWithNext }

/// <summary>Cuts pieces where a pattern matches.</summary>
sealed class PatternSplit(Pattern pattern, SplitBehaviour behaviour = SplitBehaviour.Isolated, bool invert = false) : PieceStep
{
    public PatternSplit(string pattern, SplitBehaviour behaviour = SplitBehaviour.Isolated, bool invert = false) : this(Pattern.Parse(pattern), behaviour, invert) { }

    public override void Apply(Pieces pieces)
    {
        var cut = new List<(int, int)>(pieces.Text.Length / 4 + 1); var found = new List<(int Start, int End, bool Match)>();
        foreach (var range in pieces.Ranges)
        {
            var text = pieces[range]; int at = 0, from = 0; bool any = false;
            found.Clear();
            while (from <= text.Length && pieces.Run.Find(pattern, text, from, out int start, out int end))
            {
                from = end > start ? end : end + 1;
                // An empty match counts, since it keeps its neighbours apart, but not right behind another match.
                if (start == end && any && start == at) continue;
                if (start > at) found.Add((range.Start + at, range.Start + start, invert));
                found.Add((range.Start + start, range.Start + end, !invert));
                (at, any) = (end, true);
            }
            if (at < text.Length) found.Add((range.Start + at, range.End, invert));
            Join(found, cut);
        }
        pieces.Cut(cut);
    }

    void Join(List<(int Start, int End, bool Match)> found, List<(int, int)> cut)
    {
        int first = cut.Count;
        for (int i = 0; i < found.Count; i++)
        {
            var (start, end, match) = found[i]; bool before = i > 0 && found[i - 1].Match;
            bool join = behaviour switch
            {
                SplitBehaviour.Contiguous => i > 0 && match == before,
                SplitBehaviour.MergedWithPrevious => i > 0 && match && !before,
                SplitBehaviour.MergedWithNext => i > 0 && !match && before,
                _ => false,
            };
            if (behaviour == SplitBehaviour.Removed && match) continue;
            if (join && cut.Count > first) cut[^1] = (cut[^1].Item1, end); else cut.Add((start, end));
        }
        int kept = first;
        for (int i = first; i < cut.Count; i++) if (cut[i].Item1 < cut[i].Item2) cut[kept++] = cut[i];
        cut.RemoveRange(kept, cut.Count - kept);
    }
}

/// <summary>Cuts behind the digits of a number that stand before a multiple of three others; what is before the number stays with its first group.</summary>
sealed class DigitGroups : PieceStep
{
    public override void Apply(Pieces pieces)
    {
        var cut = new List<(int, int)>(pieces.Ranges.Count + pieces.Text.Length / 8);
        foreach (var (start, end) in pieces.Ranges)
        {
            int from = start;
            for (int at = start, stop; at < end; at = stop)
            {
                for (stop = at; stop < end && CharSet.Number.Has(pieces.Text.All[stop]);) stop++;
                for (int group = at + (stop - at) % 3; group <= stop && at < stop; group += 3) if (group > at) { cut.Add((from, group)); from = group; }
                if (stop == at) stop++;
            }
            if (from < end) cut.Add((from, end));
        }
        pieces.Cut(cut);
    }
}

/// <summary>Replaces spaces by ▁, puts one in front (of every piece, of the first, or of none) and cuts before each.</summary>
sealed class Metaspace(int replacement, string prepend, bool split) : PieceStep
{
    readonly PatternSplit cut = new(Pattern.Parse($"\\x{{{replacement:x}}}"), SplitBehaviour.MergedWithNext);

    public override void Apply(Pieces pieces)
    {
        var before = pieces.Text; var ranges = pieces.Ranges;
        pieces.Rewrite((i, to) =>
        {
            var piece = before.All[ranges[i].Start..ranges[i].End];
            bool wanted = prepend == "always" || (prepend == "first" && pieces.AtStart && i == 0);
            if (wanted && piece[0] != replacement && piece[0] != ' ') to.Add(replacement);
            foreach (int c in piece) to.Add(c == ' ' ? replacement : c);
        });
        if (split) cut.Apply(pieces);
    }
}

/// <summary>The step of byte-level vocabularies: a space in front if wanted, GPT-2's cuts if wanted, then every byte becomes its character.</summary>
sealed class ByteLevel(bool prefixSpace, bool cuts) : PieceStep
{
    static readonly Pattern gpt2 = Pattern.Parse(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+");
    readonly PatternSplit split = new(gpt2);

    public override void Apply(Pieces pieces)
    {
        if (prefixSpace)
        {
            var before = pieces.Text; var ranges = pieces.Ranges;
            pieces.Rewrite((i, to) =>
            {
                var piece = before.All[ranges[i].Start..ranges[i].End];
                if (piece[0] != ' ') to.Add(' ');
                to.Add(piece);
            });
        }
        if (cuts) split.Apply(pieces);
        Map(pieces);
    }

    static void Map(Pieces pieces)
    {
        var before = pieces.Text; var ranges = pieces.Ranges;
        pieces.Rewrite((i, to) =>
        {
            Span<byte> bytes = stackalloc byte[4];
            foreach (int c in before.All[ranges[i].Start..ranges[i].End])
                foreach (byte b in bytes[..CodePoints.Encode(c, bytes)]) to.Add(ByteAlphabet.Letter(b));
        });
        pieces.Mapped = true;
    }
}
