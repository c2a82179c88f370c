using Fovea.Cluster;
using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>The mixers of one template, and attention over rings of workers against one worker.</summary>
static class TokenMixingRuns
{
    const int d = 32;

    public static IEnumerable<(string Name, bool Linear, Func<int, TokenMixer> New)> Mixers(Rng rng)
    {
        Tensor Between(string name, Real low, Real high) { var t = Tensor.Over(new Real[8], [2, 4]); for (int i = 0; i < 8; i++) t.Span[i] = low + (high - low) * (Real)rng[name].Uniform(i); return t; }
        return [
            ("dense", false, _ => new DenseMixer()), ("local", true, _ => new LocalMixer()), ("strided", true, _ => new StridedMixer()), ("low rank", true, n => new LowRankMixer(Tensor.Normal(rng["e"], [16, n], 1 / Real.Sqrt(n)))),
            ("kernelised", true, _ => new KernelMixer()), ("Fourier", true, _ => new FourierMixer()), ("learned", false, n => new LearnedMixer(Tensor.Normal(rng["a"], [2, n, n], 1 / Real.Sqrt(n)))),
            ("state space", true, _ => new StateSpaceMixer(Between("lambda", (Real)0.5, (Real)0.99), Between("b", -1, 1), Between("c", -1, 1))),
        ];
    }

    sealed record Shard(Real[] Q, Real[] K, Real[] V, Real[] DO, Real[] O, Real[] Lse, Real[] DQ, Real[] DK, Real[] DV);

    /// <summary>Largest differences of outputs and gradients from the definition in float64, and the largest relative difference of bytes sent forward from 2·T·D·4·(W − 1)/W; rings of 1, 2 and 4.</summary>
    public static (double O, double G, double Sent) RingErrors(ClaimRun run)
    {
        double o = 0, g = 0, sent = 0;
        foreach (var (workers, causal) in new[] { (1, true), (2, true), (2, false), (4, true), (4, false) })
        {
            const int n = 96, d = 16, heads = 2; int part = n / workers; var all = new AttentionSize(1, heads, heads, n, n, d, d); var size = new AttentionSize(1, heads, heads, part, part, d, d);
            Real[] Whole(string name) { var x = new Real[heads * n * d]; run.Rng[name].Normal(x); return x; }
            Real[] q = Whole("q"), k = Whole("k"), v = Whole("v"), dO = Whole("dO"); var naive = new NaiveAttention(all, q, k, v, dO, (_, i, j) => !causal || j <= i);
            // Rows rank·part … of each head.
            Real[] Cut(Real[] x, int rank) => [.. Enumerable.Range(0, heads).SelectMany(h => x.AsSpan((h * n + rank * part) * d, part * d).ToArray())];
            double[] CutWide(double[] x, int rank) => [.. Enumerable.Range(0, heads).SelectMany(h => x.AsSpan((h * n + rank * part) * d, part * d).ToArray())];
            var shards = new Shard[workers]; var bytes = new long[workers];
            LocalRing.Run(workers, ring =>
            {
                Real[] New() => new Real[heads * part * d];
                var s = shards[ring.Rank] = new(Cut(q, ring.Rank), Cut(k, ring.Rank), Cut(v, ring.Rank), Cut(dO, ring.Rank), New(), new Real[heads * part], New(), New(), New());
                RingAttention.Forward(ring, size, s.Q, s.K, s.V, causal, s.O, s.Lse);
                bytes[ring.Rank] = ring.BytesSent;
                if (run.Ablated) Flash.Forward(size, s.Q, s.K, s.V, 0, default, new Plain(), new Everything(), s.O, s.Lse);
                RingAttention.Backward(ring, size, s.Q, s.K, s.V, causal, s.O, s.Lse, s.DO, s.DQ, s.DK, s.DV);
            });
            for (int r = 0; r < workers; r++)
            {
                var s = shards[r];
                o = Math.Max(o, Trials.Difference(Trials.Wide(s.O), CutWide(naive.O, r)));
                g = Math.Max(g, Math.Max(Trials.Difference(Trials.Wide(s.DQ), CutWide(naive.DQ, r)), Math.Max(Trials.Difference(Trials.Wide(s.DK), CutWide(naive.DK, r)), Trials.Difference(Trials.Wide(s.DV), CutWide(naive.DV, r)))));
                double expected = 2.0 * n * d * heads * sizeof(Real) * (workers - 1) / workers;
                sent = Math.Max(sent, workers == 1 ? bytes[r] : Math.Abs(bytes[r] / expected - 1));
            }
        }
        return (o, g, sent);
    }

    /// <summary>Most bytes of attention on one worker, forward: with weights stored or by the tiled kernel.</summary>
    public static long OneWorker(ClaimRun run, int n, bool stored) => Scratch.Fresh(() => Diagnostics.PeakBytes(() =>
    {
        using var scope = Scope.NoGrad();
        Tensor q = Tensor.Normal(run.Rng["q"], [1, 1, n, d]), k = Tensor.Normal(run.Rng["k"], q.Shape), v = Tensor.Normal(run.Rng["v"], q.Shape);
        if (stored) (q.MatMulT(k) * (1 / Real.Sqrt(d))).Softmax().MatMul(v);
        else Softmax.Fused<Plain, Everything, SoftmaxWeights>(q, k, v, new(), new(), new());
    }));
    /// <summary>Most bytes of a worker, its shards, what it has in hand from the ring, a partial output, and scratch; and its multiply-adds.</summary>
    public static (long Bytes, long Work) Ring(ClaimRun run, int tokens, int workers)
    {
        int n = tokens / workers; var size = new AttentionSize(1, 1, 1, n, n, d, d); var bytes = new long[workers]; var work = new long[workers]; int threads = Threads.Max;
        try
        {
            Threads.Max = 1;
            LocalRing.Run(workers, ring =>
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                Real[] New() => new Real[n * d];
                Real[] q = New(), k = New(), v = New(), o = New(), lse = new Real[n];
                run.Rng["q"][ring.Rank].Normal(q); run.Rng["k"][ring.Rank].Normal(k); run.Rng["v"][ring.Rank].Normal(v);
                work[ring.Rank] = Work.Count(() => RingAttention.Forward(ring, size, q, k, v, run.Ablated, o, lse));
                // Everything that it allocated lives until the end, and of what travels it has one buffer at a time.
                bytes[ring.Rank] = GC.GetAllocatedBytesForCurrentThread() - before + Scratch.HeldBytes;
            });
        }
        finally { Threads.Max = threads; }
        return (bytes.Max(), work.Max());
    }
}
