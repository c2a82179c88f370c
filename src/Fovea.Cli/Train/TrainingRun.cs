using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>Trains a decoder and writes it as a GGUF file with its vocabulary, beside it the curve and what made it. A run that was stopped goes on from its checkpoint, to the same bits.</summary>
sealed class TrainingRun
{
    readonly TrainPlan plan; readonly string path; readonly byte[] text; readonly BytePairTokenizer merges; readonly SubwordTokenizer tokenizer; readonly ModelConfig config; readonly Weights weights; readonly DecoderModel model; readonly Dictionary<int, Corpus> corpora = [];

    public TrainingRun(TrainPlan plan, string path, byte[] text)
    {
        (this.plan, this.path, this.text) = (plan, path, text);
        merges = plan.Merges(text);
        // Texts are cut as the file's reader will cut them.
        var bytes = new MemoryStream(); new GgufWriter("llama").Vocabulary(merges).Save(bytes);
        using var file = GgufFile.Open(bytes.ToArray(), "vocabulary");
        tokenizer = SubwordTokenizer.FromGguf(file);
        config = plan.Config(tokenizer.VocabularySize).Checked(); weights = Weights.Random(plan.Rng["weights"]); model = new(config, weights);
        if (plan.From is not { } from) return;
        using var start = GgufFile.Open(from);
        try { GgufExport.Read(start, config, weights); }
        catch (InvalidDataException e) { throw new UsageException($"--from {from}: {e.Message}; expected a model of the same sizes"); }
        var other = SubwordTokenizer.FromGguf(start);
        for (int t = 0; t < tokenizer.VocabularySize; t++) if (!tokenizer.Piece(t).AsSpan().SequenceEqual(other.Piece(t))) throw new UsageException($"--from {from}: has another token {t}; expected a model of the same vocabulary, seed and text");
    }

    // As generated text has it: facts on lines, an answer behind its question.
    const string Template = "{{ bos_token }}{% for m in messages %}{{ m.content | trim }}{% if m.role != 'user' %}{{ '\\n' }}{% elif not loop.last %}{{ ' ' }}{% endif %}{% endfor %}";

    public string Checkpoint => path + ".checkpoint";
    public string CurveFile => Path.ChangeExtension(path, ".json");

    Batch Batch(int micro, int length, Rng rng)
    {
        if (text.Length == 0) return new AlmanacTokens(tokenizer, length).Batch(rng, micro, 1);
        if (!corpora.TryGetValue(length, out var c)) corpora[length] = c = new(text, length, tokenizer);
        return c.Batch(rng, micro, 1);
    }

    void Save(GgufKind kind)
    {
        var file = new GgufWriter("llama").Set("general.name", "fovea").Vocabulary(merges);
        if (text.Length == 0) file.Set("tokenizer.chat_template", Template);
        file.Decoder(config, weights, kind).Save(path);
    }

    public JsonObject Run(bool resume, GgufKind kind, Action<string, double> progress, CancellationToken cancel)
    {
        int rows = Math.Max(1, plan.TokensPerStep / plan.Longest);
        // Rows of shorter texts are laid side by side until a micro-batch holds as many tokens as one of the longest.
        var trainer = new Trainer(weights, new AdamW(decay: 0.05), new() { Steps = plan.Steps, Schedule = new WarmupCosine(plan.Rate, Math.Max(1, plan.Steps / 50), plan.Steps), Rng = plan.Rng["passes"], Accumulate = rows, Checkpoint = Checkpoint, CheckpointEvery = 20 });
        if (!resume && File.Exists(Checkpoint)) File.Delete(Checkpoint);
        trainer.Resume();
        long start = Stopwatch.GetTimestamp(); int first = trainer.Step;
        trainer.Run((i, pass) =>
        {
            int length = plan.LengthAt(i / rows), side = Math.Max(1, plan.Longest / length); int[] inputs = new int[side * length], targets = new int[side * length];
            for (int r = 0; r < side; r++) { var b = Batch(r, length, plan.Rng["texts"][length][i]); b.Inputs.CopyTo(inputs, r * length); b.Targets.CopyTo(targets, r * length); }
            return model.Loss(inputs, targets, side, pass);
        }, step =>
        {
            // The model so far, ten times on the way.
            if (step < plan.Steps && step % Math.Max(1, plan.Steps / 10) == 0) Save(kind);
            progress($"step {step} of {plan.Steps}, length {plan.LengthAt(step - 1)}, loss {trainer.Losses.Skip(step - 20).Average().ToString("0.000", CultureInfo.InvariantCulture)}", step / (double)plan.Steps);
        }, cancel);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Save(kind);
        var facts = new JsonObject
        {
            ["seed"] = plan.Seed,
            ["dim"] = plan.Dim,
            ["layers"] = plan.Layers,
            ["heads"] = plan.Heads,
            ["kvHeads"] = plan.KvHeads,
            ["hidden"] = plan.Hidden,
            ["vocabulary"] = config.Vocabulary,
            ["phases"] = string.Join(',', plan.Phases.Select(p => p.ToString())),
            ["tokensPerStep"] = rows * plan.Longest,
            ["rate"] = plan.Rate,
            ["ropeBase"] = plan.RopeBase,
            ["yarn"] = plan.Yarn,
            ["from"] = plan.From is { } from ? Path.GetFileName(from) : null,
            ["parameters"] = weights.Count,
            ["kind"] = kind.ToString(),
            ["secondsOfLastRun"] = Math.Round(seconds),
            ["stepsOfLastRun"] = plan.Steps - first,
            ["loss"] = new JsonArray([.. trainer.Losses.Chunk(20).Select(c => (JsonNode)Math.Round(c.Average(), 4))]),
        };
        AtomicFile.WriteText(CurveFile, Output.Text(facts) + "\n");
        File.Delete(Checkpoint);
        return facts;
    }
}
