using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Two-layer models read needles in filler with a landmark after every 15 tokens, trained on rows of 128: landmark attention above a window of 16, dense attention and windows. Then the first reads longer rows by fetching two blocks per
/// token and head. With landmarks in both layers the lower one, where all landmarks look alike, looks into all eight blocks of a training row at once, and what it learns is lost when it can fetch two (calibration: 0.17 to 0.8 at 2,048). Rows of 512 and 2,048 have their needles at least 128 tokens before the questions. A needle is one token, so that none crosses the border of a block. Ablated: a window in place of landmarks.
/// </summary>
[Paper("landmark-attention")]
public static class Landmark
{
    const int Trained = 128, Block = 16, Top = 2, Chunk = 64, Attended = Top * Block + Chunk;
    static MarkedText Plain(ClaimRun run, int length) => new(run.Rng["table"], length / Block * (Block - 1), keys: 2, values: 8, questions: 8, nearest: length > Trained ? 128 : 1, every: 0, spread: length > Trained ? 0 : 16);
    static WithLandmarks Text(ClaimRun run, int length) => new(Plain(run, length), Block);
    static ModelConfig Config(ClaimRun run) => new(Text(run, Trained).Vocabulary, 48, 2, 4) { Hidden = 96, Length = Trained };
    static Mixer Window => (_, c, w) => new SlidingWindowAttention(c, w, Attended);
    static DecoderModel Model(ClaimRun run, string name, Mixer mixer) => SmallRuns.Train(run, $"landmark-{name}", Config(run), Text(run, Trained), 600, 16, 4e-3, mixer);
    static DecoderModel Dense(ClaimRun run) => Model(run, "dense", ModelConfig.Softmax);
    static DecoderModel Local(ClaimRun run) => Model(run, "window", Window);
    static DecoderModel Ours(ClaimRun run) => run.Ablated ? Local(run) : Model(run, "ours", (layer, c, w) => layer == 0 ? new SlidingWindowAttention(c, w, Block) : new LandmarkAttention(c, w, Block));
    // The same weights, reading by retrieval.
    static DecoderModel Reader(ClaimRun run, Weights? w = null)
    {
        if (run.Ablated) return w is null ? Local(run) : new(Config(run), w, Window);
        if (w is null) { Ours(run); w = run.Trained("landmark-ours", () => throw new InvalidOperationException("not trained")); }
        return new(Config(run), w, (layer, c, w) => layer == 0 ? new SlidingWindowAttention(c, w, Block) : new LandmarkRetrievalAttention(c, w, Block, Top, Chunk));
    }
    static double Accuracy(ClaimRun run, DecoderModel model, int length) => SmallRuns.Accuracy(model, SmallRuns.HeldOut(run, Text(run, length), Math.Max(4, 4096 / length), 16).Select(b => Asked(run, b)));
    // Only the questions at the end.
    static Batch Asked(ClaimRun run, Batch b) => new(b.Inputs, [.. b.Targets.Select((t, i) => i % b.Length >= b.Length - 10 ? t : -1)], b.Size, b.Length);

    [Claim("Weights of a row sum to one and landmarks weigh nothing; the fused form is the plain one with its gradients; retrieval of all blocks is the full grouped softmax, at once and in chunks", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        const int n = 150, dim = 32; var c = new AttentionConfig(dim, 4, Position: new Rope()); Weights W() => Weights.Random(run.Rng["w"]); var x = Trials.Draw(run.Rng["x"], [1, n, dim]);
        Attention full = run.Ablated ? new SoftmaxAttention(c, W()) : new LandmarkAttention(c, W(), 10), all = new LandmarkRetrievalAttention(c, W(), 10, 20, 30);
        var capture = new Capture("blocks.0.attn.pattern"); full.Forward(x, new Pass { Probe = capture, Layer = 0 }); var p = capture["blocks.0.attn.pattern"];
        double sum = 0, mark = 0;
        for (int r = 0; r < 4 * n; r++) { var row = Trials.Wide(p.Span.Slice(r * n, n)); sum = Math.Max(sum, Math.Abs(row.Sum() - 1)); mark = Math.Max(mark, row.Where((_, j) => j % 10 == 9).Max()); }
        var (o, g) = Forms.FusedAndPlain(run.Rng, full, n, dim); var whole = full.Forward(x, Pass.Eval); double chunked = 0; var memory = new Memory();
        foreach (var (from, to) in new[] { (0, 64), (64, 128), (128, 129), (129, n) }) chunked = Math.Max(chunked, SmallRuns.Apart(whole.Rows(from, to).Span, all.Forward(x.Rows(from, to).Detach(), new Pass { Memory = memory }).Span));
        return Evidence.All(Evidence.AtMost(sum, 1e-5, "", "sum of weights from one"), Evidence.AtMost(mark, 0, "", "largest weight of a landmark"), Evidence.AtMost(o, 1e-5, "", "fused from plain"), Evidence.AtMost(g, 1e-4, "", "gradients"),
            Evidence.AtMost(SmallRuns.Apart(whole.Span, all.Forward(x, Pass.Eval).Span), 1e-4, "", "all blocks fetched from the full form"), Evidence.AtMost(chunked, 1e-4, "", "in chunks"));
    }

    [Claim("A query sees as many tokens after 2,048 as after 512, and costs one product per block more", Quick = true)]
    public static Evidence Cost(ClaimRun run)
    {
        var model = Reader(run, Weights.Random(run.Rng["fresh"])); double[] seen = [0, 0], work = [0, 0];
        for (int i = 0; i < 2; i++)
        {
            int length = i == 0 ? 512 : 2048; int[] text = Text(run, length).Batch(run.Rng["text"], 0, 1).Inputs; var memory = new Memory();
            using var scope = Scope.NoGrad();
            for (int at = 0; at < length - 1; at += Chunk) model.Forward(text.AsSpan(at, Math.Min(Chunk, length - 1 - at)), 1, new Pass { Memory = memory });
            work[i] = Work.Count(() => model.Forward(text.AsSpan(length - 1), 1, new Pass { Memory = memory })); seen[i] = memory.States.OfType<LandmarkKv>().Select(s => s.Seen).DefaultIfEmpty().Max();
        }
        // Four heads: a product of 12 numbers for each of 96 blocks more.
        return Evidence.All(Evidence.AtMost(seen[1] - seen[0], 0, "tokens", "seen more after 2,048"), Evidence.AtLeast(seen[1], Attended, "tokens", "seen"), Evidence.AtMost((work[1] - work[0]) / (4 * 12 * 96), 1, "", "multiply-adds more, over products with the landmarks"));
    }

    [Claim("At the length of training it reads as well as dense attention; at sixteen times that length, two blocks per token suffice where a window of as many tokens and dense attention fail")]
    public static Evidence Reads(ClaimRun run)
    {
        double dense = Accuracy(run, Dense(run), Trained), ours = Accuracy(run, Ours(run), Trained), middle = Accuracy(run, Reader(run), 512), far = Accuracy(run, Reader(run), 2048), window = Accuracy(run, Local(run), 2048), extrapolated = Accuracy(run, Dense(run), 2048);
        return Evidence.All(Evidence.AtLeast(ours - dense, -0.05, "", $"accuracy ({ours:f3}) beyond dense attention at 128 tokens"), Evidence.AtLeast(far / ours, 0.7, "", $"accuracy at 2,048 ({far:f3}; at 512 {middle:f3}) over that at 128"),
            Evidence.AtLeast(far - window, 0.4, "", $"at 2,048 beyond a window of {Attended} tokens ({window:f3})"), Evidence.AtLeast(far - extrapolated, 0, "", $"beyond dense attention ({extrapolated:f3})"));
    }

    [Claim("Some head fetches the block of the needle")]
    public static Evidence Finds(ClaimRun run)
    {
        const int length = 2048, rows = 32; var plain = Plain(run, length); var text = Text(run, length).Batch(run.Rng["held out"], 0, rows); var memory = new Memory(); var reader = Reader(run);
        for (int at = 0; at < length; at += Chunk)
        {
            int from = at; int[] part = [.. Enumerable.Range(0, rows).SelectMany(b => text.Input(b).Slice(from, Chunk).ToArray())];
            using var scope = Scope.NoGrad();
            reader.Forward(part, rows, new Pass { Memory = memory });
        }
        double best = 0;
        foreach (var state in memory.States.OfType<LandmarkKv>())
            for (int h = 0; h < 4; h++)
            {
                int found = 0;
                // The last token but its landmark asks.
                for (int b = 0; b < rows; b++) if (state.Chosen[(b * 4 + h) * Chunk + Chunk - 2].Contains(text.Input(b).IndexOf(text.Target(b)[^2]) / Block)) found++;
                best = Math.Max(best, (double)found / rows);
            }
        return Evidence.AtLeast(best, 0.9, "", "of last questions, in the best head");
    }
}
