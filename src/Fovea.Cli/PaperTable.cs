using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Fovea.Claims;
namespace Fovea.Cli;

/// <summary>The papers as Markdown: what each one is, the types that have it, and what its claims measured, all from code and evidence.</summary>
static partial class PaperTable
{
    /// <param name="sources">Folder of the sources, in which types are looked up; links are relative to <paramref name="from"/>.</param>
    public static string Text(PaperIndex index, EvidenceStore store, string sources, string from)
    {
        var files = Files(sources, from); var b = new StringBuilder("# Papers\n\nWritten by `fovea papers table`: what the code has for each paper of the catalogue, and what its claims measured. *Proven* means that every claim holds on three seeds or more, and that a claim fails on each of them when the idea is taken away. The measurement nearest to its bound stands beside it; `fovea papers show ID` has all of them.\n");
        foreach (var family in index.Papers.GroupBy(p => p.Paper.Family))
        {
            var rows = family.Select(p => (Code: p, Status: PaperIndex.StatusOf(p, store))).ToList(); var here = rows.Where(r => r.Status != Status.Missing).ToList();
            b.Append($"\n## {Title(family.Key)}: {here.Count} of {rows.Count} built, {rows.Count(r => r.Status == Status.Proven)} proven\n");
            if (here.Count == 0) continue;
            b.Append("\n| paper | what it is | code | evidence |\n| --- | --- | --- | --- |\n");
            foreach (var (code, status) in here)
                b.Append($"| {Cell(Link(code.Paper))} | {Cell(code.Paper.Title)}; {code.Paper.Kind}, {code.Paper.Year} | {string.Join(", ", code.Code.Select(c => Name(c.Type, files)))} | {Cell(Evidence(code, status, store))} |\n");
        }
        return b.ToString();
    }

    static string Title(string family) => char.ToUpperInvariant(family[0]) + family[1..];
    static string Link(Paper p) => p.Arxiv is null ? $"`{p.Id}`" : $"[`{p.Id}`](https://arxiv.org/abs/{p.Arxiv})";
    static string Cell(string text) => text.Replace("|", "\\|").Replace('\n', ' ');
    static string Plain(Type t) => t.Name.Split('`')[0];
    static string Name(Type type, Dictionary<string, string> files) => files.TryGetValue(Plain(type), out string? path) ? $"[{Plain(type)}]({path})" : Plain(type);

    static string Evidence(PaperCode code, Status status, EvidenceStore store)
    {
        string name = status.ToString().ToLowerInvariant();
        var runs = store.Read(code.Paper.Id).Runs.Where(r => !r.Ablated).ToList();
        if (code.Claims.Count == 0 || runs.Count == 0) return name;
        var now = code.Claims.Select(c => c.Name).ToHashSet(); var measured = runs.SelectMany(r => r.Claims).Where(c => now.Contains(c.Claim)).ToList();
        string seeds = string.Join(", ", runs.Select(r => r.Seed).Distinct().Order());
        // A claim that does not hold is what matters; otherwise the one with the least room.
        var worst = measured.Where(c => !c.Holds).Concat(measured.Where(c => c.Bound is not null).OrderBy(Room)).FirstOrDefault();
        return $"**{name}**, {code.Claims.Count} claims on seeds {seeds}" + (worst is null ? "" : $"; {Shown(worst)}");
    }

    // How far a value is from its bound, as a share of the larger one; equal at zero is as near as can be, but says nothing.
    static double Room(ClaimResult c) => c is { Value: { } v, Bound: { } b } && !(v == 0 && b == 0) ? Math.Abs(v - b) / Math.Max(Math.Abs(v), Math.Abs(b)) : 1;
    static string Shown(ClaimResult c) => c.Error ?? $"{(c.Note.Length > 0 ? c.Note : c.Statement)}: {Number(c.Value)} {c.Relation} {Number(c.Bound)}{(c.Unit.Length > 0 ? " " + c.Unit : "")}";
    static string Number(double? x) => x?.ToString("g4", CultureInfo.InvariantCulture) ?? "–";

    /// <summary>The file that declares each type, by name, as seen from a folder; the first in order of path.</summary>
    static Dictionary<string, string> Files(string sources, string from)
    {
        var files = new Dictionary<string, string>(StringComparer.Ordinal);
        if (!Directory.Exists(sources)) return files;
        foreach (string path in Directory.EnumerateFiles(sources, "*.cs", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            string relative = Path.GetRelativePath(from, path).Replace(Path.DirectorySeparatorChar, '/');
            // Claim classes often have the name of what they are about.
            if (new[] { "/obj/", "/bin/", "/Fovea.Claims/" }.Any(part => relative.Contains(part, StringComparison.Ordinal))) continue;
            foreach (Match m in Declaration().Matches(File.ReadAllText(path))) files.TryAdd(m.Groups[1].Value, relative);
        }
        return files;
    }

    [GeneratedRegex(@"^\s*public [\w ]*\b(?:class|struct|record|interface|enum)\s+(?:struct\s+|class\s+)?(\w+)", RegexOptions.Multiline)]
    private static partial Regex Declaration();
}
