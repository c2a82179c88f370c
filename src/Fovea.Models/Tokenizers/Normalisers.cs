namespace Fovea.Models;

/// <summary>Rewrites a stretch of text.</summary>
abstract class Normaliser
{
    public abstract PieceText Apply(PieceText text);
}

/// <summary>One after the other.</summary>
sealed class InOrder(params Normaliser[] all) : Normaliser
{
    public override PieceText Apply(PieceText text)
    {
        foreach (var n in all) text = n.Apply(text);
        return text;
    }
}

/// <summary>Puts text in front of what is not empty.</summary>
sealed class Prepend(int[] front) : Normaliser
{
    public override PieceText Apply(PieceText text)
    {
        if (text.Length == 0) return text;
        var to = new PieceText();
        to.Add(front); to.Add(text.All);
        return to;
    }
}

/// <summary>Replaces every match of a pattern.</summary>
sealed class ReplaceText(Pattern pattern, int[] by) : Normaliser
{
    public override PieceText Apply(PieceText text)
    {
        var to = new PieceText(); var run = new PatternRun(); int at = 0, from = 0;
        to.Reserve(text.Length);
        while (from <= text.Length && run.Find(pattern, text.All, from, out int start, out int end))
        {
            to.Add(text.All[at..start]); to.Add(by);
            at = end; from = end > start ? end : end + 1;
        }
        to.Add(text.All[at..]);
        return to;
    }
}

/// <summary>Every character by itself.</summary>
sealed class EachCharacter(Action<int, PieceText> write) : Normaliser
{
    public override PieceText Apply(PieceText text)
    {
        var to = new PieceText();
        to.Reserve(text.Length);
        foreach (int c in text.All) write(c, to);
        return to;
    }
    public static EachCharacter Replace(int from, int to) => new((c, text) => text.Add(c == from ? to : c));
}

/// <summary>Takes white space away at the ends.</summary>
sealed class StripSpace(bool left, bool right) : Normaliser
{
    public override PieceText Apply(PieceText text)
    {
        int start = 0, end = text.Length;
        if (left) while (start < end && CodePoints.IsSpace(text.All[start])) start++;
        if (right) while (end > start && CodePoints.IsSpace(text.All[end - 1])) end--;
        var to = new PieceText();
        to.Add(text.All[start..end]);
        return to;
    }
}

/// <summary>
/// What SentencePiece does before its unigram model: rules for characters, ▁ for spaces, runs of them as one where extra spaces go, and one in front.
/// </summary>
sealed class SentencePieceText(CharsMap? rules, ByteTrie userDefined, bool prefix, bool merge) : Normaliser
{
    const int Space = 0x2581;

    public override PieceText Apply(PieceText text)
    {
        byte[] bytes = CodePoints.Encode(text.All); var to = new List<byte>(bytes.Length + 3);
        bool word = false, begun = false; Span<byte> space = stackalloc byte[3];
        CodePoints.Encode(Space, space);
        for (int at = 0, used; at < bytes.Length; at += used)
            foreach (byte b in Next(bytes.AsSpan(at), out used))
            {
                if (b == ' ') { word = false; if (!merge) to.AddRange(space); continue; }
                if (!word && ((prefix && !begun) || merge)) { to.AddRange(space); begun = true; }
                word = true;
                to.Add(b);
            }
        var result = new PieceText();
        CodePoints.Decode(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(to), result);
        return result;
    }

    ReadOnlySpan<byte> Next(ReadOnlySpan<byte> text, out int used)
    {
        int node = 0;
        for (used = 0; used < text.Length && (node = userDefined.Next(node, text[used])) >= 0;) used++;
        if (used > 0) return text[..used];
        if (rules is not null)
        {
            var replaced = rules.Replace(text, shortest: false, out used);
            if (used > 0) return replaced;
        }
        return System.Text.Rune.DecodeFromUtf8(text, out _, out used) == System.Buffers.OperationStatus.Done ? text[..used] : Replacement(out used);
    }
    static ReadOnlySpan<byte> Replacement(out int used) { used = 1; return "\ufffd"u8; }
}
