using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
namespace Fovea.Cli;

/// <summary>fovea bench: timed kernels as fractions of what the machine can do.</summary>
static class BenchCommand
{
    public static Command Make(Terminal terminal)
    {
        var names = new Argument<string[]>("names") { Description = "gemm, attention, decode, linear, train; all without a name.", Arity = ArgumentArity.ZeroOrMore };
        var quick = new Option<bool>("--quick") { Description = "Small sizes, a few seconds in all." };
        var json = Output.JsonOption();
        var command = new Command("bench", "Times kernels as fractions of the measured peak of multiply-adds and of memory reads.") { names, quick, json };
        command.SetAction(p =>
        {
            var asked = p.GetValue(names) ?? [];
            foreach (string name in asked)
                if (!Benchmarks.Names.Contains(name)) throw new UsageException($"bench {name}: expected {string.Join(", ", Benchmarks.Names)}; did you mean '{Benchmarks.Names.MinBy(n => Mechanisms.Mechanism.Distance(n, name))}'?");
            List<Timing> rows;
            using (var line = new ProgressLine(terminal)) rows = new Benchmarks(p.GetValue(quick), line.Show, terminal.Cancel).Run(asked.Length == 0 ? Benchmarks.Names : asked);
            if (p.GetValue(json)) Output.Json(terminal, new JsonArray([.. rows.Select(Json)]));
            else Output.Table(terminal, ["kernel", "size", "threads", "ms", "GFLOP/s", "of peak", "GB/s", "of bandwidth"], rows.Select(r => new[]
            {
                r.Name, r.Size, $"{r.Threads}", F(r.Seconds * 1e3, "0.000"), F(r.Flops / r.Seconds / 1e9, "0.0"), F(r.FractionOfPeak * 100, "0") + " %", F(r.Bytes / r.Seconds / 1e9, "0.0"), F(r.FractionOfBandwidth * 100, "0") + " %",
            }), 2, 3, 4, 5, 6, 7);
            return Cli.Done;
        });
        return command;
    }

    static string F(double x, string format) => x.ToString(format, CultureInfo.InvariantCulture);
    static JsonNode Json(Timing r)
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
        };
        if (r.Tokens > 0) o["tokensPerSecond"] = Output.Number(r.Tokens / r.Seconds);
        return o;
    }
}
