using System.Reflection;
using System.Text.Json;
namespace Fovea.Claims;

/// <summary>Evidence files: one ID.json per paper in a folder; where the folder has none, the ones <paramref name="shipped"/> was built with.</summary>
public sealed class EvidenceStore(string? folder, Assembly? shipped = null)
{
    /// <summary>A store over a folder (may be null: none), backed by the evidence that Fovea ships with.</summary>
    public static EvidenceStore Over(string? folder) => new(folder, typeof(EvidenceStore).Assembly);

    /// <summary>The evidence of a paper; no runs if there is none. A file that is not evidence is an <see cref="InvalidDataException"/>.</summary>
    public EvidenceFile Read(string id)
    {
        string? path = folder is null ? null : Path.Combine(folder, id + ".json");
        using var stream = path is not null && File.Exists(path) ? File.OpenRead(path) : shipped?.GetManifestResourceStream($"evidence/{id}.json");
        if (stream is null) return new(id, []);
        try
        {
            var file = JsonSerializer.Deserialize(stream, ClaimsJson.Default.EvidenceFile);
            return file is not null && file.Id == id ? file : throw new InvalidDataException($"{path ?? id}: evidence of '{file?.Id}', expected '{id}'");
        }
        catch (JsonException e) { throw new InvalidDataException($"{path ?? id}: not an evidence file: {e.Message}", e); }
    }

    /// <summary>Adds a run, in place of an earlier one with the same seed and the same control; atomically.</summary>
    public void Add(PaperRun run)
    {
        if (folder is null) throw new InvalidOperationException("this evidence store has no folder to write to");
        var runs = Read(run.Id).Runs.Where(r => (r.Seed, r.Ablated) != (run.Seed, run.Ablated)).Append(run).OrderBy(r => r.Ablated).ThenBy(r => r.Seed);
        Directory.CreateDirectory(folder);
        AtomicFile.WriteText(Path.Combine(folder, run.Id + ".json"), JsonSerializer.Serialize(new EvidenceFile(run.Id, [.. runs]), ClaimsJson.Readable.EvidenceFile) + "\n");
    }
}

/// <summary>How far a paper is. Computed from code and evidence, never typed by hand.</summary>
public enum Status
{
    /// <summary>No type carries [From] with its id and no class holds its claims.</summary>
    Missing,
    /// <summary>Code or claims, but no run on record.</summary>
    Built,
    /// <summary>A claim did not hold on some seed.</summary>
    Failed,
    /// <summary>Held so far, but on fewer than three seeds, or not yet against its control, or the control held too.</summary>
    Unproven,
    /// <summary>Every claim holds on three seeds or more, and on each of them a claim fails when the idea is taken away.</summary>
    Proven,
}

public static class Statuses
{
    const int Seeds = 3;

    /// <param name="claims">Names of the claims that the paper has now; a run that lacks one of them proves nothing.</param>
    public static Status Of(bool hasCode, IReadOnlyCollection<string> claims, EvidenceFile evidence)
    {
        if (claims.Count == 0) return hasCode ? Status.Built : Status.Missing;
        var now = evidence.Runs.Select(r => (r.Seed, r.Ablated, Claims: r.Claims.Where(c => claims.Contains(c.Claim)).ToList())).Where(r => r.Claims.Count > 0).ToList();
        var normal = now.Where(r => !r.Ablated).ToList();
        if (normal.Count == 0) return Status.Built;
        if (normal.Any(r => r.Claims.Any(c => !c.Holds))) return Status.Failed;
        var whole = normal.Where(r => claims.All(name => r.Claims.Any(c => c.Claim == name))).Select(r => r.Seed).ToHashSet();
        var fallen = now.Where(r => r.Ablated && r.Claims.Any(c => !c.Holds && c.Error is null)).Select(r => r.Seed).ToHashSet();
        return whole.Count >= Seeds && whole.All(fallen.Contains) ? Status.Proven : Status.Unproven;
    }
}
