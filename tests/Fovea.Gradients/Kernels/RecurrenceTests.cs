using Fovea.Kernels;
namespace Fovea.GradientTests;

/// <summary>The recurrences in chunks: against the steps, and their slopes along a direction against differences, both where float cannot tell.</summary>
public sealed class RecurrenceTests
{
    delegate void Walk(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> state, Span<Real> o, Span<Real> checkpoints);
    delegate void WalkBack(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dgate);

    static Real[] Draw(string name, int n, double std = 1) { var x = new Real[n]; new Rng(3)[name].Normal(x, std); return x; }

    static void Check<T>(int rows, int n, int d, int e, int gates, double power) where T : struct, IRecurrence
    {
        var z = new ScanSize(rows, n, d, e, gates); int steps = rows * n;
        Real[][] x = [Draw("q", steps * d), Draw("k", steps * d, 1 / Math.Sqrt(d)), Draw("v", steps * e), [.. Draw("g", steps * gates).Select(g => Math.Pow(1 / (1 + Math.Exp(-g)), power))], Draw("s", rows * z.State)];
        Real[] dO = Draw("do", steps * e), dS = Draw("ds", rows * z.State);
        Real[][] Run(Walk forward, WalkBack back, long checkpoints)
        {
            Real[] s = (Real[])x[4].Clone(), o = new Real[steps * e], c = new Real[checkpoints], ds = (Real[])dS.Clone(); Real[][] g = [.. x[..4].Select(y => new Real[y.Length])];
            forward(z, x[0], x[1], x[2], x[3], s, o, c); back(z, x[0], x[1], x[2], x[3], c, dO, ds, g[0], g[1], g[2], g[3]);
            return [o, s, .. g, ds];
        }
        Real[][] Chunks() => Run((in z, q, k, v, g, s, o, c) => Recur.Forward(z, q, k, v, g, default(T), s, o, c), (in z, q, k, v, g, c, dO, ds, dq, dk, dv, dg) => Recur.Backward(z, q, k, v, g, default(T), c, dO, ds, dq, dk, dv, dg), Recur.Checkpoints<T>(z));
        var chunks = Chunks();
        var twin = Run((in z, q, k, v, g, s, o, c) => Scan.Forward(z, q, k, v, g, default(T), s, o, c), (in z, q, k, v, g, c, dO, ds, dq, dk, dv, dg) => Scan.Backward(z, q, k, v, g, default(T), c, dO, ds, dq, dk, dv, dg), Scan.Checkpoints(z));
        for (int i = 0; i < chunks.Length; i++)
        {
            double size = twin[i].Max(Math.Abs), error = chunks[i].Zip(twin[i], (a, b) => Math.Abs(a - b)).Max();
            Assert.True(error <= 1e-12 * size, $"result {i} of {typeof(T).Name} differs from the steps by {error / size:e2}");
        }
        for (int i = 0; i < x.Length; i++)
        {
            var input = (Real[])x[i].Clone(); var direction = Draw("direction", input.Length); double exact = 0, h = 1e-4 * (i == 3 ? input.Min() : 1);
            for (int j = 0; j < input.Length; j++) exact += direction[j] * chunks[i + 2][j];
            double At(double t)
            {
                for (int j = 0; j < input.Length; j++) x[i][j] = input[j] + t * direction[j];
                var y = Chunks(); input.CopyTo(x[i], 0); double loss = 0;
                for (int j = 0; j < dO.Length; j++) loss += dO[j] * y[0][j];
                for (int j = 0; j < dS.Length; j++) loss += dS[j] * y[1][j];
                return loss;
            }
            double slope = (8 * (At(h) - At(-h)) - (At(2 * h) - At(-2 * h))) / (12 * h);
            Assert.True(Math.Abs(exact - slope) <= 1e-7 * Math.Max(1, Math.Abs(slope)), $"the gradient of input {i} of {typeof(T).Name} is {exact}, the slope {slope}");
        }
    }

    [Theory, InlineData(1, 1, 7, 3), InlineData(2, 70, 9, 16), InlineData(1, 200, 16, 33), InlineData(9, 67, 5, 5)]
    public void Chunks_and_steps_agree_and_have_the_right_slopes(int rows, int n, int d, int e)
    {
        Check<DiagonalDecay>(rows, n, d, e, d, 0.1); Check<DiagonalDecay>(rows, n, d, e, d, 1); Check<DeltaRule>(rows, n, d, e, 1, 1); Check<GatedDeltaRule>(rows, n, d, e, 2, 1);
    }
}
