using System.Text.Json;
namespace Fovea.Models;

/// <summary>
/// Byte pair encoding (1508.07909) on bytes: ids below 256 are bytes, id 256 + i is the i-th merge of two earlier ids.
/// Text is first cut into pieces (a run of letters, digits, spaces or other signs, with the one space before it, at most 64 bytes),
/// and merges never cross a cut; the cuts read bytes, so any bytes go in and come out.
/// </summary>
[From("1508.07909", "Algorithm 1")]
public sealed class BytePairTokenizer : Tokenizer
{
    const int LongestPiece = 64, Largest = 1 << 20;
    const string Kind = "fovea-byte-pairs";
    readonly (int Left, int Right)[] merges;
    readonly Dictionary<(int, int), int> ranks = [];
    readonly byte[][] bytes;

    BytePairTokenizer(IReadOnlyList<(int Left, int Right)> merges)
    {
        this.merges = [.. merges];
        bytes = new byte[256 + merges.Count][];
        for (int i = 0; i < 256; i++) bytes[i] = [(byte)i];
        for (int i = 0; i < merges.Count; i++)
        {
            var (l, r) = merges[i];
            if (l < 0 || r < 0 || l >= 256 + i || r >= 256 + i) throw new InvalidDataException($"merge {i} joins {l} and {r}, expected ids from 0 to {255 + i}");
            if (bytes[l].Length + bytes[r].Length > LongestPiece) throw new InvalidDataException($"merge {i} makes a token of {bytes[l].Length + bytes[r].Length} bytes, expected at most {LongestPiece}");
            if (!ranks.TryAdd((l, r), i)) throw new InvalidDataException($"merge {i} joins {l} and {r} a second time");
            bytes[256 + i] = [.. bytes[l], .. bytes[r]];
        }
    }

    public override int VocabularySize => 256 + merges.Length;
    public IReadOnlyList<(int Left, int Right)> Merges => merges;

    /// <summary>
    /// Merges the most frequent pair of neighbours until the vocabulary is full or no pair occurs twice. Of equally frequent pairs
    /// the one with the smaller ids goes first, so the same bytes always give the same vocabulary.
    /// </summary>
    public static BytePairTokenizer Train(ReadOnlySpan<byte> text, int vocabularySize)
    {
        if (vocabularySize is < 256 or > Largest) throw new ArgumentOutOfRangeException(nameof(vocabularySize), vocabularySize, $"vocabularySize must be 256 to {Largest}");
        return new(new BytePairTraining(text).Run(vocabularySize - 256));
    }

    public override int[] Encode(ReadOnlySpan<byte> text)
    {
        var tokens = new List<int>(text.Length / 2 + 1);
        Span<int> piece = stackalloc int[LongestPiece];
        while (!text.IsEmpty)
        {
            int n = PieceLength(text);
            for (int i = 0; i < n; i++) piece[i] = text[i];
            foreach (int t in piece[..Merge(piece[..n])]) tokens.Add(t);
            text = text[n..];
        }
        return [.. tokens];
    }

    /// <summary>Applies the earliest possible merge, everywhere, until none applies; returns how many ids are left.</summary>
    int Merge(Span<int> ids)
    {
        int n = ids.Length;
        while (n > 1)
        {
            int best = int.MaxValue;
            for (int i = 0; i + 1 < n; i++) if (ranks.TryGetValue((ids[i], ids[i + 1]), out int rank) && rank < best) best = rank;
            if (best == int.MaxValue) break;
            n = Replace(ids[..n], merges[best], 256 + best);
        }
        return n;
    }

    /// <summary>Replaces a pair by an id, left to right and in place; returns the new length.</summary>
    internal static int Replace(Span<int> ids, (int Left, int Right) pair, int id)
    {
        int to = 0;
        for (int from = 0; from < ids.Length; from++)
        {
            bool match = from + 1 < ids.Length && ids[from] == pair.Left && ids[from + 1] == pair.Right;
            ids[to++] = match ? id : ids[from];
            if (match) from++;
        }
        return to;
    }

    public override byte[] Decode(ReadOnlySpan<int> tokens)
    {
        var all = new List<byte>(tokens.Length * 3);
        for (int i = 0; i < tokens.Length; i++) all.AddRange((uint)tokens[i] < (uint)bytes.Length ? bytes[tokens[i]] : throw Unknown(tokens[i], i));
        return [.. all];
    }

    /// <summary>How many bytes the first piece of a non-empty text has.</summary>
    internal static int PieceLength(ReadOnlySpan<byte> text)
    {
        int start = text[0] == ' ' && text.Length > 1 && ClassOf(text[1]) != Class.Space ? 1 : 0, n = start + 1;
        for (var c = ClassOf(text[start]); n < text.Length && n < LongestPiece && ClassOf(text[n]) == c; n++)
            if (c == Class.Space && text[n] == ' ' && n + 1 < text.Length && ClassOf(text[n + 1]) != Class.Space) break;      // this space belongs to the next word
        return n;
    }
    enum Class { Letter, Digit, Space, Sign }
    // Bytes from 128 are parts of letters in almost all UTF-8 text.
    static Class ClassOf(byte b) => b >= 128 || char.IsAsciiLetter((char)b) ? Class.Letter : char.IsAsciiDigit((char)b) ? Class.Digit : b is (byte)' ' or (>= 9 and <= 13) ? Class.Space : Class.Sign;

    /// <summary>Writes the merges as JSON; the file appears whole or not at all.</summary>
    public void Save(string path) => AtomicFile.Write(path, stream =>
    {
        using var json = new Utf8JsonWriter(stream);
        json.WriteStartObject();
        json.WriteString("kind", Kind); json.WriteNumber("version", 1);
        json.WriteStartArray("merges");
        foreach (var (l, r) in merges) { json.WriteNumberValue(l); json.WriteNumberValue(r); }
        json.WriteEndArray();
        json.WriteEndObject();
    });

    /// <summary>Reads what Save wrote; anything else is an <see cref="InvalidDataException"/> that names the file.</summary>
    public static BytePairTokenizer Load(string path)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path), new() { MaxDepth = 4 });
            var root = json.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("kind", out var kind) || kind.ValueKind != JsonValueKind.String || kind.GetString() != Kind)
                throw new InvalidDataException($"is not a tokenizer, expected \"kind\": \"{Kind}\"");
            if (!root.TryGetProperty("version", out var version) || version.ValueKind != JsonValueKind.Number || !version.TryGetInt32(out int v) || v != 1) throw new InvalidDataException("has another version than 1");
            if (!root.TryGetProperty("merges", out var list) || list.ValueKind != JsonValueKind.Array || list.GetArrayLength() % 2 != 0) throw new InvalidDataException("lacks \"merges\", an array of pairs of ids");
            var ids = new List<int>(list.GetArrayLength());
            foreach (var e in list.EnumerateArray()) ids.Add(e.ValueKind == JsonValueKind.Number && e.TryGetInt32(out int id) ? id : throw new InvalidDataException("\"merges\" holds something that is not an id"));
            return new([.. Enumerable.Range(0, ids.Count / 2).Select(i => (ids[2 * i], ids[2 * i + 1]))]);
        }
        catch (Exception e) when (e is JsonException or InvalidDataException or InvalidOperationException) { throw new InvalidDataException($"{path}: {e.Message}", e); }
    }
}
