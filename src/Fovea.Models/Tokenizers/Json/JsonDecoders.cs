using System.Text;
namespace Fovea.Models;

/// <summary>
/// The "decoder" of a tokenizer.json, as what it does to each token and how many spaces it takes from the beginning of a text.
/// </summary>
sealed class JsonDecoders
{
    readonly List<Func<int[], int[]>> steps = [];
    bool bytes, fallback, fused;
    public int LeadingSpaces { get; private set; }

    public JsonDecoders(JsonPart part) { if (!part.IsNull) Read(part); }

    void Read(JsonPart part)
    {
        switch (part.Type())
        {
            case "Sequence": foreach (var p in part["decoders"].Items()) Read(p); break;
            case "ByteLevel": bytes = true; break;
            case "ByteFallback": fallback = true; break;
            case "Fuse": fused = true; break;
            case "Replace":
                var replace = new ReplaceText(JsonNormalisers.Pattern(part["pattern"]), CodePoints.Of(part["content"].Text()));
                steps.Add(token => { var text = new PieceText(); text.Add(token); return replace.Apply(text).All.ToArray(); });
                break;
            case "Metaspace":
                int space = JsonSteps.Replacement(part);
                steps.Add(token => [.. token.Select(c => c == space ? ' ' : c)]);
                if (part["prepend_scheme"].Text(part["add_prefix_space"].Flag(true) ? "always" : "never") != "never") LeadingSpaces = int.MaxValue;
                break;
            case "Strip": Strip(part); break;
            case var other: throw part.Unsupported($"the decoder '{other}'");
        }
    }

    void Strip(JsonPart part)
    {
        int start = part["start"].Whole(), stop = part["stop"].Whole(); int[] content = CodePoints.Of(part["content"].Text());
        if (!fused || stop != 0 || content is not [' '] || start < 0) throw part.Unsupported("stripping anything but spaces at the beginning of the whole text");
        LeadingSpaces = start;
    }

    /// <summary>The bytes that a token stands for; added tokens outside the byte alphabet are themselves.</summary>
    public byte[] Piece(string token)
    {
        if (bytes) return ByteAlphabet.TryDecode(token) ?? Encoding.UTF8.GetBytes(token);
        if (fallback && token is ['<', '0', 'x', var high, var low, '>'] && char.IsAsciiHexDigit(high) && char.IsAsciiHexDigit(low)) return Convert.FromHexString([high, low]);
        int[] text = CodePoints.Of(token);
        foreach (var step in steps) text = step(text);
        return CodePoints.Encode(text);
    }
}
