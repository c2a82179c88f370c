using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Cli;

/// <summary>fovea explain: what one mechanism computes and keeps, counted.</summary>
static class ExplainCommand
{
    static readonly string[] configuration = ["dim", "heads", "kvHeads", "causal"];

    public static Command Make(Terminal terminal)
    {
        var name = new Argument<string>("name") { Description = "A mechanism; 'fovea mechanisms' lists them." };
        var length = new Option<int>("--length") { Description = "Tokens of the text; weights are looked at up to " + Explanation.MostLookedAt + ".", DefaultValueFactory = _ => 1024 };
        var set = new Option<string[]>("--set") { Description = "dim=64 heads=4 kvHeads=2 causal=false, and parameters of the mechanism.", AllowMultipleArgumentsPerToken = true };
        var json = Output.JsonOption();
        var command = new Command("explain", "Counts what a mechanism computes and keeps: multiply-adds and their growth, pairs and tiles with weight, bytes of state.") { name, length, set, json };
        command.SetAction(p => Run(terminal, p.GetValue(name)!, p.GetValue(length), p.GetValue(set) ?? [], p.GetValue(json)));
        return command;
    }

    static int Run(Terminal terminal, string name, int length, string[] set, bool json)
    {
        if (length is < 2 or > 1 << 20) throw new UsageException($"--length {length}: expected 2 to {1 << 20}");
        var mechanism = Mechanism.Find(name); var pairs = Settings.Pairs(set);
        T Take<T>(string key, T start) => pairs.Remove(key, out string? text) ? (T)Settings.Parse(key, text, typeof(T)) : start;
        int dim = Take("dim", 64), heads = Take("heads", 4), kvHeads = Take("kvHeads", heads); bool causal = Take("causal", mechanism.Traits.HasFlag(Traits.Causal));
        var knobs = Settings.Knobs(mechanism, pairs, configuration);
        var e = Explanation.Of(mechanism, new(dim, heads, kvHeads, causal, Length: length), length, knobs);
        if (json)
        {
            Output.Json(terminal, new JsonObject
            {
                ["name"] = e.Name,
                ["tokens"] = e.Tokens,
                ["parameters"] = e.Parameters,
                ["multiplyAdds"] = e.Work,
                ["ofSoftmax"] = Output.Number(e.SoftmaxShare),
                ["growthExponent"] = e.Growth is { } growth ? Output.Number(growth) : null,
                ["pairs"] = e.Pairs,
                ["tiles"] = e.Tiles?.Visited,
                ["partialTiles"] = e.Tiles?.Partial,
                ["allTiles"] = e.Tiles?.Dense,
                ["stateBytes"] = e.StateBytes,
                ["softmaxStateBytes"] = e.SoftmaxStateBytes,
            });
            return Cli.Done;
        }
        var rows = new List<string[]>
        {
            new[] { "parameters", N(e.Parameters) },
            new[] { "multiply-adds of a forward pass", $"{N(e.Work)}, {e.SoftmaxShare.ToString("p1", CultureInfo.InvariantCulture)} of softmax attention's" },
        };
        if (e.Growth is { } g) rows.Add(["growth with the length", $"N^{g.ToString("f2", CultureInfo.InvariantCulture)} between {e.Tokens / 2} and {e.Tokens} tokens"]);
        if (e.Tiles is { } t)
        {
            rows.Add(["pairs with weight", $"{N(e.Pairs!.Value)}, {e.PairShare!.Value.ToString("p1", CultureInfo.InvariantCulture)} of all"]);
            rows.Add([$"tiles of {Explanation.Tile} × {Explanation.Tile} computed", $"{N(t.Visited)} of {N(t.Dense)}, {e.TileShare!.Value.ToString("p1", CultureInfo.InvariantCulture)} of the dense work; {N(t.Partial)} need a mask"]);
        }
        rows.Add(["state after the text", e.StateBytes is { } b ? $"{N(b)} bytes; softmax attention {N(e.SoftmaxStateBytes)}" : "does not decode token by token"]);
        Output.Table(terminal, [e.Name, $"{e.Tokens} tokens, {dim} channels, {heads} heads"], rows);
        return Cli.Done;
    }

    static string N(long x) => x.ToString("n0", CultureInfo.InvariantCulture);
}
