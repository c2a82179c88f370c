using System.Diagnostics;
using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>The best time of a kernel, the operations that it needs and the bytes that it must touch at least.</summary>
sealed record Timing(string Name, string Size, double Seconds, double Flops, double Bytes, int Threads, double PeakFlops, double PeakBytes, int Tokens = 0)
{
    public double FractionOfPeak => Flops / Seconds / PeakFlops;
    public double FractionOfBandwidth => Bytes / Seconds / PeakBytes;
}

/// <summary>Runs kernels on one thread and on all, next to the limits measured with as many threads.</summary>
sealed class Benchmarks(bool quick, Action<string, double> progress, CancellationToken cancel)
{
    public static readonly string[] Names = ["gemm", "attention", "decode", "linear", "train"];
    readonly List<Timing> rows = [];
    double flops, bytes;

    public List<Timing> Run(IReadOnlyList<string> names)
    {
        int all = Threads.Max; int[] counts = all > 1 && !quick ? [1, all] : [all];
        try
        {
            for (int i = 0; i < counts.Length; i++)
            {
                Threads.Max = counts[i];
                progress("limits of the machine", i / (double)counts.Length);
                flops = Limits.PeakFlops(quick ? 0.2 : 1); cancel.ThrowIfCancellationRequested();
                bytes = Limits.ReadBytesPerSecond(quick ? 0.2 : 1); cancel.ThrowIfCancellationRequested();
                rows.Add(new("limit: multiply-add", "registers", 1, flops, 0, Threads.Max, flops, bytes));
                rows.Add(new("limit: read", "256 MiB", (256 << 20) / bytes, 0, 256 << 20, Threads.Max, flops, bytes));
                for (int j = 0; j < names.Count; j++)
                {
                    progress(names[j], (i + (j + 0.2) / names.Count) / counts.Length);
                    One(names[j]);
                }
            }
        }
        finally { Threads.Max = all; }
        return rows;
    }

    void One(string name)
    {
        switch (name)
        {
            case "gemm": foreach (int n in quick ? (int[])[256, 512] : [256, 512, 1024]) Gemms(n, n, n); Gemms(512, quick ? 256 : 1408, 512); break;
            case "attention": foreach (int n in quick ? (int[])[512] : [1024, 2048]) Attention(n); break;
            case "decode": Decode(8, quick ? 2048 : 8192); Decode(2, quick ? 2048 : 8192); break;
            case "linear": Linear(quick ? 512 : 2048); break;
            case "train": Train(); break;
        }
    }

    void Gemms(int m, int k, int n)
    {
        var a = Draw("a", m * k); var b = Draw("b", k * n); var c = new Real[m * n];
        string size = $"{m}×{k}×{n}"; double work = 2.0 * m * k * n, moved = sizeof(Real) * ((double)m * k + (double)k * n + (double)m * n);
        Time("gemm nn", size, work, moved, () => Gemm.NN(a, b, c, m, k, n));
        Time("gemm nt", size, work, moved, () => Gemm.NT(a, b, c, m, k, n));
        Time("gemm tn", size, work, moved, () => Gemm.TN(a, b, c, k, m, n));
    }

    void Attention(int n)
    {
        const int h = 8, d = 64; var s = new AttentionSize(1, h, h, n, n, d, d); int all = h * n * d;
        var q = Draw("q", all); var k = Draw("k", all); var v = Draw("v", all); var o = new Real[all]; var lse = new Real[h * n];
        var grad = Draw("do", all); var dq = new Real[all]; var dk = new Real[all]; var dv = new Real[all];
        // Two products of half a square forward, five backward.
        double product = 2.0 * h * d * ((double)n * (n + 1) / 2), moved = 4.0 * all * sizeof(Real); string size = $"{h} heads, {n} tokens, {d}";
        Time("attention forward, causal", size, 2 * product, moved, () => Flash.Forward(s, q, k, v, 0, default, new Plain(), new Causal(), o, lse));
        Time("attention backward, causal", size, 5 * product, 2 * moved, () => Flash.Backward(s, q, k, v, 0, default, new Plain(), new Causal(), o, lse, grad, dq, dk, dv));
    }

    void Decode(int groups, int keys)
    {
        const int h = 8, d = 64; var s = new AttentionSize(1, h, groups, 1, keys, d, d);
        var q = Draw("q", h * d); var k = Draw("k", groups * keys * d); var v = Draw("v", groups * keys * d); var o = new Real[h * d]; var lse = new Real[h];
        Time("decode", $"{h} heads on {groups}, {keys} keys, {d}", 4.0 * h * keys * d, 2.0 * groups * keys * d * sizeof(Real), () => Flash.Forward(s, q, k, v, keys - 1, default, new Plain(), new Causal(), o, lse));
    }

    void Linear(int n)
    {
        const int h = 8, d = 64; var z = new ScanSize(h, n, d, d, 0); int all = h * n * d;
        var q = Draw("q", all); var k = Draw("k", all); var v = Draw("v", all); var o = new Real[all]; var state = new Real[h * d * d]; var checkpoints = new Real[h * z.Chunks * d * d];
        var decay = new Real[h * n]; Array.Fill(decay, (Real)(-0.01));
        void Forward() { Array.Clear(state); LinearScan.Forward(z, q, k, v, decay, state, o, checkpoints); }
        // The chunks decide how many operations there are, so the kernel is asked.
        Time("linear attention forward", $"{h} heads, {n} tokens, {d}", 2.0 * Work.Count(Forward), 4.0 * all * sizeof(Real), Forward);
    }

    void Train()
    {
        int batch = quick ? 2 : 8; const int length = 256;
        var config = new ModelConfig(256) { Length = length };
        var weights = Weights.Random(new Rng(1)); var model = new DecoderModel(config, weights); var optimiser = new AdamW();
        var task = new GrammarText(length).Batch(new Rng(1), 0, batch);
        void Step()
        {
            using var scope = Scope.Train();
            model.Loss(task.Inputs, task.Targets, batch, new Pass { Training = true }).Backward();
            Gradients.Clip(weights.All, 1);
            optimiser.Update(weights.All, 1e-3);
            weights.ZeroGrad();
        }
        // The optimiser alone reads weight, gradient and two moments, and writes three of them.
        Step();
        Time("training step", $"{config.Layers} layers of {config.Dim}, {batch}×{length} tokens", 2.0 * Work.Count(Step), 7.0 * weights.Count * sizeof(Real), Step, batch * length);
    }

    static Real[] Draw(string name, int n) { var x = new Real[n]; new Rng(1)[name].Normal(x); return x; }

    void Time(string name, string size, double work, double moved, Action run, int tokens = 0)
    {
        // The JIT compiles hot loops anew while they run; three calls and a tenth of a second are enough for it to settle.
        for (long warm = Stopwatch.GetTimestamp(), i = 0; i < 3 || Stopwatch.GetElapsedTime(warm).TotalSeconds < (quick ? 0.05 : 0.2); i++) { run(); cancel.ThrowIfCancellationRequested(); }
        double best = double.PositiveInfinity;
        for (long start = Stopwatch.GetTimestamp(), i = 0; i < 3 || Stopwatch.GetElapsedTime(start).TotalSeconds < (quick ? 0.1 : 0.5); i++)
        {
            cancel.ThrowIfCancellationRequested();
            long from = Stopwatch.GetTimestamp(); run();
            best = Math.Min(best, Stopwatch.GetElapsedTime(from).TotalSeconds);
        }
        rows.Add(new(name, size, best, work, moved, Threads.Max, flops, bytes, tokens));
    }
}
