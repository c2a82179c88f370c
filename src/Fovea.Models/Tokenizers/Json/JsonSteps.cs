namespace Fovea.Models;

/// <summary>The "pre_tokenizer" of a tokenizer.json.</summary>
static class JsonSteps
{
    // What the reference calls part of a word here and beside added tokens; in patterns it is another set.
    const string Word = @"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u200c\u200d\u24b6-\u24e9\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}";
    // Punctuation as the reference knows it: ASCII's signs, and that of Unicode 8.
    const string Punctuation = $@"[[\p{{P}}&&[^{Younger}]]!-/:-@\[-`{{-~\u166d\x{{111c9}}]", Space = @"\s";
    const string Younger = @"\u061d\u09fd\u0a76\u0c77\u0c84\u1b4e\u1b4f\u1b7d-\u1b7f\u2e43-\u2e5d\x{10d6e}\x{10ead}\x{10ed0}\x{10f55}-\x{10f89}\x{113d4}-\x{113d8}\x{1144b}-\x{1145d}\x{11660}-\x{1166c}\x{116b9}\x{1183b}"
        + @"\x{11944}-\x{11946}\x{119e2}\x{11a3f}-\x{11aa2}\x{11b00}-\x{11b09}\x{11be1}\x{11c41}-\x{11c71}\x{11ef7}\x{11ef8}\x{11f43}-\x{11f4f}\x{11fff}\x{12ff1}\x{12ff2}\x{16d6d}-\x{16d6f}\x{16e97}-\x{16e9a}\x{16fe2}\x{1e5ff}\x{1e95e}\x{1e95f}";

    public static IEnumerable<PieceStep> Read(JsonPart part)
    {
        if (part.IsNull) return [];
        if (part.Type() == "Sequence") return part["pretokenizers"].Items().SelectMany(Read);
        return [part.Type() switch
        {
            "ByteLevel" => new ByteLevel(part["add_prefix_space"].Flag(true), part["use_regex"].Flag(true)),
            "Split" => new PatternSplit(JsonNormalisers.Pattern(part["pattern"]), Behaviour(part["behavior"]), part["invert"].Flag(false)),
            "Metaspace" => Metaspace(part),
            "Digits" => new PatternSplit(@"\p{N}", part["individual_digits"].Flag(false) ? SplitBehaviour.Isolated : SplitBehaviour.Contiguous),
            "Punctuation" => new PatternSplit(Punctuation, part["behavior"].IsNull ? SplitBehaviour.Isolated : Behaviour(part["behavior"])),
            "Whitespace" => new PatternSplit($"[{Word}]+|[^{Word}{Space}]+", SplitBehaviour.Removed, invert: true),
            "WhitespaceSplit" => new PatternSplit(Space, SplitBehaviour.Removed),
            "CharDelimiterSplit" => new PatternSplit(JsonNormalisers.Literal(part["delimiter"].Text()), SplitBehaviour.Removed),
            var other => throw part.Unsupported($"the pre-tokenizer '{other}'"),
        }];
    }

    static Metaspace Metaspace(JsonPart part)
    {
        string prepend = part["prepend_scheme"].Text(part["add_prefix_space"].Flag(true) ? "always" : "never");
        if (prepend is not ("always" or "first" or "never")) throw part["prepend_scheme"].Unsupported($"'{prepend}'");
        return new(Replacement(part), prepend, part["split"].Flag(true));
    }

    /// <summary>The one character that stands for a space.</summary>
    public static int Replacement(JsonPart part) => CodePoints.Of(part["replacement"].Text("▁")) is [var one] ? one : throw part["replacement"].Unsupported("anything but one character");

    static SplitBehaviour Behaviour(JsonPart part) => part.Text() switch
    {
        "Isolated" => SplitBehaviour.Isolated,
        "Removed" => SplitBehaviour.Removed,
        "Contiguous" => SplitBehaviour.Contiguous,
        "MergedWithPrevious" => SplitBehaviour.MergedWithPrevious,
        "MergedWithNext" => SplitBehaviour.MergedWithNext,
        var other => throw part.Unsupported($"the behaviour '{other}'"),
    };
}
