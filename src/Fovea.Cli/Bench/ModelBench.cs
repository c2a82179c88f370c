using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>fovea bench model: how fast a language model reads and writes, and fovea bench random-model: a file of a given shape to measure with.</summary>
static class ModelBench
{
    public static Command Measure(Terminal terminal)
    {
        var engine = new EngineOptions(); var json = Output.JsonOption();
        var prompt = new Option<int>("--prompt") { Description = "Tokens that are read first, and stand in the cache.", DefaultValueFactory = _ => 512 };
        var tokens = new Option<int>("--tokens") { Description = "Tokens that are written, one by one.", DefaultValueFactory = _ => 32 };
        var command = new Command("model", "Time to open a language model, to read a prompt of any tokens and to write tokens behind it, and the memory that it takes.") { prompt, tokens, json };
        engine.AddTo(command);
        command.SetAction(p =>
        {
            int reads = p.GetValue(prompt), writes = p.GetValue(tokens); var options = engine.Batch(p); int most = options.Chunk;
            if (reads < 1) throw new UsageException($"--prompt {reads}: expected at least 1");
            if (writes < 0) throw new UsageException($"--tokens {writes}: expected at least 0");
            long start = Stopwatch.GetTimestamp();
            // A drawn model has no vocabulary.
            using var loaded = p.GetValue(engine.Model) is null ? LoadedModel.Small() : null; using var opened = loaded is null ? LanguageModel.Open(p.GetValue(engine.Model)!) : null; var model = loaded?.Model ?? opened!;
            double opening = Stopwatch.GetElapsedTime(start).TotalSeconds;
            var logits = new float[model.Vocabulary];
            void Read(Sequence s, int[] text) { for (int at = 0; at < text.Length && !terminal.Cancel.IsCancellationRequested; at += most) model.Forward([new(s, text.AsMemory(at, Math.Min(most, text.Length - at)))], logits); }
            int[] Text(int n, int step) => [.. Enumerable.Range(0, n).Select(i => (int)(((long)i * step + 13) % model.Vocabulary))];
            // Weights come from the disk, methods are compiled and a chunk has its room before anything is measured.
            using (var warm = model.Start(options.Format, options.Budget))
            {
                Read(warm, Text(Math.Min(reads, most), 7919)); long first = Stopwatch.GetTimestamp();
                for (int i = 0; i < 8 || Stopwatch.GetElapsedTime(first).TotalSeconds < 1 && warm.Length < Math.Min(model.Length, 4096); i++) Read(warm, [i % 8]);
            }
            long before = Environment.WorkingSet;
            using var sequence = model.Start(options.Format, options.Budget);
            start = Stopwatch.GetTimestamp(); Read(sequence, Text(reads, 7919)); double reading = Stopwatch.GetElapsedTime(start).TotalSeconds;
            int[] next = [0]; Read(sequence, next);
            start = Stopwatch.GetTimestamp();
            for (int i = 0; i < writes; i++) { next[0] = (i * 31 + 5) % model.Vocabulary; Read(sequence, next); }
            double writing = Stopwatch.GetElapsedTime(start).TotalSeconds;
            terminal.Cancel.ThrowIfCancellationRequested();
            if (p.GetValue(json)) Output.Json(terminal, new JsonObject { ["openSeconds"] = opening, ["readSeconds"] = reading, ["readTokens"] = reads, ["writeSeconds"] = writing, ["writeTokens"] = writes, ["cacheBytes"] = sequence.Cache.Bytes, ["weightBytes"] = model.WeightBytes, ["processBytes"] = Environment.WorkingSet, ["processGrowth"] = Environment.WorkingSet - before });
            else Output.Table(terminal, ["opened in, s", "read, tokens/s", "written, tokens/s", "cache, bytes", "process, bytes", "of these since the start of reading"], [[opening.ToString("0.000", CultureInfo.InvariantCulture), EngineOptions.Rate(reads, reading), EngineOptions.Rate(writes, writing), sequence.Cache.Bytes.ToString("N0", CultureInfo.InvariantCulture), Environment.WorkingSet.ToString("N0", CultureInfo.InvariantCulture), (Environment.WorkingSet - before).ToString("N0", CultureInfo.InvariantCulture)]], 0, 1, 2, 3, 4, 5);
            return Cli.Done;
        });
        return command;
    }

    public static Command Random(Terminal terminal)
    {
        var path = new Argument<string>("file") { Description = "The GGUF file that is written." }; var kind = new Option<GgufKind>("--kind") { Description = "F32, F16, Q8_0 or Q4_0.", DefaultValueFactory = _ => GgufKind.Q8_0 };
        Option<int> Whole(string name, int @default) => new(name) { DefaultValueFactory = _ => @default };
        Option<int> dim = Whole("--dim", 2048), layers = Whole("--layers", 16), heads = Whole("--heads", 32), groups = Whole("--kv-heads", 8), hidden = Whole("--hidden", 8192), vocabulary = Whole("--vocabulary", 32000), length = Whole("--length", 32768); var seed = Output.SeedOption();
        var command = new Command("random-model", "Writes a model of the Llama family with drawn weights and no vocabulary: one billion parameters without other sizes.") { path, kind, dim, layers, heads, groups, hidden, vocabulary, length, seed };
        command.SetAction(p =>
        {
            int Size(Option<int> o, int most) => p.GetValue(o) is var n && n >= 1 && n <= most ? n : throw new UsageException($"{o.Name} {n}: expected 1 to {most}");
            int c = Size(dim, 1 << 16), h = Size(heads, 1024), g = Size(groups, h), f = Size(hidden, 1 << 18), v = Size(vocabulary, 1 << 20), n = Size(layers, 1000); var k = p.GetValue(kind);
            if (c % h != 0 || h % g != 0) throw new UsageException($"--dim {c} --heads {h} --kv-heads {g}: expected heads that divide the size, and key heads that divide the heads");
            if (!GgufWriter.Writes(k)) throw new UsageException($"--kind {k}: expected F32, F16, Q8_0 or Q4_0");
            var rng = new Rng((ulong)p.GetValue(seed))["random-model"];
            var w = new GgufWriter("llama").Set("general.name", "random").Set("tokenizer.ggml.model", "none").Set("llama.vocab_size", (uint)v).Set("llama.embedding_length", (uint)c).Set("llama.block_count", (uint)n).Set("llama.attention.head_count", (uint)h)
                .Set("llama.attention.head_count_kv", (uint)g).Set("llama.feed_forward_length", (uint)f).Set("llama.context_length", (uint)Size(length, 1 << 24)).Set("llama.attention.layer_norm_rms_epsilon", 1e-5f).Set("llama.rope.dimension_count", (uint)(c / h)).Set("llama.rope.freq_base", 10000f);
            void Matrix(string name, int rows, int columns) { var draws = rng[name]; w.Add(name, k, [rows, columns], (row, to) => draws[(int)row].Normal(to, (float)(1 / Math.Sqrt(columns)))); }
            void Ones(string name) => w.Add(name, GgufKind.F32, [c], (_, to) => to.Fill(1));
            Matrix("token_embd.weight", v, c); Ones("output_norm.weight"); Matrix("output.weight", v, c);
            for (int l = 0; l < n; l++)
            {
                string b = $"blk.{l}."; int d = c / h;
                Ones(b + "attn_norm.weight"); Ones(b + "ffn_norm.weight");
                Matrix(b + "attn_q.weight", c, c); Matrix(b + "attn_k.weight", g * d, c); Matrix(b + "attn_v.weight", g * d, c); Matrix(b + "attn_output.weight", c, c);
                Matrix(b + "ffn_gate.weight", f, c); Matrix(b + "ffn_up.weight", f, c); Matrix(b + "ffn_down.weight", c, f);
            }
            w.Save(p.GetValue(path)!);
            terminal.Out.WriteLine($"{Path.GetFullPath(p.GetValue(path)!)}: {new FileInfo(p.GetValue(path)!).Length.ToString("N0", CultureInfo.InvariantCulture)} bytes");
            return Cli.Done;
        });
        return command;
    }
}
