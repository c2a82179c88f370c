using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Fovea.Engine;
namespace Fovea.Cli;

/// <summary>fovea perplexity: how well a model foresees a text, and what a limited cache costs.</summary>
static class PerplexityCommand
{
    public static Command Make(Terminal terminal)
    {
        var engine = new EngineOptions(); var file = new Argument<string>("file") { Description = "A text file." }; var json = Output.JsonOption();
        var length = new Option<int>("--length") { Description = "Tokens of a window; each window is read from nothing.", DefaultValueFactory = _ => 2048 };
        var warm = new Option<int>("--warm") { Description = "First tokens of each window that are read and not scored.", DefaultValueFactory = _ => 0 };
        var most = new Option<int?>("--tokens") { Description = "Read only so many tokens of the file." };
        var command = new Command("perplexity", "Perplexity of a text under any cache rule and format, and the divergence from the full cache.") { file, length, warm, most, json };
        engine.AddTo(command);
        command.SetAction(p =>
        {
            var options = engine.Batch(p); using var loaded = engine.Open(p);
            int[] tokens = loaded.Tokenizer.Encode(EngineOptions.Text(null, p.GetValue(file), terminal), special: false, boundaries: true);
            if (p.GetValue(most) is { } n) tokens = tokens[..Math.Min(tokens.Length, Math.Max(0, n))];
            int window = Math.Min(p.GetValue(length), options.Context ?? loaded.Model.Length); bool compare = options.Budget is not null || options.Format.ToString() != "f32";
            TextScore score;
            using (var line = new ProgressLine(terminal)) score = TextScore.Of(loaded.Model, tokens, window, options.Chunk, p.GetValue(warm), options.Format, options.Budget, compare, d => line.Show("reading", d), terminal.Cancel);
            if (p.GetValue(json)) Output.Json(terminal, new JsonObject { ["tokens"] = score.Tokens, ["perplexity"] = Output.Number(score.Perplexity), ["nats"] = Output.Number(score.Nats), ["divergence"] = score.Divergence is { } d ? Output.Number(d) : null, ["cacheBytes"] = score.CacheBytes });
            else Output.Table(terminal, ["tokens", "perplexity", "nats per token", "divergence from the full cache", "cache, bytes"], [[$"{score.Tokens}", score.Perplexity.ToString("0.000", CultureInfo.InvariantCulture), score.Nats.ToString("0.0000", CultureInfo.InvariantCulture),
                score.Divergence is { } kl ? kl.ToString("0.0000", CultureInfo.InvariantCulture) : "–", score.CacheBytes.ToString("N0", CultureInfo.InvariantCulture)]], 0, 1, 2, 3, 4);
            return Cli.Done;
        });
        return command;
    }
}
