using Fovea.Models;
namespace Fovea.Engine;

/// <summary>A model with the tokenizer that belongs to it.</summary>
public sealed record LoadedModel(LanguageModel Model, Tokenizer Tokenizer) : IDisposable
{
    /// <summary>Opens a GGUF file, or a folder of Hugging Face with tokenizer.json. A vocabulary that differs from the model's is an <see cref="InvalidDataException"/>; one that is smaller is not, since models pad theirs.</summary>
    public static LoadedModel Open(string path)
    {
        var file = ModelFile.Open(path); Tokenizer tokenizer;
        try { tokenizer = file is GgufModelFile g ? SubwordTokenizer.FromGguf(g.File, path) : SubwordTokenizer.FromJson(Path.Combine(path, "tokenizer.json")); }
        catch { file.Dispose(); throw; }
        var model = Architectures.Build(file);
        if (tokenizer.VocabularySize <= model.Vocabulary) return new(model, tokenizer);
        model.Dispose();
        throw new InvalidDataException($"{path}: the tokenizer has {tokenizer.VocabularySize} tokens, the model {model.Vocabulary}");
    }
    public void Dispose() => Model.Dispose();
}
