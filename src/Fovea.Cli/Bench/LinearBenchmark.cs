using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>Linear attention with one decay per head and step, with a gate per channel, and the delta rule. The chunks decide how many operations there are, so the kernel is asked.</summary>
sealed class LinearBenchmark() : Benchmark("linear", "linear attention, gated linear attention and the delta rule in chunks, forward and backward")
{
    const int Heads = 8, Dim = 64;

    public override void Run(Meter meter)
    {
        // The time per token must not grow with the length.
        foreach (int n in meter.Sizes([2048], [8192, 65536])) Decayed(meter, n);
        foreach (int n in meter.Sizes([2048], [8192])) { Gated<DiagonalDecay>(meter, "gated linear attention", n, Dim, default); Gated<DeltaRule>(meter, "delta rule", n, 1, default); }
    }

    static void Decayed(Meter meter, int n)
    {
        var t = new Step(new(Heads, n, Dim, Dim, 0)); var decay = Filled(Heads * n, (Real)(-0.01)); var slopes = new Real[decay.Length];
        t.Measure(meter, "linear attention",
            () => LinearScan.Forward(t.Z, t.Q, t.K, t.V, decay, t.State, t.O, t.Checkpoints),
            () => LinearScan.Backward(t.Z, t.Q, t.K, t.V, decay, t.Checkpoints, t.Grad, t.State, t.DQ, t.DK, t.DV, slopes));
    }

    static void Gated<T>(Meter meter, string name, int n, int gates, T step) where T : struct, IRecurrence
    {
        var t = new Step(new(Heads, n, Dim, Dim, gates)); var gate = Filled(Heads * n * gates, (Real)0.9); var slopes = new Real[gate.Length];
        // Keys of about unit length, as the delta rule needs them.
        for (int i = 0; i < t.K.Length; i++) t.K[i] /= (Real)5;
        t.Measure(meter, name,
            () => Recur.Forward(t.Z, t.Q, t.K, t.V, gate, step, t.State, t.O, t.Checkpoints),
            () => Recur.Backward(t.Z, t.Q, t.K, t.V, gate, step, t.Checkpoints, t.Grad, t.State, t.DQ, t.DK, t.DV, slopes));
    }

    static Real[] Filled(int n, Real value) { var x = new Real[n]; Array.Fill(x, value); return x; }

    /// <summary>What the calls of one size read and write.</summary>
    sealed class Step(ScanSize z)
    {
        public ScanSize Z => z;
        public readonly Real[] Q = Drawn(z), K = Drawn(z), V = Drawn(z), O = Drawn(z), State = new Real[z.Rows * z.State], Checkpoints = new Real[z.Checkpoints];
        public readonly Real[] Grad = Drawn(z), DQ = Drawn(z), DK = Drawn(z), DV = Drawn(z);
        static Real[] Drawn(in ScanSize z) => Draw((long)z.Rows * z.Length * z.Dim);

        public void Measure(Meter meter, string name, Action forward, Action backward)
        {
            void Forward() { Array.Clear(State); forward(); }
            void Backward() { Array.Clear(State); backward(); }
            string size = $"{z.Rows} heads, {z.Length} tokens, {z.Dim}"; double bytes = 4.0 * Q.Length * sizeof(Real);
            meter.Row(name + " forward", size, 2.0 * Work.Count(Forward), bytes, Forward);
            meter.Row(name + " backward", size, 2.0 * Work.Count(Backward), 2 * bytes, Backward);
        }
    }
}
