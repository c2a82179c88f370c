using Fovea.Models;
namespace Fovea.Engine;

/// <summary>A model with the tokenizer that belongs to it, and how it wants conversations written, if it says so.</summary>
public sealed record LoadedModel(LanguageModel Model, Tokenizer Tokenizer, ChatTemplate? Template = null) : IDisposable
{
    /// <summary>Opens a GGUF file, a folder of Hugging Face with tokenizer.json, or a safetensors file of this project over bytes. A vocabulary that differs from the model's is an <see cref="InvalidDataException"/>; one that is smaller is not, since models pad theirs.</summary>
    public static LoadedModel Open(string path)
    {
        if (path.EndsWith(OwnModel.Extension, StringComparison.Ordinal))
        {
            var own = OwnModel.Open(path);
            if (own.Vocabulary == 256) return new(own, new ByteTokenizer());
            own.Dispose(); throw new InvalidDataException($"{path}: has a vocabulary of {own.Vocabulary} tokens and no tokenizer; expected the 256 bytes");
        }
        return Read(ModelFile.Open(path), path);
    }

    /// <summary>
    /// The model that comes with the library: a Llama of one million parameters that <c>fovea train</c> has made of generated text about a small world, for texts of up to 4,096 tokens.
    /// It finds a single fact at any distance; which of several is meant it often confuses, and it knows nothing else. How it was made stands in models/README.md.
    /// </summary>
    public static LoadedModel Small()
    {
        const string name = "fovea.gguf";
        using var stream = typeof(LoadedModel).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"{name} is not part of this build");
        var bytes = new byte[stream.Length]; stream.ReadExactly(bytes);
        return Read(new GgufModelFile(GgufFile.Open(bytes, name), name), name);
    }

    static LoadedModel Read(ModelFile file, string path)
    {
        Tokenizer tokenizer; ChatTemplate? template;
        try
        {
            tokenizer = file is GgufModelFile g ? SubwordTokenizer.FromGguf(g.File, path) : SubwordTokenizer.FromJson(Path.Combine(path, "tokenizer.json"));
            template = (file is GgufModelFile m ? m.File.Text("tokenizer.chat_template", null) : FolderTemplate(path)) is { } text ? ChatTemplate.Parse(text) : null;
        }
        catch (TemplateException e) { file.Dispose(); throw new InvalidDataException($"{path}: the chat template cannot be read: {e.Message}"); }
        catch { file.Dispose(); throw; }
        var model = Architectures.Build(file);
        if (tokenizer.VocabularySize <= model.Vocabulary) return new(model, tokenizer, template);
        model.Dispose();
        throw new InvalidDataException($"{path}: the tokenizer has {tokenizer.VocabularySize} tokens, the model {model.Vocabulary}");
    }
    internal static string? FolderTemplate(string path)
    {
        string own = Path.Combine(path, "chat_template.jinja"), config = Path.Combine(path, "tokenizer_config.json");
        if (File.Exists(own)) return File.ReadAllText(own);
        if (!File.Exists(config)) return null;
        try
        {
            using var json = System.Text.Json.JsonDocument.Parse(File.ReadAllBytes(config), new() { MaxDepth = 32 });
            return json.RootElement.ValueKind == System.Text.Json.JsonValueKind.Object && json.RootElement.TryGetProperty("chat_template", out var t) && t.ValueKind == System.Text.Json.JsonValueKind.String ? t.GetString() : null;
        }
        catch (System.Text.Json.JsonException e) { throw new InvalidDataException($"{config}: is not JSON: {e.Message}"); }
    }

    /// <summary>The tokens of a conversation, ending where the model is to answer. Names of control tokens in texts of messages are text like any other; roles are not, and must be trusted. Throws if the model does not say how, or its template refuses.</summary>
    public int[] Chat(IReadOnlyList<ChatMessage> messages)
    {
        string Text(int? token) => token is { } t ? System.Text.Encoding.UTF8.GetString(Tokenizer.Piece(t, showControl: true)) : "";
        if (Template is null) throw new InvalidOperationException("the model has no chat template");
        // A character for private use that nobody uses here.
        char mark = '\ue000';
        while (messages.Any(m => m.Content.Contains(mark)) && mark < '\uf8ff') mark++;
        return Tokenizer.EncodeMarked(Template.Render(messages, bos: Text(Tokenizer.Bos), eos: Text(Tokenizer.Eos), content: text => Tokenizer.Mark(text.Replace($"{mark}", "", StringComparison.Ordinal), mark)), mark);
    }

    public void Dispose() => Model.Dispose();
}
