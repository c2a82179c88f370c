namespace Fovea.Models;

/// <summary>How <see cref="BytePairModel"/> begins and what it does about the unknown.</summary>
sealed record BytePairOptions
{
    /// <summary>Symbols begin as bytes (true) or as characters.</summary>
    public bool Bytes { get; init; }
    /// <summary>A piece that is a token stays whole.</summary>
    public bool WholeFirst { get; init; }
    /// <summary>The same for pieces of nothing but line ends.</summary>
    public bool WholeLines { get; init; }
    /// <summary>Characters without a token become the tokens &lt;0x00&gt; … &lt;0xFF&gt;.</summary>
    public bool ByteFallback { get; init; }
    /// <summary>What else becomes of the unknown; −1: nothing.</summary>
    public int Unknown { get; init; } = -1;
    /// <summary>Where nothing becomes of the unknown, what stands on its two sides may merge.</summary>
    public bool SkipUnknown { get; init; }
    /// <summary>Unknowns side by side become one.</summary>
    public bool FuseUnknown { get; init; }
}

/// <summary>Byte pair encoding with a list of merges, the earlier first.</summary>
sealed class BytePairModel : MergeModel
{
    readonly TokenTable tokens;
    readonly BytePairOptions options;
    readonly Dictionary<ulong, (int Rank, int Id)> merges;
    readonly int[] bytes = new int[256];

    /// <summary>
    /// Merges are pairs of texts in the form of the table. A text outside the table may take part where <paramref name="lenient"/>: it has an id behind the others and comes out as the tokens of its bytes.
    /// </summary>
    public BytePairModel(TokenTable tokens, IReadOnlyList<(byte[] Left, byte[] Right)> rules, BytePairOptions options, bool lenient)
    {
        (this.tokens, this.options) = (tokens, options);
        for (int b = 0; b < 256; b++) bytes[b] = options.Bytes ? tokens.Find([(byte)b]) : tokens.Find(System.Text.Encoding.ASCII.GetBytes($"<0x{b:X2}>"));
        var outside = new Dictionary<string, int>(StringComparer.Ordinal);
        merges = new(rules.Count);
        for (int i = 0; i < rules.Count; i++)
        {
            var (left, right) = rules[i];
            // Of equal pairs the first counts.
            merges.TryAdd(Pair(Id(left, i), Id(right, i)), (i, Id([.. left, .. right], i)));
        }
        int Id(byte[] text, int rule)
        {
            int id = tokens.Find(text);
            if (id >= 0) return id;
            if (!lenient) throw new InvalidDataException($"merge {rule} needs the token '{System.Text.Encoding.UTF8.GetString(text)}', which is not in the vocabulary");
            string key = System.Text.Encoding.Latin1.GetString(text);
            if (!outside.TryGetValue(key, out id)) outside[key] = id = tokens.Count + outside.Count;
            return id;
        }
        // A byte without a token can still take part in merges.
        if (options.Bytes) for (int b = 0; b < 256; b++) if (bytes[b] < 0 && outside.TryGetValue(((char)b).ToString(), out int id)) bytes[b] = id;
    }

    static ulong Pair(int left, int right) => (ulong)(uint)left << 32 | (uint)right;

    protected override bool Whole(ReadOnlySpan<byte> piece, out int id)
    {
        id = options.WholeFirst || (options.WholeLines && !piece.ContainsAnyExcept((byte)'\n')) ? tokens.Find(piece) : -1;
        return id >= 0;
    }

    protected override int Symbols(ReadOnlySpan<byte> piece, Span<Symbol> to)
    {
        int n = 0;
        if (options.Bytes)
        {
            for (; n < piece.Length; n++) to[n] = new() { Start = n, End = n + 1, Id = bytes[piece[n]] };
            return n;
        }
        for (int at = 0; at < piece.Length;)
        {
            System.Text.Rune.DecodeFromUtf8(piece[at..], out _, out int length);
            int id = tokens.Find(piece.Slice(at, length));
            if (id < 0 && HasBytes(piece.Slice(at, length))) for (; length > 0; length--, at++) to[n++] = new() { Start = at, End = at + 1, Id = bytes[piece[at]] };
            else
            {
                if (id >= 0 || !options.SkipUnknown || options.Unknown >= 0) to[n++] = new() { Start = at, End = at + length, Id = id };
                at += length;
            }
        }
        return n;
    }

    bool HasBytes(ReadOnlySpan<byte> text)
    {
        if (!options.ByteFallback) return false;
        foreach (byte b in text) if (bytes[b] < 0) return false;
        return true;
    }

    protected override long Order(ReadOnlySpan<byte> piece, in Symbol left, in Symbol right, out int id)
    {
        bool found = merges.TryGetValue(Pair(left.Id, right.Id), out var merge);
        id = merge.Id;
        return found ? merge.Rank : -1;
    }

    protected override void Emit(ReadOnlySpan<byte> piece, in Symbol symbol, List<int> ids)
    {
        if ((uint)symbol.Id < (uint)tokens.Count) ids.Add(symbol.Id);
        else if (options.Bytes) { foreach (byte b in piece[symbol.Start..symbol.End]) if ((uint)bytes[b] < (uint)tokens.Count) ids.Add(bytes[b]); }
        else if (options.Unknown >= 0 && !(options.FuseUnknown && symbol.Start > 0 && ids.Count > 0 && ids[^1] == options.Unknown)) ids.Add(options.Unknown);
    }
}
