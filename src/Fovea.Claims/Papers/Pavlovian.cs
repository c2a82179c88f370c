using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>
/// Linear attention as conditioning, without training: what a matrix of outer products holds, how write rules differ, how errors add up over layers. Ablated: Hebb's rule in place of the delta rule.
/// Not covered: the trained one-layer model at two key sizes.
/// </summary>
[Paper("pavlovian-attention")]
static partial class Pavlovian
{
    const int Draws = 20;
    static readonly int[] Sizes = [16, 32, 64, 128, 256, 512];
    static Tensor Keys(Rng rng, int n, int d) => Tensor.Normal(rng, [n, d]).L2Normalise((Real)1e-12);
    static Tensor Signs(Rng rng, int n, int e) { var v = Tensor.Normal(rng, [n, e]); for (int i = 0; i < n * e; i++) v.Span[i] = v.Span[i] < 0 ? -1 : 1; return v; }
    static ReadOnlySpan<Real> Row(Tensor x, int i) => x.Span.Slice(i * x.Shape[1], x.Shape[1]);

    [Claim("error-free recall holds O(√d) pairs, recall with cosine 0.8 on average O(d): exponents from d = 16 to 512", Quick = true)]
    static Evidence Grows(ClaimRun run)
    {
        var worst = new List<(double, double)>(); var mean = new List<(double, double)>(); using var scope = Scope.NoGrad();
        foreach (int d in Sizes)
        {
            var rng = run.Rng["keys"][d]; var found = new List<double>();
            for (int i = 0; i < Draws; i++) found.Add(Capacity.ErrorFree(Keys(rng[i], 64, d)));
            found.Sort(); worst.Add((d, (found[Draws / 2 - 1] + found[Draws / 2]) / 2));
            var pairs = Enumerable.Range(0, Draws).Select(i => (Keys(rng[i], 2 * d, d), Signs(rng[i]["values"], 2 * d, 16))).ToList(); int low = 1, high = 2 * d;
            while (high - low > 1) { int n = (low + high) / 2; if (pairs.Average(p => Capacity.Fidelity(p.Item1, p.Item2, n)) >= 0.8) low = n; else high = n; }
            mean.Add((d, low));
        }
        double w = Trials.Exponent(worst), m = Trials.Exponent(mean);
        return Evidence.All(Evidence.AtLeast(w, 0.35, "exponent", "error-free"), Evidence.AtMost(w, 0.62, "exponent", "error-free"), Evidence.AtLeast(m, 0.8, "exponent", "on average"), Evidence.AtMost(m, 1.15, "exponent", "on average"));
    }

    [Claim("with correlated keys (cosine 0.3, d/4 of them, eight presentations) the delta rule gets at most half as many bits wrong as Hebb's", Quick = true)]
    static Evidence Correlated(ClaimRun run)
    {
        const int d = 64, n = d / 4; double hebb = 0, delta = 0; using var scope = Scope.NoGrad();
        for (int i = 0; i < Draws; i++)
        {
            var rng = run.Rng["correlated"][i]; var common = Keys(rng["common"], 1, d);
            var keys = (Keys(rng["own"], n, d) * Real.Sqrt((Real)0.7) + common * Real.Sqrt((Real)0.3)).L2Normalise((Real)1e-12); var values = Signs(rng["values"], n, 32);
            hebb += BitError(Hebb(d, keys, values, 8), keys, values) / Draws; delta += BitError(Delta(run, d, keys, values, 8), keys, values) / Draws;
        }
        return Evidence.AtMost(delta / hebb, 0.5, note: $"bit error over that of Hebb's rule ({hebb:f3})");
    }

    [Claim("blocking: after A was taught, A and B together teach B next to nothing under the delta rule, and all of it under Hebb's", Quick = true)]
    static Evidence Blocking(ClaimRun run)
    {
        const int d = 128, times = 20; double hebb = 0, delta = 0; using var scope = Scope.NoGrad();
        for (int i = 0; i < Draws; i++)
        {
            var keys = Keys(run.Rng["blocking"][i], 2, d); Tensor a = keys.Slice(0, 0, 1), b = keys.Slice(0, 1, 2), both = a + b, us = Tensor.Full([1, 1], 1);
            Tensor[] first = [.. Enumerable.Repeat(a, times)], second = [.. Enumerable.Repeat(both, times)];
            Tensor blocked = Tensor.Concat(0, [.. first, .. second]), control = Tensor.Concat(0, second); Tensor Us(Tensor x) => us.Expand([x.Shape[0], 1]);
            hebb += Hebb(d, blocked, Us(blocked), 1)(b, 0)[0] / Hebb(d, control, Us(control), 1)(b, 0)[0] / Draws;
            delta += Delta(run, d, blocked, Us(blocked), 1)(b, 0)[0] / Delta(run, d, control, Us(control), 1)(b, 0)[0] / Draws;
        }
        return Evidence.All(Evidence.AtMost(delta, 0.3, note: "response to B over control, delta rule"), Evidence.AtLeast(hebb, 0.8, note: "Hebb's rule"));
    }

    [Claim("extinction: the stimulus alone takes the delta rule's response away, and leaves Hebb's as it was", Quick = true)]
    static Evidence Extinction(ClaimRun run)
    {
        const int d = 64; using var scope = Scope.NoGrad(); var k = Keys(run.Rng["extinction"], 1, d); var keys = k.Expand([40, d]); var us = Tensor.Zeros([40, 1]); us.Span[..20].Fill(1);
        return Evidence.All(Evidence.AtMost(Delta(run, d, keys, us, 1)(k, 0)[0], 0.05, note: "response, delta rule"), Evidence.AtLeast(Hebb(d, keys, us, 1)(k, 0)[0], 1, note: "Hebb's rule"));
    }

    [Claim("L layers that each recall wrongly with probability p succeed with (1 − p)^L, to three standard errors; a majority of five memories succeeds more often", Quick = true)]
    static Evidence Propagation(ClaimRun run)
    {
        const int d = 16, e = 16, chains = 2000; double worst = 0, gain = double.PositiveInfinity; using var scope = Scope.NoGrad();
        // One memory of n random pairs, asked with its first key: is the nearest value the first?
        bool[] Right(Rng rng, int n)
        {
            var right = new bool[chains];
            for (int i = 0; i < chains; i++)
            {
                Tensor k = Keys(rng[i]["keys"], n, d), v = Signs(rng[i]["values"], n, e); var o = k.Slice(0, 0, 1).MatMul(k.Transpose().MatMul(v)).MatMulT(v);
                right[i] = System.Numerics.Tensors.TensorPrimitives.IndexOfMax<Real>(o.Span) == 0;
            }
            return right;
        }
        foreach (int n in new[] { 16, 32 })
        {
            var layers = Enumerable.Range(0, 9).Select(l => Right(run.Rng["layers"][n][l], n)).ToList(); double p = 1 - layers[8].Average(x => x ? 1.0 : 0);
            foreach (int depth in new[] { 2, 4, 8 })
            {
                double expected = Math.Pow(1 - p, depth), found = Enumerable.Range(0, chains).Average(i => layers.Take(depth).All(l => l[i]) ? 1.0 : 0);
                // p itself was measured on as many draws.
                double error = Math.Sqrt(expected * (1 - expected) / chains + Math.Pow(depth * expected / (1 - p), 2) * p * (1 - p) / chains);
                worst = Math.Max(worst, Math.Abs(found - expected) / error);
            }
            double five = Enumerable.Range(0, chains).Average(i => layers.Take(5).Count(l => l[i]) >= 3 ? 1.0 : 0);
            gain = Math.Min(gain, five - (1 - p));
        }
        return Evidence.All(Evidence.AtMost(worst, 3, "standard errors", "of six settings, the worst"), Evidence.AtLeast(gain, 0.005, note: "success of a majority of five beyond one"));
    }

    [Claim("softmax attention with the same keys recalls more than linear attention, which the linear theory leaves out", Quick = true)]
    static Evidence Softmax(ClaimRun run)
    {
        const int d = 64, n = 128; double linear = 0, softmax = 0; using var scope = Scope.NoGrad();
        for (int i = 0; i < Draws; i++)
        {
            var keys = Keys(run.Rng["softmax"][i], n, d); var values = Signs(run.Rng["softmax"][i]["values"], n, 16); var o = (keys.MatMulT(keys) * Real.Sqrt(d)).Softmax().MatMul(values);
            linear += BitError(Hebb(d, keys, values, 1), keys, values) / Draws; softmax += BitError((_, j) => Row(o, j).ToArray(), keys, values) / Draws;
        }
        return Evidence.All(Evidence.AtMost(softmax / linear, 0.5, note: $"bit error over that of linear attention ({linear:f3})"));
    }
}
