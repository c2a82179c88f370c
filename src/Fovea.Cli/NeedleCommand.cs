using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Fovea.Engine;
namespace Fovea.Cli;

/// <summary>fovea needle: whether a model finds one fact, wherever it stands, under any cache rule.</summary>
static class NeedleCommand
{
    public static Command Make(Terminal terminal)
    {
        var engine = new EngineOptions(); var seed = Output.SeedOption(); var json = Output.JsonOption();
        var lengths = new Option<string>("--lengths") { Description = "Lengths of text in tokens.", DefaultValueFactory = _ => "512,1024,2048,4096" };
        var depths = new Option<int>("--depths") { Description = "Places of the fact, evenly from the beginning to the end.", DefaultValueFactory = _ => 5 };
        var trials = new Option<int>("--trials") { Description = "Texts for each length and place.", DefaultValueFactory = _ => 5 };
        var output = new Option<string?>("--out") { Description = "An SVG file with the grid." };
        var command = new Command("needle", "Share of right answers about one fact by length and place, as a table and a heat map.") { lengths, depths, trials, output, seed, json };
        engine.AddTo(command);
        command.SetAction(p =>
        {
            var options = engine.Batch(p); int places = p.GetValue(depths), times = p.GetValue(trials);
            if (places is < 1 or > 100) throw new UsageException($"--depths {places}: expected 1 to 100");
            if (times is < 1 or > 10000) throw new UsageException($"--trials {times}: expected 1 to 10000");
            int[] sizes = [.. p.GetValue(lengths)!.Split(',', StringSplitOptions.TrimEntries).Select(x => int.TryParse(x, NumberStyles.None, CultureInfo.InvariantCulture, out int n) && n is >= 64 and <= 1 << 20 ? n : throw new UsageException($"--lengths {x}: expected whole numbers from 64 to {1 << 20}"))];
            using var loaded = engine.Open(p); NeedleGrid grid; double[] at = [.. Enumerable.Range(0, places).Select(i => places == 1 ? 0.5 : i / (double)(places - 1))];
            using (var line = new ProgressLine(terminal)) grid = NeedleGrid.Measure(loaded, sizes, at, times, options, new Rng((ulong)p.GetValue(seed))["needle"], d => line.Show("asking", d), terminal.Cancel);
            string Share(double x) => (100 * x).ToString("0", CultureInfo.InvariantCulture) + " %";
            if (p.GetValue(output) is { } file)
                AtomicFile.WriteText(file, Plot.Grid("needle", "Right answers about one fact", $"Share of right answers in per cent by depth and length; cache: {p.GetValue(engine.Cache)}", "place of the fact, share of the text before it", [.. at.Select(Share)], "tokens", [.. sizes.Select(s => s.ToString(CultureInfo.InvariantCulture))], (r, c) => grid.Share[r, c])
                    .Replace("<svg ", "<svg font-family=\"sans-serif\" font-size=\"13\" ", StringComparison.Ordinal));
            if (p.GetValue(json)) Output.Json(terminal, new JsonArray([.. sizes.Select((s, l) => new JsonObject { ["tokens"] = s, ["share"] = Output.Number(grid.Mean(l)), ["cacheBytes"] = grid.CacheBytes[l], ["byDepth"] = new JsonArray([.. at.Select((_, d) => Output.Number(grid.Share[l, d]))]) })]));
            else Output.Table(terminal, ["tokens", .. at.Select(Share), "mean", "cache, bytes"], sizes.Select((s, l) => (string[])[$"{s}", .. at.Select((_, d) => Share(grid.Share[l, d])), Share(grid.Mean(l)), grid.CacheBytes[l].ToString("N0", CultureInfo.InvariantCulture)]), [.. Enumerable.Range(0, places + 3)]);
            return Cli.Done;
        });
        return command;
    }
}
