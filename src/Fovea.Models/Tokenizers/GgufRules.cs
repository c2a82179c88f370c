namespace Fovea.Models;

/// <summary>
/// How a GGUF vocabulary of byte pairs cuts text, by the name in "tokenizer.ggml.pre": patterns that are applied one after the other, each within the pieces of those before.
/// Names and rules are those of llama.cpp.
/// </summary>
sealed record GgufRule(params string[] Patterns)
{
    /// <summary>A piece that is a token stays whole.</summary>
    public bool WholeFirst { get; init; }
    /// <summary>Adds the first token unless the file says otherwise.</summary>
    public bool Bos { get; init; }
    /// <summary>Tokens are written as text with ▁ for spaces, not in the byte alphabet.</summary>
    public bool Text { get; init; }
    /// <summary>Digits are cut in threes, counted from the end of the number, before any pattern.</summary>
    public bool Thousands { get; init; }

    public PieceStep[] Steps => [.. Thousands ? (PieceStep[])[new DigitGroups()] : [], .. Patterns.Select(p => new PatternSplit(p))];

    const string Tail = @" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const string Short = @"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
    const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    const string Llama3 = $@"{Short}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{Tail}";
    const string Qwen2 = $@"{Short}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{Tail}";
    const string Qwen35 = $@"{Short}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const string Deepseek3 = @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const string Cased = @"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+{0}|[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*{0}|\p{N}{1}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    static readonly string gpt4O = Cased.Replace("{0}", Short + "?").Replace("{1}", "{1,3}");
    const string Letters =
        @"A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481" +
        @"\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57" +
        @"\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D" +
        @"\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787" +
        @"\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}" +
        @"\x{1E900}-\x{1E943}";
    // The reference sees white space beyond ASCII as a vertical tab wherever a pattern names no category, so that ranges never contain it.
    const string EastAsian = @"[\u0800-\u9FA5\uAC00-\uD7FF&&\S]+", Kana = @"[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
    // It knows no difference between the kinds of letters, either.
    const string Marked = $@"[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+{Short}?|\p{{N}}{{0}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const string Han = @"\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBEF}\x{2F800}-\x{2FA1F}";
    const string SouthEast = @"[\u4E00-\u9FFF\u3400-\u4DBF\u8C48-\uFAFF\u3040-\u30FF\uFF65-\uFF9F\u2F00-\u2FDF\u0E40-\u0EFF\u1780-\u17FF\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF\uAC00-\uD7AF\u1100-\u11FF]+";
    const string Words = @" ?[^(\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+";

    /// <summary>The rule of a name; an <see cref="InvalidDataException"/> that names it where there is none.</summary>
    public static GgufRule Of(string name, string file) => name switch
    {
        "gpt-2" or "phi-2" or "jina-es" or "jina-de" or "jina-v1-en" or "jina-v2-es" or "jina-v2-de" or "jina-v2-code" or "roberta-bpe" or "gigachat" or "a.x-4.0" or "mellum" or "modern-bert" or "exaone4"
            or "mpt" or "olmo" or "jais" or "trillion" or "granite-docling" => new(Gpt2),
        "llama3" or "llama-v3" or "llama-bpe" or "falcon3" or "falcon-h1" or "pixtral" or "midm-2.0" or "lfm2" or "jina-v5-nano" => new(Llama3) { WholeFirst = true, Bos = true },
        "dbrx" or "smaug-bpe" or "glm4" or "chatglm-bpe" => new(Llama3),
        "qwen2" or "deepseek-r1-qwen" or "kormo" or "f2llmv2" or "megrez" or "stablelm2" or "hunyuan" or "solar-open" or "grok-2" => new(Qwen2),
        "qwen35" => new(Qwen35),
        "deepseek-llm" => new("[\r\n]", $@"\s?[{Letters}]+", @"\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3001\u3002]+", @"\s+$", EastAsian, @"\p{N}+"),
        "deepseek-coder" => new("[\r\n]", @"\s?\p{L}+", @"\s?\p{P}+", EastAsian, @"\p{N}"),
        "deepseek-v3" or "hunyuan-dense" or "joyai-llm" or "hy_v4" => new(@"\p{N}{1,3}", Kana, Deepseek3),
        "afmoe" => new(SouthEast, Deepseek3) { Thousands = true },
        "youtu" => new($@"[\uAC00-\uD7A3\u3131-\u318E]+|[\uFF01\u2026\u201C\u201D\u2018\u2019\u2014\uFF1A\uFF1B\uFF0C\u3001-\u303F\uFE30-\uFE4F]+|[\u3105-\u312F]+|{Kana}", Marked.Replace("{0}", "")) { WholeFirst = true },
        "kimi-k2" => new($@"[{Han}]+|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}&&[^{Han}]]+{Short}?|\p{{N}}{{1,3}}|{Tail}"),
        "jais-2" => new(Llama3.Replace(@"|\s+(?!\S)|\s+", string.Concat(new[] { "512", "256", "128", "64", "32", "16", "8", "4", "1,2" }.Select(n => $@"|\s{{{n}}}(?!\S)")) + @"|\s")),
        "falcon" => new(@"[\p{P}\$\+<=>\^~\|`]+", Gpt2, "[0-9][0-9][0-9]"),
        "starcoder" or "refact" or "command-r" or "smollm" or "codeshell" or "exaone" or "minerva-7b" or "mellum2" => new(@"\p{N}", Gpt2),
        "poro-chat" or "bloom" or "gpt3-finnish" => new(Words),
        "viking" => new(Words, @"\p{N}"),
        "tekken" => new(Cased.Replace("{0}", "").Replace("{1}", "")) { WholeFirst = true, Bos = true },
        "gpt-4o" or "llama4" or "kanana2" or "talkie" or "minimax-m2" => new(gpt4O),
        "chameleon" => new("<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\t\n]|    |  )", @"\p{N}", @"[\p{P}!-/:-@\[-`{-~]", Gpt2) { Bos = true },
        "tiny_aya" or "cohere2moe" => new(Marked.Replace("{0}", "{1,3}")) { Thousands = true },
        "granite-embed-multi-97m" => new(gpt4O.Replace(@"\p{L}&&", @"\p{L}\p{M}&&")) { WholeFirst = true },
        "superbpe" => new(@"\p{N}+", @"(?=(\d{3})+(?!\d))"),
        "bailingmoe" or "bailingmoe2" or "llada-moe" => new(@"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"),
        "seed-coder" => new($@"{Short}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"),
        "exaone-moe" => new($@"{Short}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"),
        "minicpm5" => new(@"\p{N}{1,3}", $@"{Short}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}+|{Tail}") { WholeFirst = true },
        "gemma4" or "granite-embed-multi-311m" => new("[^\n]+|[\n]+") { Text = true, Bos = true },
        "sarvam-moe" => new("[^\n]+|[\n]+") { Text = true },
        "default" or "" => new(@"[\p{P}\$\+<=>\^~\|]+", Gpt2, @"\p{N}+", "[0-9][0-9][0-9]"),
        _ => throw new InvalidDataException($"{file}: metadata 'tokenizer.ggml.pre' is '{(name.Length <= 80 ? name : name[..80] + "…")}', a way to cut text that is not known"),
    };
}
