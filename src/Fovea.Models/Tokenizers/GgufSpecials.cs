namespace Fovea.Models;

/// <summary>What is known of special tokens by their texts alone, as many files do not mark them; the lists are those of llama.cpp.</summary>
static class GgufSpecials
{
    static readonly string[] ends =
    [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
        "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[",
        "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
    ];
    static readonly string[] fill =
    [
        "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>", "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
        "<|code_suffix|>", "<|suffix|>", "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>",
    ];

    /// <summary>Makes control tokens of those that are by their texts.</summary>
    public static void Correct(Dictionary<string, int> ids, long[] kinds)
    {
        foreach (string text in ends.Concat(fill)) if (ids.TryGetValue(text, out int id)) kinds[id] = 3;
        // These are shown, because what they stand between is read from the text.
        foreach (string text in (string[])["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"]) if (ids.TryGetValue(text, out int id)) kinds[id] = 4;
    }

    /// <summary>The tokens that end generation.</summary>
    public static HashSet<int> Ends(Dictionary<string, int> ids, int?[] named)
    {
        var all = ends.Where(ids.ContainsKey).Select(t => ids[t]).Concat(named.OfType<int>()).ToHashSet();
        // Vocabularies with these end a part of a message, not the message, with <|end|>.
        if ((ids.ContainsKey("<|return|>") && ids.ContainsKey("<|call|>")) || (ids.ContainsKey("<|calls|>") && ids.ContainsKey("<|flush|>"))) all.Remove(ids.GetValueOrDefault("<|end|>", -1));
        if (ids.ContainsKey("<|tool_response>")) all.Remove(ids.GetValueOrDefault("</s>", -1));
        return all;
    }

    /// <summary>Phi-3 takes the spaces behind its special tokens along.</summary>
    public static bool StripsRight(string model, string token) =>
        (model.Contains("phi-3", StringComparison.OrdinalIgnoreCase) || model.Contains("phi3", StringComparison.OrdinalIgnoreCase)) && token is not ("<unk>" or "<s>" or "<|endoftext|>");
}
