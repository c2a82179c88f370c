namespace Fovea.Models;

/// <summary>The "pre_tokenizer" of a tokenizer.json.</summary>
static class JsonSteps
{
    const string Space = @"\s", Punctuation = @"[\p{P}!-/:-@\[-`{-~]";

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
            "Whitespace" => new PatternSplit(@"\w+|[^\w\s]+", SplitBehaviour.Removed, invert: true),
            "WhitespaceSplit" => new PatternSplit(Space, SplitBehaviour.Removed),
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
