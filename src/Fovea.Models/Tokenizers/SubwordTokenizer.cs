namespace Fovea.Models;

/// <summary>
/// A vocabulary that was trained elsewhere, read from GGUF metadata or from tokenizer.json: special tokens are found, the text between them is normalised, cut into pieces, and each piece is made of
/// tokens by byte pair encoding or the unigram model. Ids agree with those of the vocabulary's own implementation. Safe for many threads.
/// </summary>
public sealed class SubwordTokenizer : Tokenizer
{
    readonly TokenizerParts parts;
    internal SubwordTokenizer(TokenizerParts parts) => this.parts = parts;

    /// <summary>The vocabulary of a GGUF file; the file may be closed afterwards. <paramref name="name"/> stands in messages.</summary>
    public static SubwordTokenizer FromGguf(GgufFile file, string name = "gguf") => GgufTokenizer.Read(file, name);

    /// <summary>The vocabulary of a tokenizer.json; the tokens that begin and end texts are named in the tokenizer_config.json beside it, if there is one.</summary>
    public static SubwordTokenizer FromJson(string path)
    {
        string config = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "tokenizer_config.json");
        var (bos, eos) = File.Exists(config) ? JsonConfig.Boundaries(File.ReadAllBytes(config), config) : (null, null);
        return FromJson(File.ReadAllBytes(path), path, bos, eos);
    }
    /// <summary>The same from bytes; <paramref name="name"/> stands in messages, <paramref name="bos"/> and <paramref name="eos"/> are texts of tokens.</summary>
    public static SubwordTokenizer FromJson(ReadOnlyMemory<byte> json, string name = "tokenizer.json", string? bos = null, string? eos = null) => JsonTokenizer.Read(json, name, bos, eos);

    public override int VocabularySize => parts.Pieces.Length;
    public override int? Bos => parts.Bos;
    public override int? Eos => parts.Eos;
    public override int LeadingSpaces => parts.LeadingSpaces;
    public override bool Ends(int token) => parts.Ends.Contains(token);

    /// <summary>The id of the special token with this text, or null.</summary>
    public int? Special(string text) => parts.Named.TryGetValue(text, out int id) ? id : null;

    /// <summary>Token ids of plain text: names of control tokens in it are text like any other, and nothing is added.</summary>
    public override int[] Encode(ReadOnlySpan<byte> bytes) => Encode(bytes, special: false);

    public override int[] Encode(ReadOnlySpan<byte> bytes, bool special, bool boundaries = false)
    {
        var ids = new List<int>(bytes.Length / 3 + 2);
        if (boundaries) ids.AddRange(parts.Before);
        Encode(bytes, special, [], ids);
        if (boundaries) ids.AddRange(parts.Behind);
        return [.. ids];
    }

    public override string Mark(string text, char mark)
    {
        string apart = parts.Special.Apart(text, mark);
        if (parts.SpecialNormalised is not { } second) return apart;
        // A name that only appears in the normalised text is not where it could be marked: then every character stands by itself.
        var normal = new PieceText(); CodePoints.Decode(System.Text.Encoding.UTF8.GetBytes(apart), normal);
        return second.Split(CodePoints.Encode((parts.Normaliser?.Apply(normal) ?? normal).All), control: true).Exists(f => second.IsControl(f.Token)) ? mark + string.Join(mark, apart.EnumerateRunes()) + mark : apart;
    }

    public override int[] EncodeMarked(string text, char mark)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(text); var ids = new List<int>(bytes.Length / 3 + 2);
        Encode(bytes, special: true, System.Text.Encoding.UTF8.GetBytes([mark]), ids);
        return [.. ids];
    }

    void Encode(ReadOnlySpan<byte> bytes, bool special, ReadOnlySpan<byte> mark, List<int> ids)
    {
        foreach (var f in parts.Special.Split(bytes, special))
            if (f.Token >= 0) ids.Add(f.Token); else Plain(bytes[f.Start..f.End], f.Start == 0, special, mark, ids);
    }

    void Plain(ReadOnlySpan<byte> bytes, bool atStart, bool special, ReadOnlySpan<byte> mark, List<int> ids)
    {
        if (parts.SpecialNormalised is null) bytes = Without(bytes, mark);
        if (bytes.IsEmpty) return;
        var text = new PieceText();
        CodePoints.Decode(bytes, text);
        text = parts.Normaliser?.Apply(text) ?? text;
        if (parts.SpecialNormalised is not { } second) { Cut(text, atStart, ids); return; }
        byte[] normal = CodePoints.Encode(text.All);
        foreach (var f in second.Split(normal, special))
        {
            if (f.Token >= 0) { ids.Add(f.Token); continue; }
            text = new();
            CodePoints.Decode(Without(normal.AsSpan(f.Start..f.End), mark), text);
            Cut(text, atStart && f.Start == 0, ids);
        }
    }

    static ReadOnlySpan<byte> Without(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> mark)
    {
        if (mark.IsEmpty || bytes.IndexOf(mark) < 0) return bytes;
        var left = new byte[bytes.Length]; int n = 0;
        for (int i = 0; i < bytes.Length;) if (bytes[i..].StartsWith(mark)) i += mark.Length; else left[n++] = bytes[i++];
        return left.AsSpan(0, n);
    }

    void Cut(PieceText text, bool atStart, List<int> ids)
    {
        var pieces = new Pieces(text, atStart);
        foreach (var step in parts.Steps) step.Apply(pieces);
        var (bytes, ends) = pieces.ToBytes();
        var known = ends.Length > 16 ? new PieceCache(ends.Length) : null;
        for (int i = 0, start = 0; i < ends.Length; start = ends[i++])
        {
            if (known?.Repeat(bytes, start, ends[i], ids) == true) continue;
            int first = ids.Count;
            parts.Model.Encode(bytes.AsSpan(start..ends[i]), ids);
            known?.Add(bytes, start, ends[i], first, ids.Count);
        }
    }

    public override byte[] Piece(int token, bool showControl = false)
    {
        if ((uint)token >= (uint)parts.Pieces.Length) throw Unknown(token, 0);
        return parts.Control[token] && !showControl ? [] : parts.Pieces[token];
    }

    public override byte[] Decode(ReadOnlySpan<int> tokens) => Decode(tokens, showControl: false);

    /// <summary>The bytes that the ids stand for, with or without the names of control tokens.</summary>
    public byte[] Decode(ReadOnlySpan<int> tokens, bool showControl)
    {
        var all = new MemoryStream(4 * tokens.Length); int spaces = parts.LeadingSpaces;
        for (int i = 0; i < tokens.Length; i++)
        {
            if ((uint)tokens[i] >= (uint)parts.Pieces.Length) throw Unknown(tokens[i], i);
            ReadOnlySpan<byte> piece = Piece(tokens[i], showControl);
            if (piece.IsEmpty) continue;
            for (; spaces > 0 && !piece.IsEmpty && piece[0] == ' '; spaces--) piece = piece[1..];
            spaces = 0;
            all.Write(piece);
        }
        return all.ToArray();
    }
}
