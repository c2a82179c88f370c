using System.CommandLine;
using System.Text.Json.Nodes;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>fovea train: a small language model from nothing, as a file that all other commands read.</summary>
static class TrainCommand
{
    public static Command Make(Terminal terminal)
    {
        var output = new Option<string>("--out") { Description = "The GGUF file that is written; beside it a .json with the curve and the settings.", DefaultValueFactory = _ => "model.gguf" };
        var text = new Option<string?>("--text") { Description = "A text file to learn from; without it generated text about a small world: facts, lookups, two hops, questions, grammar." };
        var phases = new Option<string>("--phases") { Description = "Lengths of text in tokens, each with its updates, one after another.", DefaultValueFactory = _ => "256x1200,1024x500,4096x300" };
        var tokens = new Option<int>("--tokens-per-step") { Description = "Tokens of an update, at every length.", DefaultValueFactory = _ => 8192 };
        var dim = new Option<int>("--dim") { DefaultValueFactory = _ => 256 }; var layers = new Option<int>("--layers") { DefaultValueFactory = _ => 4 }; var heads = new Option<int>("--heads") { DefaultValueFactory = _ => 4 };
        var kv = new Option<int>("--kv-heads") { DefaultValueFactory = _ => 2 }; var hidden = new Option<int>("--hidden") { DefaultValueFactory = _ => 704 }; var vocabulary = new Option<int>("--vocabulary") { DefaultValueFactory = _ => 2304 };
        var theta = new Option<double>("--rope-base") { Description = "Base of the wavelengths of rotary positions.", DefaultValueFactory = _ => 1e4 };
        var yarn = new Option<double>("--yarn") { Description = "Stretch rotary positions by YaRN: how many times longer the longest text is than those that an earlier run has learned from.", DefaultValueFactory = _ => 1 };
        var from = new Option<string?>("--from") { Description = "A model that an earlier run of the same sizes has made, to go on from with other lengths or another rate." };
        var rate = new Option<double>("--rate") { Description = "Largest learning rate.", DefaultValueFactory = _ => 2e-3 };
        var kind = new Option<GgufKind>("--kind") { Description = "How matrices are kept: F32, F16, Q8_0 or Q4_0.", DefaultValueFactory = _ => GgufKind.F16 };
        var resume = new Option<bool>("--resume") { Description = "Go on from the checkpoint beside the file." }; var seed = Output.SeedOption(); var json = Output.JsonOption();
        var command = new Command("train", "Trains a small language model and writes it as a GGUF file with its vocabulary.") { output, text, phases, tokens, dim, layers, heads, kv, hidden, vocabulary, theta, yarn, rate, from, kind, resume, seed, json };
        command.SetAction(p =>
        {
            static int Size(string name, int n, int most) => n >= 1 && n <= most ? n : throw new UsageException($"{name} {n}: expected 1 to {most}");
            var parsed = TrainPhase.Parse(p.GetValue(phases)!);
            if (parsed.Length == 0) throw new UsageException("--phases: expected at least one, like 256x1500");
            if (!GgufWriter.Writes(p.GetValue(kind))) throw new UsageException($"--kind {p.GetValue(kind)}: expected F32, F16, Q8_0 or Q4_0");
            if (p.GetValue(rate) is not (> 0 and <= 1)) throw new UsageException($"--rate {p.GetValue(rate)}: expected a number above 0, up to 1");
            if (p.GetValue(theta) is not (>= 2 and <= 1e12)) throw new UsageException($"--rope-base {p.GetValue(theta)}: expected 2 to 1e12");
            if (!(p.GetValue(yarn) >= 1 && p.GetValue(yarn) <= parsed.Max(x => x.Length) / 2.0)) throw new UsageException($"--yarn {p.GetValue(yarn)}: expected 1 to half of the longest text");
            if (p.GetValue(vocabulary) < 300) throw new UsageException($"--vocabulary {p.GetValue(vocabulary)}: expected at least 300");
            var plan = new TrainPlan(p.GetValue(seed), Size("--dim", p.GetValue(dim), 1 << 14), Size("--layers", p.GetValue(layers), 1000), Size("--heads", p.GetValue(heads), 1000), Size("--kv-heads", p.GetValue(kv), 1000), Size("--hidden", p.GetValue(hidden), 1 << 16),
                Size("--vocabulary", p.GetValue(vocabulary), 1 << 20), parsed, Size("--tokens-per-step", p.GetValue(tokens), 1 << 22), p.GetValue(rate), p.GetValue(theta), p.GetValue(yarn), p.GetValue(from) is { } model ? File.Exists(model) ? model : throw new UsageException($"--from {model}: does not exist") : null);
            byte[] own = p.GetValue(text) is { } file ? File.Exists(file) ? File.ReadAllBytes(file) : throw new UsageException($"--text {file}: does not exist") : [];
            var run = new TrainingRun(plan, p.GetValue(output)!, own); JsonObject facts;
            int told = 0;
            using (var line = new ProgressLine(terminal))
                facts = run.Run(p.GetValue(resume), p.GetValue(kind), (what, done) =>
                {
                    line.Show(what, done);
                    // A log of a long run gets a line for every percent.
                    if (!terminal.Live && (int)(100 * done) > told) { told = (int)(100 * done); terminal.Err.WriteLine(what); }
                }, terminal.Cancel);
            if (p.GetValue(json)) Output.Json(terminal, facts);
            else terminal.Out.WriteLine($"{Path.GetFullPath(p.GetValue(output)!)}: {facts["parameters"]} parameters, loss {facts["loss"]!.AsArray().Last()}");
            return Cli.Done;
        });
        return command;
    }
}
