using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>Local linear attention as test-time regression, without training and in a one-layer model. Ablated: a ridge of 1e8, with which it is softmax attention.</summary>
[Paper("lla")]
static class LlaPaper
{
    const Real Huge = (Real)1e8;
    static Tensor Fit(ClaimRun run, Tensor q, Tensor k, Tensor v, double ridge, double scale) => LocalLinearAttention.Streamed(q, k, v, Tensor.Full([q.Shape[1]], run.Ablated ? Huge : (Real)ridge), All(q, k), (Real)scale);
    static Tensor Soft(Tensor q, Tensor k, Tensor v, double scale) => (q.MatMulT(k) * (Real)scale).Softmax().MatMul(v);
    static int[] All(Tensor q, Tensor k) => [.. Enumerable.Repeat(k.Shape[2], q.Shape[2])];
    static Tensor Unit(Rng rng, Shape shape) => Tensor.Normal(rng, shape).L2Normalise((Real)1e-6);
    static double Error(Tensor a, Tensor b) => (a - b).Square().Mean().Item;

    [Claim("values that are four linear maps in four sectors: its error, with the best of six temperatures and three ridges, is at most 0.85 of the better one of softmax attention and a global affine ridge fit, each at its best", Quick = true)]
    static Evidence Regression(ClaimRun run)
    {
        const int d = 8, e = 4, n = 2048, queries = 40, draws = 20; double[] temperatures = [1, 2, 4, 8, 16, 32], ridges = [1e-3, 1e-2, 1e-1]; using var scope = Scope.NoGrad();
        Tensor k = Unit(run.Rng["keys"], [1, draws, n, d]), q = Unit(run.Rng["queries"], [1, draws, queries, d]);
        Tensor maps = Tensor.Normal(run.Rng["maps"], [draws, 4, e, d]), sides = Tensor.Normal(run.Rng["sides"], [draws, 2, d]);
        Tensor Values(Tensor x, double noise)
        {
            int rows = x.Shape[2]; var v = Tensor.Normal(run.Rng["noise"], [1, draws, rows, e], (Real)noise);
            for (int r = 0; r < draws * rows; r++)
            {
                var at = x.Span.Slice(r * d, d); int draw = r / rows, sector = 0;
                for (int s = 0; s < 2; s++) if (System.Numerics.Tensors.TensorPrimitives.Dot<Real>(at, sides.Span.Slice((draw * 2 + s) * d, d)) > 0) sector += 1 << s;
                for (int c = 0; c < e; c++) v.Span[r * e + c] += System.Numerics.Tensors.TensorPrimitives.Dot<Real>(at, maps.Span.Slice(((draw * 4 + sector) * e + c) * d, d));
            }
            return v;
        }
        Tensor values = Values(k, 0.05), truth = Values(q, 0);
        double ours = temperatures.SelectMany(t => ridges.Select(l => Error(Fit(run, q, k, values, l, t), truth))).Min(), soft = temperatures.Min(t => Error(Soft(q, k, values, t), truth)), global = ridges.Min(l => Error(Ridge(q, k, values, l), truth));
        return Evidence.AtMost(ours / Math.Min(soft, global), 0.85, note: $"error over the better baseline's (softmax {soft:f3}, ridge {global:f3})");
    }

    // b + W(q − mean k), W from centred keys: one affine map for all queries.
    static Tensor Ridge(Tensor q, Tensor k, Tensor v, double lambda)
    {
        var (_, h, n, d) = k.Shape; int e = v.Shape[3]; Tensor kMean = k.Mean(2), vMean = v.Mean(2), x = k - kMean, cov = x.Transpose().MatMul(x) * (1 / (Real)n), cross = (v - vMean).Transpose().MatMul(x) * (1 / (Real)n);
        var w = Tensor.Empty([1, h, e, d]);
        for (int i = 0; i < h; i++)
        {
            var a = Tensor.Zeros([e, d, d]); for (int c = 0; c < e; c++) for (int j = 0; j < d * d; j++) a.Span[c * d * d + j] = cov.Span[i * d * d + j] + (j % (d + 1) == 0 ? (Real)lambda : 0);
            Cholesky.Solve(e, d, a.Span, cross.Span.Slice(i * e * d, e * d), w.Span.Slice(i * e * d, e * d));
        }
        return vMean + (q - kMean).MatMulT(w);
    }

    [Claim("affine values are met to 1e-3 at a ridge of 1e-6 where softmax misses by more than 0.1; a ridge of 1e8 is softmax to 1e-4; equal weights are one global fit; streaming conjugate gradients and a stored Cholesky solve agree to 1e-4, with gradients", Quick = true)]
    static Evidence Exact(ClaimRun run)
    {
        const int d = 8, n = 200; using var nothing = Scope.NoGrad(); Tensor k = Unit(run.Rng["k"], [1, 2, n, d]), q = Unit(run.Rng["q"], [1, 2, 50, d]), a = Tensor.Normal(run.Rng["a"], [1, 2, d, d]), c = Tensor.Normal(run.Rng["c"], [1, 2, 1, d]);
        Tensor affine = k.MatMulT(a) + c, wanted = q.MatMulT(a) + c, any = Tensor.Normal(run.Rng["v"], [1, 2, n, d]);
        double met = Trials.Difference(Fit(run, q, k, affine, 1e-6, 4), wanted), missed = Trials.Difference(Soft(q, k, affine, 4), wanted), soft = Trials.Difference(LocalLinearAttention.Streamed(q, k, any, Tensor.Full([2], Huge), All(q, k), 4), Soft(q, k, any, 4));
        double global = Trials.Difference(Fit(run, q, k, any, 0.1, 0), Ridge(q, k, any, 0.1)), dense = 0, gradient = 0;
        foreach (bool raw in new[] { false, true })
        {
            Tensor[] x = [.. new[] { "q", "k", "v" }.Select(s => Trials.Draw(run.Rng["dense"][s], [2, 2, 70, d]))]; var l = Trials.Draw(run.Rng["ridge"], [2]); for (int i = 0; i < 2; i++) l.Span[i] = run.Ablated ? Huge : raw ? 20 : (Real)0.5;
            int[] causal = [.. Enumerable.Range(1, 70)];
            (Tensor O, double[] D) Of(bool plain)
            {
                foreach (var t in x) t.ZeroGrad(); l.ZeroGrad(); using var scope = Scope.Train();
                var o = scope.Keep(plain ? LocalLinearAttention.Plain(x[0], x[1], x[2], l, causal, null, raw, Pass.Eval) : LocalLinearAttention.Streamed(x[0], x[1], x[2], l, causal, null, raw)); o.Backward(Tensor.Normal(run.Rng["g"], o.Shape).Span);
                return (o, [.. x.Append(l).SelectMany(t => Trials.Wide(t.Grad))]);
            }
            var (o, grad) = Of(false); var (plain, plainGrad) = Of(true); dense = Math.Max(dense, Trials.Difference(o, plain)); gradient = Math.Max(gradient, Trials.Difference(grad, plainGrad) / plainGrad.Max(Math.Abs));
        }
        return Evidence.All(Evidence.AtMost(met, 1e-3, note: "affine values"), Evidence.AtLeast(missed, 0.1, note: "softmax on affine values"), Evidence.AtMost(soft, 1e-4, note: "ridge of 1e8"), Evidence.AtMost(global, 1e-4, note: "equal weights"),
            Evidence.AtMost(dense, 1e-4, note: "stored solve"), Evidence.AtMost(gradient, 1e-4, note: "its gradients, relative"));
    }

    [Claim("gradients agree with finite differences, the ridge's too; scratch of the streaming path is the same for 512 and 4,096 keys", Quick = true)]
    static Evidence Gradients(ClaimRun run)
    {
        Tensor[] x = [.. new[] { "q", "k", "v" }.Select(s => Trials.Draw(run.Rng[s], [1, 2, 40, 8])), Tensor.Over([(Real)0.7, (Real)1.5], [2])]; x[3].RequiresGrad = true; var g = Tensor.Normal(run.Rng["g"], [1, 2, 40, 8]); double worst = 0; int[] causal = [.. Enumerable.Range(1, 40)];
        Tensor Loss() => (LocalLinearAttention.Streamed(x[0], x[1], x[2], x[3], causal) * g).Sum();
        using (var scope = Scope.Train()) Loss().Backward();
        foreach (var t in x)
        {
            var way = new Real[t.Shape.Size]; run.Rng["way"].Normal(way); double exact = 0; const double h = 1e-2; for (int i = 0; i < way.Length; i++) exact += (double)way[i] * t.Grad[i];
            double At(double s) { Real[] kept = t.Span.ToArray(); for (int i = 0; i < way.Length; i++) t.Span[i] += (Real)(s * way[i]); using var scope = Scope.NoGrad(); double y = Loss().Item; kept.CopyTo(t.Span); return y; }
            double numeric = (45 * (At(h) - At(-h)) - 9 * (At(2 * h) - At(-2 * h)) + At(3 * h) - At(-3 * h)) / (60 * h); worst = Math.Max(worst, Math.Abs(exact - numeric) / Math.Max(1, Math.Abs(numeric)));
        }
        long Bytes(int n) => Scratch.Fresh(() => { using var scope = Scope.NoGrad(); var k = Tensor.Normal(run.Rng["long"], [1, 1, n, 16]); var q = k.Slice(2, 0, 64); Fit(run, q, k, k, 0.1, 1); return 0; });
        return Evidence.All(Evidence.AtMost(worst, 1e-2, note: "largest relative error along a direction"), Evidence.AtMost(Math.Abs(Bytes(4096) - Bytes(512)), 0, "bytes", "more scratch for 4,096 keys than for 512"));
    }

    [Claim("a one-layer model of 32 channels learns in-context regression whose map changes within the row: after the change its error is at most softmax attention's")]
    static Evidence Switches(ClaimRun run)
    {
        double Of(string kind, Mixer? mixer)
        {
            var w = run.Trained("lla-" + kind, () =>
            {
                var w = Weights.Random(run.Rng["weights"]); var m = new SwitchModel(w, mixer);
                Trials.Train(run, kind, w, 300, 5e-3, (i, pass) => { var (x, y, _) = SwitchModel.Batch(run.Rng["train"], i, 16); return Losses.MeanSquare(m.Forward(x, pass), y); }, 0.01);
                return w;
            });
            var model = new SwitchModel(w, mixer); double sum = 0, count = 0;
            for (int i = 0; i < 8; i++)
            {
                using var scope = Scope.NoGrad(); var (x, y, after) = SwitchModel.Batch(run.Rng["test"], i, 32); var error = (model.Forward(x, Pass.Eval) - y).Square();
                for (int t = 0; t < after.Length; t++) if (after[t]) { sum += error.Span[t]; count++; }
            }
            return sum / count;
        }
        double soft = Of("softmax", null), ours = Of("local" + run.Ablated, (_, c, w) => new LocalLinearAttention(c, w, run.Ablated ? Huge : 0.1));
        return Evidence.AtMost(ours / soft, 1, note: $"mean square error after the change over that of softmax attention ({soft:f3})");
    }
}
