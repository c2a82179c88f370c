using System.CommandLine;
using System.Globalization;
using Fovea.Engine;
namespace Fovea.Cli;

/// <summary>Options of all commands that run language models.</summary>
sealed class EngineOptions
{
    public Option<string?> Model { get; } = new("--model") { Description = "A GGUF file, a folder with config.json, safetensors and tokenizer.json, or a safetensors file from the models folder of fovea compare; without it a small model about a small world, which comes with Fovea." };
    public Option<string> Cache { get; } = new("--cache") { Description = $"What stays of the cache, or is looked at: full, {string.Join(", ", CacheRule.All)}.", DefaultValueFactory = _ => "full" };
    public Option<string> Budget { get; } = new("--budget") { Description = "What a cache rule leaves: entries per key head and layer (1024), a share of the text (25%), or bytes of the whole cache (64MB).", DefaultValueFactory = _ => "1024" };
    public Option<string> Kv { get; } = new("--kv") { Description = "Number format of the cache: f32, f16, bf16, q8, q4, q2, keys/values like q8/q4; kivi8, kivi4, kivi2 (keys by channel, 32 tokens at a time, as KIVI does); with +rotate behind to spread outliers first.", DefaultValueFactory = _ => "f32" };
    public Option<KeyPositions> Keys { get; } = new("--keys") { Description = "Rotary positions of cached keys: rotated (kept with them), unrotated (turned by their positions at every read), renumbered (turned by their places in the cache, as StreamingLLM does).", DefaultValueFactory = _ => KeyPositions.Rotated };
    public Option<int?> Context { get; } = new("--context") { Description = "The most tokens of a text; the model's own length without it." };
    public Option<int> Chunk { get; } = new("--chunk") { Description = "Tokens of a prompt that are read in one pass; the cache is brought down to its budget after each.", DefaultValueFactory = _ => 512 };

    public Option<string?> Draft { get; } = new("--draft") { Description = "A smaller model of the same vocabulary that proposes tokens, which the model judges several at a time; what is written stays the same." };
    public Option<int> DraftTokens { get; } = new("--draft-tokens") { Description = "Tokens that the draft model proposes at a time, 1 to 7.", DefaultValueFactory = _ => 4 };

    public void AddDraftTo(Command command) { command.Add(Draft); command.Add(DraftTokens); }

    /// <summary>The options with the draft model, which is closed by what is returned beside them; null without one.</summary>
    public (BatchOptions Options, IDisposable? Opened) WithDraft(ParseResult p, BatchOptions options, LoadedModel loaded)
    {
        if (p.GetValue(Draft) is not { } file) return (options, null);
        var draft = LoadedModel.Open(file);
        for (int t = 0, n = loaded.Tokenizer.VocabularySize; t < n; t++)
            if (draft.Tokenizer.VocabularySize != n || !loaded.Tokenizer.Piece(t).AsSpan().SequenceEqual(draft.Tokenizer.Piece(t)))
            {
                string found = draft.Tokenizer.VocabularySize != n ? $"{draft.Tokenizer.VocabularySize} tokens, the model {n}" : $"another token {t}";
                draft.Dispose(); throw new UsageException($"--draft {file}: has {found}: expected a model of the same vocabulary");
            }
        return (options with { Draft = draft.Model, DraftTokens = p.GetValue(DraftTokens) }, draft);
    }

    public void AddTo(Command command) { foreach (Option o in (Option[])[Model, Cache, Budget, Kv, Keys, Context, Chunk]) command.Add(o); }

    public LoadedModel Open(ParseResult p) => p.GetValue(Model) is { } path ? LoadedModel.Open(path) : LoadedModel.Small();

    public BatchOptions Batch(ParseResult p)
    {
        if (p.GetValue(Chunk) < 1) throw new UsageException($"--chunk {p.GetValue(Chunk)}: expected at least 1");
        if (p.GetValue(Context) is < 2) throw new UsageException($"--context {p.GetValue(Context)}: expected at least 2");
        var rule = CacheRule.Parse(p.GetValue(Cache)!); var size = Size(p.GetValue(Budget)!); var format = KvFormat.Parse(p.GetValue(Kv)!);
        if (p.GetValue(Keys) is not KeyPositions.Rotated and var positions) format = (format with { Positions = positions }).Checked();
        return new() { Format = format, Budget = rule is null ? null : new(rule, size), Context = p.GetValue(Context), Chunk = p.GetValue(Chunk) };
    }

    static KvSize Size(string text)
    {
        try { return KvSize.Parse(text); }
        catch (ArgumentException e) { throw new UsageException($"--budget {e.Message}"); }
    }

    /// <summary>The text of an argument, of a file, or of standard input where it is neither.</summary>
    public static string Text(string? given, string? file, Terminal terminal)
    {
        if (given is not null && file is not null) throw new UsageException("a text is given and --file, too: expected one of them");
        if (given is not null) return given;
        if (file is null) return terminal.In.ReadToEnd();
        if (!File.Exists(file)) throw new UsageException($"--file {file}: does not exist");
        return File.ReadAllText(file);
    }

    public static string Rate(int tokens, double seconds) => seconds > 0 ? (tokens / seconds).ToString("0.0", CultureInfo.InvariantCulture) : "–";
}
