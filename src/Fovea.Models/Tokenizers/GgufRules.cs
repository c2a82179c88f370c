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

    const string Tail = @" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const string Short = @"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
    const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    const string Llama3 = $@"{Short}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{Tail}";
    const string Qwen2 = $@"{Short}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{Tail}";
    const string Qwen35 = $@"{Short}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const string Deepseek3 = @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const string Cased = @"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+{0}|[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*{0}|\p{N}{1}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    static readonly string gpt4O = Cased.Replace("{0}", Short + "?").Replace("{1}", "{1,3}");
    const string Letters = "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃";
    const string Words = @" ?[^(\s|.,!?…。，、।۔،)]+";

    /// <summary>The rule of a name; an <see cref="InvalidDataException"/> that names it where there is none.</summary>
    public static GgufRule Of(string name, string file) => name switch
    {
        "gpt-2" or "phi-2" or "jina-es" or "jina-de" or "jina-v1-en" or "jina-v2-es" or "jina-v2-de" or "jina-v2-code" or "roberta-bpe" or "gigachat" or "a.x-4.0" or "mellum" or "modern-bert" or "exaone4"
            or "mpt" or "olmo" or "jais" or "trillion" or "granite-docling" => new(Gpt2),
        "llama3" or "llama-v3" or "llama-bpe" or "falcon3" or "falcon-h1" or "pixtral" or "midm-2.0" or "lfm2" or "jina-v5-nano" => new(Llama3) { WholeFirst = true, Bos = true },
        "dbrx" or "smaug-bpe" or "glm4" or "chatglm-bpe" => new(Llama3),
        "qwen2" or "deepseek-r1-qwen" or "kormo" or "f2llmv2" or "megrez" or "stablelm2" or "hunyuan" or "solar-open" or "grok-2" => new(Qwen2),
        "qwen35" => new(Qwen35),
        "deepseek-llm" => new("[\r\n]", $@"\s?[{Letters}]+", @"\s?[!-/:-~！-／：-～‘-‟　-。]+", @"\s+$", "[一-龥ࠀ-一가-\ud7ff]+", @"\p{N}+"),
        "deepseek-coder" => new("[\r\n]", @"\s?\p{L}+", @"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", @"\p{N}"),
        "deepseek-v3" or "hunyuan-dense" or "joyai-llm" or "hy_v4" => new(@"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", Deepseek3),
        "falcon" => new(@"[\p{P}\$\+<=>\^~\|`]+", Gpt2, "[0-9][0-9][0-9]"),
        "starcoder" or "refact" or "command-r" or "smollm" or "codeshell" or "exaone" or "minerva-7b" or "mellum2" => new(@"\p{N}", Gpt2),
        "poro-chat" or "bloom" or "gpt3-finnish" => new(Words),
        "viking" => new(Words, @"\p{N}"),
        "tekken" => new(Cased.Replace("{0}", "").Replace("{1}", "")) { WholeFirst = true, Bos = true },
        "gpt-4o" or "llama4" or "kanana2" or "talkie" or "minimax-m2" => new(gpt4O),
        "chameleon" => new("<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\t\n]|    |  )", @"\p{N}", @"[\p{P}!-/:-@\[-`{-~]", Gpt2) { Bos = true },
        "tiny_aya" or "cohere2moe" => new(@"\d{1,3}(?=(?:\d{3})*\b)", Cased.Replace(@"[\p{L}&&[^a-z]]", @"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]").Replace(@"[\p{L}&&[^A-Z]]", @"[\p{Ll}\p{Lm}\p{Lo}\p{M}]").Replace("{0}", Short + "?").Replace("{1}", "{1,3}")),
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
