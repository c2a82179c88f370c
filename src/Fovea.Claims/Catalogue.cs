using System.Text.Json;
namespace Fovea.Claims;

/// <summary>One paper of the catalogue.</summary>
/// <param name="Id">Lower-case name that [Paper], [From] and files use.</param>
/// <param name="Arxiv">arXiv number, or null.</param>
/// <param name="Family">sequence, inference, vision, lens, multimodal or applications.</param>
/// <param name="Kind">What it brings: mechanism, layer, cache-policy …</param>
/// <param name="Tier">1 stands on its own, 2 needs a small model, 3 needs a fixture of its own.</param>
/// <param name="Claim">What the paper reports, in short.</param>
public sealed record Paper(string Id, string Name, string Title, int Year, string? Arxiv, string Family, string Kind, int Tier, string Claim);

/// <summary>The papers, in the order of the catalogue.</summary>
public sealed class Catalogue
{
    readonly Dictionary<string, Paper> byId = new(StringComparer.OrdinalIgnoreCase);

    Catalogue(IReadOnlyList<Paper> papers)
    {
        Papers = papers;
        foreach (var p in papers)
        {
            if (!byId.TryAdd(p.Id, p)) throw new InvalidDataException($"papers.json: id '{p.Id}' occurs twice");
            if (p.Arxiv is { } a && !byId.TryAdd(a, p)) throw new InvalidDataException($"papers.json: arXiv {a} occurs twice");
        }
    }

    public IReadOnlyList<Paper> Papers { get; }
    public IEnumerable<string> Families => Papers.Select(p => p.Family).Distinct();

    /// <summary>The catalogue inside this assembly.</summary>
    public static Catalogue Open()
    {
        using var stream = typeof(Catalogue).Assembly.GetManifestResourceStream("papers.json") ?? throw new InvalidOperationException("papers.json is not embedded");
        return Read(stream);
    }
    /// <summary>A catalogue from JSON: an array of papers with unique ids and arXiv numbers.</summary>
    public static Catalogue Read(Stream json) => new(JsonSerializer.Deserialize(json, ClaimsJson.Default.PaperArray) ?? throw new InvalidDataException("papers.json: no papers"));

    /// <summary>The paper with this catalogue id or arXiv number, or null.</summary>
    public Paper? Find(string id) => byId.GetValueOrDefault(id);
}
