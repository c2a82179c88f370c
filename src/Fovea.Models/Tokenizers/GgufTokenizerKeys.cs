namespace Fovea.Models;

/// <summary>Where a GGUF file keeps a vocabulary as tokenizer.json has it.</summary>
public static class GgufTokenizerKeys
{
    /// <summary>The text of tokenizer.json.</summary>
    public const string Json = "tokenizer.huggingface.json";
    /// <summary>The texts of the tokens that begin and end a text.</summary>
    public const string Bos = "tokenizer.huggingface.bos_token", Eos = "tokenizer.huggingface.eos_token";
}
