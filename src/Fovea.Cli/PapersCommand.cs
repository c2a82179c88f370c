using System.CommandLine;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fovea.Claims;
namespace Fovea.Cli;

/// <summary>fovea papers list, show, table and run.</summary>
static class PapersCommand
{
    const string Projects = "Fovea.Tensors Fovea.Mechanisms Fovea.Models Fovea.Engine Fovea.Cluster Fovea.Claims";

    public static Command Make(Terminal terminal)
    {
        var evidence = new Option<string>("--evidence") { Description = "Folder of evidence files.", DefaultValueFactory = _ => "evidence", Recursive = true };
        return new Command("papers", "The papers: what is built, what is proven, and their claims.") { evidence, List(terminal, evidence), Show(terminal, evidence), WriteTable(terminal, evidence), RunClaims(terminal, evidence) };
    }

    static Command List(Terminal terminal, Option<string> evidence)
    {
        var family = FamilyOption("Only this family.");
        var json = Output.JsonOption();
        var command = new Command("list", "The paper table.") { family, json };
        command.SetAction(p =>
        {
            var catalogue = Catalogue.Open(); var index = Index(catalogue); var store = EvidenceStore.Over(p.GetValue(evidence));
            string? only = Family(catalogue, p.GetValue(family));
            var rows = index.Papers.Where(c => only is null || c.Paper.Family == only).Select(c => (c.Paper, Status: Name(PaperIndex.StatusOf(c, store)))).ToList();
            if (p.GetValue(json)) Output.Json(terminal, new JsonArray([.. rows.Select(r => Head(r.Paper, r.Status))]));
            else
            {
                Output.Table(terminal, ["id", "name", "year", "family", "kind", "tier", "status"], rows.Select(r => new[] { r.Paper.Id, r.Paper.Name, $"{r.Paper.Year}", r.Paper.Family, r.Paper.Kind, $"{r.Paper.Tier}", r.Status }), 2, 5);
                terminal.Out.WriteLine(string.Join(", ", rows.CountBy(r => r.Status).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => $"{g.Value} {g.Key}")));
            }
            return Cli.Done;
        });
        return command;
    }

    static Option<string?> FamilyOption(string what) => new("--family") { Description = what };
    static string? Family(Catalogue catalogue, string? name) => name is null || catalogue.Families.Contains(name) ? name : throw new UsageException($"--family {name}: expected one of {string.Join(", ", catalogue.Families)}");

    static Command Show(Terminal terminal, Option<string> evidence)
    {
        var id = new Argument<string>("id") { Description = "Catalogue id or arXiv number." };
        var json = Output.JsonOption();
        var command = new Command("show", "What a paper is, where its code is, and its evidence.") { id, json };
        command.SetAction(p =>
        {
            var catalogue = Catalogue.Open(); var store = EvidenceStore.Over(p.GetValue(evidence));
            var code = Index(catalogue)[Find(catalogue, p.GetValue(id)!).Id];
            var runs = store.Read(code.Paper.Id).Runs;
            string status = Name(PaperIndex.StatusOf(code, store));
            if (p.GetValue(json))
            {
                var o = Head(code.Paper, status);
                o["arxiv"] = code.Paper.Arxiv; o["claim"] = code.Paper.Claim;
                o["code"] = new JsonArray([.. code.Code.Select(c => JsonValue.Create(c.Type.FullName))]);
                o["claims"] = new JsonArray([.. code.Claims.Select(c => new JsonObject { ["name"] = c.Name, ["statement"] = c.Statement, ["quick"] = c.Quick })]);
                o["evidence"] = JsonSerializer.SerializeToNode([.. runs], ClaimsJson.Readable.PaperRunArray);
                Output.Json(terminal, o);
                return Cli.Done;
            }
            var paper = code.Paper;
            terminal.Out.WriteLine($"{paper.Name} ({paper.Year}): {paper.Title}\n{(paper.Arxiv is null ? "" : $"arXiv {paper.Arxiv}, ")}{paper.Family}, {paper.Kind}, tier {paper.Tier}, {status}\n\n{paper.Claim}\n");
            foreach (var (type, where) in code.Code) terminal.Out.WriteLine($"code   {type.FullName}{(where.Length > 0 ? $" ({where})" : "")}");
            foreach (var claim in code.Claims) terminal.Out.WriteLine($"claim  {claim.Statement}{(claim.Quick ? " (quick)" : "")}");
            if (runs.Count > 0) Results(terminal, runs);
            return Cli.Done;
        });
        return command;
    }

    static Command WriteTable(Terminal terminal, Option<string> evidence)
    {
        var output = new Option<string>("--out") { Description = "File to write, or - for standard output.", DefaultValueFactory = _ => Path.Combine("docs", "papers.md") };
        var sources = new Option<string>("--sources") { Description = "Folder of the sources that types are linked to.", DefaultValueFactory = _ => "src" };
        var command = new Command("table", "Writes all papers, their code and their evidence as Markdown.") { output, sources };
        command.SetAction(p =>
        {
            string path = p.GetValue(output)!; bool print = path == "-";
            string folder = Path.GetDirectoryName(Path.GetFullPath(print ? "x" : path))!;
            if (!print && !Directory.Exists(folder)) throw new UsageException($"--out {path}: the folder {folder} does not exist");
            string text = PaperTable.Text(Index(Catalogue.Open()), EvidenceStore.Over(p.GetValue(evidence)), Path.GetFullPath(p.GetValue(sources)!), folder);
            if (print) terminal.Out.Write(text); else AtomicFile.WriteText(path, text);
            return Cli.Done;
        });
        return command;
    }

    static Command RunClaims(Terminal terminal, Option<string> evidence)
    {
        var ids = new Argument<string[]>("ids") { Description = "Papers to run.", Arity = ArgumentArity.ZeroOrMore };
        var all = new Option<bool>("--all") { Description = "Every paper that has claims." };
        var family = FamilyOption("Every paper of this family that has claims.");
        var seed = Output.SeedOption();
        var ablated = new Option<bool>("--ablated") { Description = "Take the idea away: a claim of each paper must then fail, so success and failure change places." };
        var quick = new Option<bool>("--quick") { Description = "Only claims that take seconds; writes no evidence." };
        var resume = new Option<bool>("--resume") { Description = "Go on with a run that was cut off: results that this build has already written for this seed are read and not measured again." };
        var cache = new Option<string?>("--cache") { Description = "Folder for trained weights that claims share.", DefaultValueFactory = _ => Path.Combine(CacheRoot(), "fovea", "fixtures") };
        var json = Output.JsonOption();
        var command = new Command("run", "Runs claims; exit code 1 if one does not hold.") { ids, all, family, seed, ablated, quick, resume, cache, json };
        command.SetAction(p =>
        {
            var catalogue = Catalogue.Open(); var index = Index(catalogue);
            var asked = p.GetValue(ids) ?? [];
            string? only = Family(catalogue, p.GetValue(family));
            if ((asked.Length > 0 ? 1 : 0) + (p.GetValue(all) ? 1 : 0) + (only is null ? 0 : 1) != 1) throw new UsageException("papers run: expected either ids or --all or --family");
            if (p.GetValue(quick) && p.GetValue(resume)) throw new UsageException("--resume: a quick run writes nothing to go on with");
            var papers = asked.Length == 0 ? index.Papers.Where(c => c.Claims.Count > 0 && (only is null || c.Paper.Family == only)).ToList() : [.. asked.Select(id => index[Find(catalogue, id).Id]).Distinct()];
            if (papers.Count == 0) throw new UsageException($"--family {only}: none of its papers has claims yet");
            if (papers.FirstOrDefault(c => c.Claims.Count == 0) is { } none) throw new UsageException($"'{none.Paper.Id}' has no claims yet; 'fovea papers list' shows what each paper has");
            return Run(terminal, papers, p.GetValue(seed), p.GetValue(ablated), p.GetValue(quick), p.GetValue(quick) ? null : EvidenceStore.Over(p.GetValue(evidence)), p.GetValue(resume), new Fixtures(p.GetValue(cache)), p.GetValue(json));
        });
        return command;
    }

    // The folder need not exist yet; without a home there is still the temporary folder.
    static string CacheRoot() => Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify) is { Length: > 0 } home ? home : Path.GetTempPath();

    static int Run(Terminal terminal, IReadOnlyList<PaperCode> papers, int seed, bool ablated, bool quick, EvidenceStore? store, bool resume, Fixtures fixtures, bool json)
    {
        var runner = new ClaimRunner(fixtures); var runs = new List<PaperRun>();
        using (var line = new ProgressLine(terminal))
            foreach (var paper in papers)
            {
                if (quick && !paper.Claims.Any(c => c.Quick)) continue;
                if (resume && store?.Read(paper.Paper.Id).Runs.FirstOrDefault(r => (r.Seed, r.Ablated, r.Commit) == (seed, ablated, ClaimRunner.Commit)) is { } before) { runs.Add(before); continue; }
                var run = runner.Run(paper, seed, ablated, quick, new Now(what => line.Show(what, runs.Count / (double)papers.Count)), terminal.Cancel);
                store?.Add(run);
                runs.Add(run);
            }
        if (json) Output.Json(terminal, JsonSerializer.SerializeToNode([.. runs], ClaimsJson.Readable.PaperRunArray)!);
        else Results(terminal, runs);
        return runs.All(r => r.Holds != r.Ablated) ? Cli.Done : Cli.Failed;
    }

    static void Results(Terminal terminal, IEnumerable<PaperRun> runs) => Output.Table(terminal, ["paper", "seed", "claim", "value", "", "bound", "unit", "holds"],
        from r in runs
        from c in r.Claims
        select new[] { r.Id, $"{r.Seed}{(r.Ablated ? " ablated" : "")}", c.Note.Length > 0 ? $"{c.Statement}: {c.Note}" : c.Statement, c.Error ?? Shown(c.Value), c.Relation, Shown(c.Bound), c.Unit, c.Holds ? "yes" : "no" }, 3, 5);
    static string Shown(double? x) => x?.ToString("g4", System.Globalization.CultureInfo.InvariantCulture) ?? "–";

    /// <summary>Reports at once, on the thread that works; Progress&lt;T&gt; would queue.</summary>
    sealed class Now(Action<string> report) : IProgress<string> { public void Report(string value) => report(value); }

    static PaperIndex Index(Catalogue catalogue) => new(catalogue, Projects.Split(' ').Select(Assembly.Load));
    static string Name(Status s) => s.ToString().ToLowerInvariant();
    static JsonObject Head(Paper p, string status) => new() { ["id"] = p.Id, ["name"] = p.Name, ["title"] = p.Title, ["year"] = p.Year, ["family"] = p.Family, ["kind"] = p.Kind, ["tier"] = p.Tier, ["status"] = status };
    static Paper Find(Catalogue catalogue, string id) => catalogue.Find(id)
        ?? throw new UsageException($"no paper '{id}' in the catalogue; did you mean '{catalogue.Papers.MinBy(p => Mechanisms.Mechanism.Distance(p.Id, id))!.Id}'?");
}
