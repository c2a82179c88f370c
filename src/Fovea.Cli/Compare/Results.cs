using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>Everything that decides the numbers of a comparison; results.json keeps it, so that a resumed run has the same.</summary>
sealed record Plan(int Seed, string Text, int TextBytes, string TextHash, string[] Mechanisms, int[] Lengths, long Tokens)
{
    public int Dim { get; init; } = 128;
    public int Layers { get; init; } = 2;
    public int Heads { get; init; } = 4;
    /// <summary>Tokens per row and rows per batch of the language model.</summary>
    public int Context { get; init; } = 256;
    public int Batch { get; init; } = 4;
    public double Rate { get; init; } = 3e-3;
    public int HeldOutTokens { get; init; } = 32_768;
    public int RecallSteps { get; init; } = 700;

    /// <summary>Updates that the token budget pays for; at least one.</summary>
    [JsonIgnore] public int Steps => (int)Math.Clamp((Tokens + Batch * Context - 1) / (Batch * Context), 1, int.MaxValue);
    public Rng Rng() => new((ulong)(uint)Seed);

    /// <summary>Training time of the baseline that keeps the whole comparison under four minutes on two cores.</summary>
    public static double DefaultSeconds(int mechanisms) => Math.Clamp(70.0 / mechanisms, 3, 20);

    /// <summary>Rows for this text: a short one gets short rows, so that it can still be learnt from.</summary>
    public Plan For(SourceText text) => this with { Context = Math.Min(Context, Math.Max(1, text.Bytes.Length / 4)) };

    public Corpus Corpus(SourceText text)
    {
        try { return new(text.Bytes, Context); }
        catch (InvalidDataException e) { throw new UsageException($"'{text.Name}' is too short to learn from: {e.Message}"); }
    }
}

/// <summary>The text of a comparison.</summary>
sealed record CorpusFacts(string Name, int Bytes, int HeldOutBytes);
/// <summary>Bits per byte of held-out text after so many training tokens.</summary>
sealed record CurvePoint(long Tokens, double BitsPerByte);

/// <summary>What was measured of one mechanism; null where it could not be, or not yet. Dictionaries go by length in tokens.</summary>
sealed record MechanismResult(string Mechanism)
{
    /// <summary>Mean cost of a held-out byte, in bits.</summary>
    public double? BitsPerByte { get; init; }
    /// <summary>Share of right answers in multi-query associative recall.</summary>
    public double? Recall { get; init; }
    public long Params { get; init; }
    public double? TrainTokensPerSecond { get; init; }
    public SortedDictionary<int, double> PrefillMs { get; init; } = [];
    /// <summary>The most bytes of tensors alive at once during prefill, state excluded.</summary>
    public SortedDictionary<int, long> PeakBytes { get; init; } = [];
    /// <summary>Time of one token after the longest prompt.</summary>
    public double? DecodeMicroseconds { get; init; }
    /// <summary>Bytes kept for the past after the prompt.</summary>
    public SortedDictionary<int, long> StateBytes { get; init; } = [];
    /// <summary>g of the fit prefill time ∝ length^g.</summary>
    public double? Growth { get; init; }
    /// <summary>The same of multiply-adds, which no clock disturbs.</summary>
    public double? WorkGrowth { get; init; }
    public List<CurvePoint> Curve { get; init; } = [];
    /// <summary>Why there are no numbers, such as a loss that is not finite.</summary>
    public string? Error { get; init; }
    public bool Complete { get; init; }
}

sealed record ComparisonResults(CorpusFacts Corpus, List<MechanismResult> Results, Plan Plan, string Machine, bool Complete);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, NewLine = "\n", RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ComparisonResults))]
sealed partial class CompareJson : JsonSerializerContext
{
    public static string Text(ComparisonResults results) => JsonSerializer.Serialize(results, new CompareJson(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    }).ComparisonResults);
}
