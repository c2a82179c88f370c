using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>Linear attention with one decay per head and step. The chunks decide how many operations there are, so the kernel is asked.</summary>
sealed class LinearBenchmark() : Benchmark("linear", "linear attention in chunks, forward and backward")
{
    public override void Run(Meter meter)
    {
        const int h = 8, d = 64;
        foreach (int n in meter.Sizes([2048], [8192]))
        {
            var z = new ScanSize(h, n, d, d, 0); int all = h * n * d; string size = $"{h} heads, {n} tokens, {d}";
            var q = Draw(all); var k = Draw(all); var v = Draw(all); var o = new Real[all]; var state = new Real[h * d * d]; var checkpoints = new Real[z.Checkpoints];
            var grad = Draw(all); var dq = new Real[all]; var dk = new Real[all]; var dv = new Real[all]; var none = new Real[h * n];
            var decay = new Real[h * n]; Array.Fill(decay, (Real)(-0.01));
            void Forward() { Array.Clear(state); LinearScan.Forward(z, q, k, v, decay, state, o, checkpoints); }
            void Backward() { Array.Clear(state); LinearScan.Backward(z, q, k, v, decay, checkpoints, grad, state, dq, dk, dv, none); }
            double bytes = 4.0 * all * sizeof(Real);
            meter.Row("linear attention forward", size, 2.0 * Work.Count(Forward), bytes, Forward);
            meter.Row("linear attention backward", size, 2.0 * Work.Count(Backward), 2 * bytes, Backward);
        }
    }
}
