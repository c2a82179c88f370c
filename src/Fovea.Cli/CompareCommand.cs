using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>fovea compare: the same small model with each mechanism, on the same text and budget.</summary>
static class CompareCommand
{
    const string DefaultMechanisms = "softmax,sigmoid,sliding-window,linear,gated-linear,delta-rule,based";
    const string QuickMechanisms = "softmax,neighbourhood,performer,cos-former,abc,nystrom";
    const int LongestLength = 1 << 17;

    public static Command Make(Terminal terminal)
    {
        var text = new Option<string?>("--text") { Description = "Any file, text or not; without it Fovea's own documentation and sources." };
        var mechanisms = new Option<string>("--mechanisms") { Description = "Names with commas between, or 'all'; with parameters, sliding-window(window=64), or a mixer per layer in turn, based*2+softmax.", DefaultValueFactory = _ => DefaultMechanisms };
        var seconds = new Option<string?>("--seconds") { Description = "Give every mechanism the tokens that softmax attention trains on in about this time." };
        var tokens = new Option<string?>("--tokens") { Description = "Training tokens for every mechanism, instead of --seconds." };
        var lengths = new Option<string>("--lengths") { Description = "Prompt lengths at which time and memory are measured.", DefaultValueFactory = _ => "256,512,1024,2048" };
        var recall = new Option<string?>("--recall-steps") { Description = "Updates of the small models that show recall: 700 in the text suite, 2000 in the recall suite, 150 in the cab suite, 60 in its short form." };
        var output = new Option<string>("--out") { Description = "Folder for report.html, results.json and checkpoints.", DefaultValueFactory = _ => "fovea-report" };
        var resume = new Option<bool>("--resume") { Description = "Go on where an earlier run into the same folder stopped, with its settings." };
        var suite = new Option<string>("--suite") { Description = "text: a language model and everything about it; recall: right answers in associative recall against bytes of state; cab: four patterns of attention, each with its task, and the length from which a mechanism is cheaper than softmax.", DefaultValueFactory = _ => "text" };
        suite.AcceptOnlyFromAmong("text", "recall", "cab");
        var widths = new Option<string>("--widths") { Description = "Channels of the models of the recall suite.", DefaultValueFactory = _ => "32,64,128" };
        var quick = new Option<bool>("--quick") { Description = "The cab suite with six mechanisms, fewer updates and shorter lengths: minutes instead of an hour." };
        var seed = Output.SeedOption();
        var json = Output.JsonOption();
        var command = new Command("compare", "Trains a small language model with each mechanism on the same text and budget; measures quality, recall, speed and memory.") { suite, text, mechanisms, seconds, tokens, lengths, recall, widths, quick, output, resume, seed, json };
        command.SetAction(p =>
        {
            string folder = p.GetValue(output)!;
            if (p.GetValue(quick) && p.GetValue(suite) != "cab") throw new UsageException("--quick: only the cab suite has a short form");
            if (p.GetValue(suite) == "recall")
            {
                var frontier = new FrontierPlan(p.GetValue(seed), Names(p.GetValue(mechanisms)!), Widths(p.GetValue(widths)!), (int)Whole("--recall-steps", p.GetValue(recall) ?? "2000", 1, 1_000_000));
                if (!p.GetValue(resume)) Prepare(folder);
                return Run(terminal, new RecallFrontier(frontier, folder, p.GetValue(resume) ? RecallFrontier.Left(frontier, folder) : []), folder, p.GetValue(json));
            }
            if (p.GetValue(suite) == "cab")
            {
                bool given = p.GetResult(mechanisms) is { Implicit: false }; string chosen = given ? p.GetValue(mechanisms)! : p.GetValue(quick) ? QuickMechanisms : "all";
                int[] sizes = p.GetResult(lengths) is { Implicit: false } ? Lengths(p.GetValue(lengths)!) : p.GetValue(quick) ? [256, 512, 1024, 2048] : [256, 512, 1024, 2048, 4096, 8192];
                if (sizes.Length < 3) throw new UsageException("--lengths: expected at least three, to fit a parabola");
                var plan = new CabPlan(p.GetValue(seed), Names(chosen, causal: false), (int)Whole("--recall-steps", p.GetValue(recall) ?? (p.GetValue(quick) ? "60" : "150"), 1, 1_000_000), sizes);
                if (!p.GetValue(resume)) Prepare(folder);
                return Run(terminal, new CabGrid(plan, folder, p.GetValue(resume) ? CabGrid.Left(plan, folder) : []), folder, p.GetValue(json));
            }
            var source = Texts.Open(p.GetValue(text));
            if (p.GetValue(seconds) is not null && p.GetValue(tokens) is not null) throw new UsageException("--seconds and --tokens: expected one of them");
            Comparison comparison;
            if (p.GetValue(resume)) comparison = Resumed(folder, source);
            else
            {
                var names = Names(p.GetValue(mechanisms)!);
                long? budget = p.GetValue(tokens) is { } t ? Whole("--tokens", t, 1, long.MaxValue / 2) : null;
                var plan = new Plan(p.GetValue(seed), source.Name, source.Bytes.Length, source.Hash, names, Lengths(p.GetValue(lengths)!), budget ?? 0) { RecallSteps = (int)Whole("--recall-steps", p.GetValue(recall) ?? "700", 1, 1_000_000) }.For(source);
                plan.Corpus(source);
                double time = p.GetValue(seconds) is { } s ? Seconds(s) : Plan.DefaultSeconds(names.Length);
                Prepare(folder);
                if (budget is null) plan = plan with { Tokens = Training.TokensFor(plan, source, time, terminal.Cancel) };
                comparison = new(plan, source, folder, []);
                comparison.Start();
            }
            return Run(terminal, comparison, p.GetValue(json));
        });
        return command;
    }

    static int Run(Terminal terminal, Comparison comparison, bool json) => Run(terminal, comparison.Run, CompareJson.Text, json, results =>
    {
        Output.Table(terminal, Report.Columns(results), results.Results.Select(r => Report.Row(results, r)), [.. Enumerable.Range(1, Report.Columns(results).Length - 1)]);
        terminal.Out.WriteLine($"{results.Plan.Tokens.ToString("N0", CultureInfo.InvariantCulture)} training tokens each; report: {Path.GetFullPath(comparison.ReportPath)}");
    }, results => results.Results.All(r => r.Error is null));

    static int Run(Terminal terminal, RecallFrontier frontier, string folder, bool json) => Run(terminal, frontier.Run, found => JsonSerializer.Serialize(found, FrontierJson.Default.Frontier), json, found =>
    {
        Output.Table(terminal, ["mechanism", "channels", "recall", "state, bytes", "parameters"], found.Points.Select(x => new[] { x.Mechanism, $"{x.Width}",
            x.Recall is { } r ? (r * 100).ToString("0.0", CultureInfo.InvariantCulture) + " %" : $"failed: {x.Error}", x.StateBytes?.ToString("N0", CultureInfo.InvariantCulture) ?? "–", x.Params.ToString("N0", CultureInfo.InvariantCulture) }), 1, 2, 3, 4);
        terminal.Out.WriteLine($"plot: {Path.GetFullPath(Path.Combine(folder, RecallFrontier.PlotFile))}");
    }, found => found.Points.All(x => x.Error is null));

    static int Run(Terminal terminal, CabGrid grid, string folder, bool json) => Run(terminal, grid.Run, found => JsonSerializer.Serialize(found, CabJson.Default.CabResults), json, found =>
    {
        static string Index(double? x) => x?.ToString("0.00", CultureInfo.InvariantCulture) ?? "–";
        static string Tokens(double? x) => x?.ToString("N0", CultureInfo.InvariantCulture) ?? "–";
        string[] patterns = ["NoncausalSelf", "CausalSelf", "NoncausalCross", "CausalCross"];
        Output.Table(terminal, ["mechanism", "NS", "CS", "NC", "CC", "index", "cheaper in time from", "in memory from", "parameters"], found.Rows.OrderByDescending(r => r.Mean).Select(r => (string[])
            [r.Mechanism + (r.Error is { } e ? $" (failed: {e})" : ""), .. patterns.Select(p => Index(r.Index[p])), Index(r.Mean), Tokens(r.TimeLength), Tokens(r.MemoryLength), r.Params.ToString("N0", CultureInfo.InvariantCulture)]), 1, 2, 3, 4, 5, 6, 7, 8);
        terminal.Out.WriteLine("NS, CS: noncausal and causal self attention; NC, CC: cross attention. Indices are deviations from the mean over mechanisms, higher is better. Lengths in tokens: time against fused softmax, memory against softmax that stores its weights.");
        terminal.Out.WriteLine($"results: {Path.GetFullPath(Path.Combine(folder, CabGrid.ResultsFile))}");
    }, found => found.Rows.All(r => r.Error is null));

    // Runs a suite with progress on one line, and writes its results as JSON or for people.
    static int Run<T>(Terminal terminal, Func<Action<string, double>, CancellationToken, T> suite, Func<T, string> text, bool json, Action<T> show, Func<T, bool> complete)
    {
        T found;
        using (var line = new ProgressLine(terminal)) found = suite(line.Show, terminal.Cancel);
        if (json) terminal.Out.WriteLine(text(found)); else show(found);
        return complete(found) ? Cli.Done : Cli.Failed;
    }

    static Comparison Resumed(string folder, SourceText source)
    {
        string path = Path.Combine(folder, Comparison.ResultsFile);
        if (!File.Exists(path)) throw new UsageException($"--resume: {path} does not exist; nothing to go on with");
        ComparisonResults old;
        try { old = JsonSerializer.Deserialize(File.ReadAllBytes(path), CompareJson.Default.ComparisonResults) ?? throw new JsonException("it is empty"); }
        catch (JsonException e) { throw new InvalidDataException($"{path}: not the results of a comparison: {e.Message}"); }
        if (old.Plan.TextHash != source.Hash) throw new UsageException($"--resume: {path} was made with another text ('{old.Plan.Text}', {old.Plan.TextBytes} bytes) than '{source.Name}', {source.Bytes.Length} bytes");
        foreach (string name in old.Plan.Mechanisms) MixerSpec.Parse(name);
        return new(old.Plan, source, folder, old.Results);
    }

    static void Prepare(string folder)
    {
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, Comparison.CheckpointFolder));
            string probe = Path.Combine(folder, ".fovea-probe");
            AtomicFile.WriteText(probe, ""); File.Delete(probe);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new UsageException($"--out {folder}: cannot be written: {e.Message}"); }
    }

    static string[] Names(string list, bool causal = true)
    {
        string[] names = list == "all" ? [.. Mechanism.All.Where(m => !causal || m.Traits.HasFlag(Traits.Causal)).Select(m => m.Name)] : [.. MixerSpec.Split(list, ',').Where(n => n.Length > 0)];
        if (names.Length == 0) throw new UsageException("--mechanisms: expected at least one name");
        foreach (string name in names)
            if (!MixerSpec.Parse(name).Traits.HasFlag(Traits.Causal) && causal) throw new UsageException($"--mechanisms {name}: is not causal, so no language model can be trained with it");
        if (names.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new UsageException($"--mechanisms: '{twice.Key}' is named twice");
        return names;
    }

    static int[] Lengths(string list)
    {
        int[] lengths = [.. list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(s => (int)Whole("--lengths", s, 1, LongestLength)).Distinct().Order()];
        return lengths.Length > 0 ? lengths : throw new UsageException("--lengths: expected at least one length, like 512,2048");
    }

    static int[] Widths(string list)
    {
        int[] widths = [.. list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(s => (int)Whole("--widths", s, 16, 4096)).Distinct().Order()];
        if (widths.FirstOrDefault(w => w % 16 != 0) is > 0 and var odd) throw new UsageException($"--widths {odd}: expected multiples of 16, the size of a head");
        return widths.Length > 0 ? widths : throw new UsageException("--widths: expected at least one width, like 32,64");
    }

    static long Whole(string option, string text, long least, long most) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long x) && x >= least && x <= most ? x
        : throw new UsageException($"{option} {text}: expected a whole number from {least} to {most}");

    static double Seconds(string text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double s) && s > 0 && s <= 1e6 ? s
        : throw new UsageException($"--seconds {text}: expected a number above 0 and up to 1000000");
}
