using System.Text.Json;
using System.Text.Json.Serialization;
namespace Fovea.Claims;

/// <summary>One measurement of a claim as it was run.</summary>
/// <param name="Claim">The claim's method.</param>
/// <param name="Value">Null if it was not a finite number.</param>
/// <param name="Relation">"≤" or "≥".</param>
/// <param name="Error">What was thrown instead of a measurement, or null.</param>
public sealed record ClaimResult(string Claim, string Statement, double? Value, string Relation, double? Bound, string Unit, string Note, bool Holds, double Seconds, string? Error = null);

/// <summary>All claims of a paper, run with one seed.</summary>
/// <param name="Commit">Version of the code that ran.</param>
public sealed record PaperRun(string Id, int Seed, bool Ablated, bool Holds, double Seconds, string Commit, string Machine, IReadOnlyList<ClaimResult> Claims);

/// <summary>The runs of a paper that evidence/ID.json keeps.</summary>
public sealed record EvidenceFile(string Id, IReadOnlyList<PaperRun> Runs);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Paper[]))]
[JsonSerializable(typeof(EvidenceFile))]
[JsonSerializable(typeof(PaperRun[]))]
public sealed partial class ClaimsJson : JsonSerializerContext
{
    /// <summary>As Default, but letters like ≤ stay as they are.</summary>
    public static ClaimsJson Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        NewLine = "\n",
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
