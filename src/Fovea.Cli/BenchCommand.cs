using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Fovea.Claims;
namespace Fovea.Cli;

/// <summary>fovea bench: timed kernels as fractions of what the machine can do.</summary>
static class BenchCommand
{
    public static Command Make(Terminal terminal)
    {
        var names = new Argument<string[]>("names") { Description = $"{string.Join(", ", Benchmarks.All.Select(b => b.Name))}; all without a name.", Arity = ArgumentArity.ZeroOrMore };
        var list = new Option<bool>("--list") { Description = "Print the names and what they measure, and measure nothing." };
        var quick = new Option<bool>("--quick") { Description = "Fewer sizes and shorter measurements; about a minute in all." };
        var against = new Option<string?>("--against") { Description = "Compare fractions of limits with this file of an earlier run; exit code 1 if one fell by more than a tenth." };
        var save = new Option<string?>("--save") { Description = "Write the results to this file, for a later --against." };
        var json = Output.JsonOption();
        var command = new Command("bench", "Times kernels as fractions of the measured peak of multiply-adds and of memory reads: on one thread in processor time, on all in time on the wall.") { names, list, quick, against, save, json, ModelBench.Measure(terminal), ModelBench.Random(terminal) };
        command.SetAction(p =>
        {
            var asked = (p.GetValue(names) ?? []).Select(n => Find(n, [list, quick, against, save, json])).Distinct().ToArray();
            if (asked.Length == 0) asked = Benchmarks.All;
            if (p.GetValue(list)) return List(terminal, asked, p.GetValue(json));
            var before = p.GetValue(against) is { } file ? Baseline.Read(file) : null;
            if (p.GetValue(save) is { } target) Baseline.CheckTarget(target); else target = null;
            List<Timing> rows;
            using (var line = new ProgressLine(terminal))
            {
                var benchmarks = new Benchmarks(p.GetValue(quick), line.Show, terminal.Cancel);
                rows = benchmarks.Run(asked);
                if (before is not null) rows = Confirm(benchmarks, before, rows);
            }
            if (target is not null) Baseline.Save(target, Json(rows, null));
            if (p.GetValue(json)) Output.Json(terminal, Json(rows, before)); else Table(terminal, rows);
            return before is null || Report(p.GetValue(json) ? terminal.Err : terminal.Out, before, Compare(before, rows)) ? Cli.Done : Cli.Failed;
        });
        return command;
    }

    // Names take every word, so a mistyped option ends up among them.
    static Benchmark Find(string name, Option[] options) => !name.StartsWith('-') ? Benchmarks.Find(name)
        : throw new UsageException($"unknown option '{name}' of 'fovea bench'; did you mean '{options.MinBy(o => Mechanisms.Mechanism.Distance(o.Name, name))!.Name}'?");

    static int List(Terminal terminal, Benchmark[] asked, bool json)
    {
        if (json) Output.Json(terminal, new JsonArray([.. asked.Select(b => new JsonObject { ["name"] = b.Name, ["about"] = b.About })]));
        else Output.Table(terminal, ["name", "measures"], asked.Select(b => new[] { b.Name, b.About }));
        return Cli.Done;
    }

    static Baseline.Comparison Compare(Baseline before, IEnumerable<Timing> rows) => before.Compare(rows.Select(r => (r.Key, r.Fraction)));

    // Something else on the machine makes a row fall as well as a slower kernel does, so a fall must show twice; the better of both counts.
    static List<Timing> Confirm(Benchmarks benchmarks, Baseline before, List<Timing> rows)
    {
        var fallen = Compare(before, rows).Fallen.Select(c => c.Key).ToHashSet();
        if (fallen.Count == 0) return rows;
        var again = benchmarks.Run([.. rows.Where(r => fallen.Contains(r.Key)).Select(r => r.Benchmark).Distinct().Select(Benchmarks.Find)]).ToDictionary(r => r.Key);
        return [.. rows.Select(r => fallen.Contains(r.Key) && again.TryGetValue(r.Key, out var second) && second.Fraction > r.Fraction ? second : r)];
    }

    /// <summary>Whether nothing fell.</summary>
    static bool Report(TextWriter to, Baseline before, Baseline.Comparison c)
    {
        var fallen = c.Fallen.OrderBy(f => f.Factor).ToList();
        foreach (var f in fallen) to.WriteLine($"fell: {f.Key}: {F(f.Before, "0.000")} → {F(f.Now, "0.000")} ({F((f.Factor - 1) * 100, "0")} %)");
        to.WriteLine($"{c.Rows.Count} rows compared, {fallen.Count} fell by more than {F(Baseline.Tolerance * 100, "0")} %; {c.New} not in the file, {c.Absent} only there");
        if (before.Machine != "" && before.Machine != ClaimRunner.Machine) to.WriteLine($"note: the file is from another machine ({before.Machine}), this one is {ClaimRunner.Machine}");
        return fallen.Count == 0;
    }

    static void Table(Terminal terminal, List<Timing> rows) => Output.Table(terminal, ["kernel", "size", "threads", "ms", "median", "GFLOP/s", "of peak", "GB/s", "of bandwidth", "relative"], rows.Select(r => new[]
    {
        r.Name, r.Size, $"{r.Threads}", F(r.Seconds * 1e3, "0.000"), F(r.Sample.Median * 1e3, "0.000"), F(r.Flops / r.Seconds / 1e9, "0.0"), F(r.FractionOfPeak * 100, "0") + " %",
        F(r.Bytes / r.Seconds / 1e9, "0.0"), F(r.FractionOfBandwidth * 100, "0") + " %", r.Relative is { } x ? $"{F(x.Value, "0.00")} of {x.To}" : "",
    }), 2, 3, 4, 5, 6, 7, 8);

    static string F(double x, string format) => x.ToString(format, CultureInfo.InvariantCulture);
    static JsonArray Json(IEnumerable<Timing> rows, Baseline? before) => new([.. rows.Select(r => Json(r, before))]);
    static JsonObject Json(Timing r, Baseline? before)
    {
        var o = new JsonObject
        {
            ["name"] = r.Name,
            ["size"] = r.Size,
            ["ms"] = Output.Number(r.Seconds * 1e3),
            ["gflops"] = Output.Number(r.Flops / r.Seconds / 1e9),
            ["fractionOfPeak"] = Output.Number(r.FractionOfPeak, 4),
            ["bytesPerSecond"] = Output.Number(r.Bytes / r.Seconds),
            ["fractionOfBandwidth"] = Output.Number(r.FractionOfBandwidth, 4),
            ["threads"] = r.Threads,
            ["benchmark"] = r.Benchmark,
            ["medianMs"] = Output.Number(r.Sample.Median * 1e3),
            ["samples"] = r.Sample.Count,
            ["fraction"] = Output.Number(r.Fraction, 4),
        };
        if (r.Relative is { } x) o["relativeTo"] = x.To;
        if (r.Tokens > 0) o["tokensPerSecond"] = Output.Number(r.Tokens / r.Seconds);
        if (before?.Before(r.Key) is { } earlier) o["fractionBefore"] = Output.Number(earlier, 4);
        return o;
    }
}
