using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Fovea.Engine;
namespace Fovea.Cli;

/// <summary>fovea generate: a language model goes on with a text.</summary>
static class GenerateCommand
{
    public static Command Make(Terminal terminal)
    {
        var engine = new EngineOptions();
        var prompt = new Argument<string?>("prompt") { Description = "The text to go on with; standard input without it and without --file.", Arity = ArgumentArity.ZeroOrOne };
        var file = new Option<string?>("--file") { Description = "A file with the text to go on with." };
        var most = new Option<int>("--max-tokens") { Description = "The most tokens that are written.", DefaultValueFactory = _ => 256 };
        var temperature = new Option<double>("--temperature") { Description = "0 takes the likeliest token, always.", DefaultValueFactory = _ => Sampling.Usual.Temperature };
        var topK = new Option<int>("--top-k") { Description = "Draw from the likeliest so many; 0 for all.", DefaultValueFactory = _ => Sampling.Usual.TopK };
        var topP = new Option<double>("--top-p") { Description = "Draw from the fewest that hold this share of probability.", DefaultValueFactory = _ => Sampling.Usual.TopP };
        var minP = new Option<double>("--min-p") { Description = "Leave out what is less likely than this share of the likeliest.", DefaultValueFactory = _ => Sampling.Usual.MinP };
        var repeat = new Option<double>("--repetition-penalty") { Description = "Above 1: makes tokens of the last 64 less likely.", DefaultValueFactory = _ => 1 };
        var stop = new Option<string[]>("--stop") { Description = "A text that ends the text, and is left out; may be given several times." };
        var overflow = new Option<Overflow>("--overflow") { Description = "At the end of the context: error, stop, or slide (forget the older half).", DefaultValueFactory = _ => Overflow.Stop };
        var seed = Output.SeedOption(); var json = Output.JsonOption();
        var command = new Command("generate", "Goes on with a text, token by token; ends with tokens per second and the bytes of the cache on stderr.") { prompt, file, most, temperature, topK, topP, minP, repeat, stop, overflow, seed, json };
        engine.AddTo(command); engine.AddDraftTo(command);
        command.SetAction(p =>
        {
            var sampling = new Sampling { Temperature = p.GetValue(temperature), TopK = p.GetValue(topK), TopP = p.GetValue(topP), MinP = p.GetValue(minP), RepetitionPenalty = p.GetValue(repeat), Seed = (ulong)p.GetValue(seed) }.Checked();
            var options = engine.Batch(p); string text = EngineOptions.Text(p.GetValue(prompt), p.GetValue(file), terminal);
            using var loaded = engine.Open(p); var (all, draft) = engine.WithDraft(p, options, loaded); using var opened = draft; using var batcher = new Batcher(loaded.Model, loaded.Tokenizer, all with { Kept = 0 });
            int[] tokens = loaded.Tokenizer.Encode(text, special: true, boundaries: true);
            if (tokens.Length == 0) throw new UsageException("the text is empty: expected at least one token to go on with");
            var told = new StringBuilder(); long start = Stopwatch.GetTimestamp(); double read = 0; bool quiet = p.GetValue(json); long bytes = 0;
            Writing? writing = null;
            writing = batcher.Add(new(tokens) { Sampling = sampling, MaxTokens = p.GetValue(most), Stop = p.GetValue(stop) ?? [], Overflow = p.GetValue(overflow), Cancel = terminal.Cancel }, w =>
            {
                if (read == 0) read = Stopwatch.GetElapsedTime(start).TotalSeconds;
                bytes = writing!.Sequence.Cache.Bytes;
                if (quiet) told.Append(w.Text); else { terminal.Out.Write(w.Text); terminal.Out.Flush(); }
            });
            while (batcher.Step()) { }
            double wrote = Stopwatch.GetElapsedTime(start).TotalSeconds - read; int n = writing.WrittenTokens;
            if (writing.Finish == Finish.Failed) throw new InvalidDataException($"the model failed: {writing.Error!.Message}");
            string facts = $"read {tokens.Length} tokens at {EngineOptions.Rate(tokens.Length, read)}/s, wrote {n} at {EngineOptions.Rate(n - 1, wrote)}/s, cache {bytes.ToString("N0", CultureInfo.InvariantCulture)} bytes, ended by {writing.Finish}" + (draft is null ? "" : $", draft: {writing.AcceptedTokens} of {writing.ProposedTokens} proposed tokens accepted ({(writing.ProposedTokens == 0 ? 0 : 100.0 * writing.AcceptedTokens / writing.ProposedTokens).ToString("0", CultureInfo.InvariantCulture)} %)");
            if (quiet) Output.Json(terminal, new JsonObject { ["text"] = told.ToString(), ["promptTokens"] = tokens.Length, ["writtenTokens"] = n, ["finish"] = writing.Finish.ToString(), ["readTokensPerSecond"] = Output.Number(tokens.Length / read), ["writtenTokensPerSecond"] = Output.Number((n - 1) / wrote), ["cacheBytes"] = bytes, ["proposedTokens"] = writing.ProposedTokens, ["acceptedTokens"] = writing.AcceptedTokens });
            else { terminal.Out.WriteLine(); terminal.Err.WriteLine(facts); }
            return writing.Finish == Finish.Cancelled ? Cli.Cancelled : Cli.Done;
        });
        return command;
    }
}
