using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>
/// Mixers as one linear time-varying system: their forms without training, and how sizes of the state and gates compare when trained. Ablated: the decay is left out of the scan, and states stay as small as the smallest. Layers of S6
/// and RG-LRU are not in the library: their adapters are compared with the definitions.
/// </summary>
[Paper("dsf")]
static partial class Dsf
{
    const int N = 150, E = 6, S = 5;
    static Tensor Draw(ClaimRun run, string name, params ReadOnlySpan<int> shape) => Tensor.Normal(run.Rng[name], Shape.Of(shape), (Real)0.5);
    static double[] Scan(ClaimRun run, DynamicalSystem x) => Trials.Wide((run.Ablated ? x with { Decay = Tensor.Full(x.Decay.Shape, (Real)0.9) } : x).Scan().Span);

    // From the textbook form of each mixer, not from Λ, B and C.
    static IEnumerable<(string Name, DynamicalSystem System, double[] Own)> Mixers(ClaimRun run)
    {
        Tensor q = Draw(run, "q", N, S).EluPlusOne(), k = Draw(run, "k", N, S).EluPlusOne(), v = Draw(run, "v", N, E), eta = Draw(run, "eta", N, 1).Exp();
        double[] Attended(Func<int, double> eta)
        {
            var y = new double[N * E];
            for (int i = 0; i < N; i++) for (int j = 0; j <= i; j++)
            {
                double s = 0; for (int c = 0; c < S; c++) s += (double)q.Span[i * S + c] * k.Span[j * S + c];
                for (int c = 0; c < E; c++) y[i * E + c] += s * v.Span[j * E + c] / eta(i);
            }
            return y;
        }
        yield return ("linear attention", DynamicalSystem.Attention(q, k, v), Trials.Wide(Recurrence.Attend(new object(), q.Reshape([1, 1, N, S]), k.Reshape([1, 1, N, S]), v.Reshape([1, 1, N, E]), null, Pass.Eval).Span));
        yield return ("normalised attention", DynamicalSystem.Normalised(q, k, v, eta), Attended(i => eta.Span[i]));

        Tensor u = Draw(run, "u", N, E), delta = Draw(run, "delta", N, E).Softplus(), a = Draw(run, "a", E, S).Exp(), b = Draw(run, "b", N, S), c = Draw(run, "c", N, S), d = Draw(run, "d", E);
        double[] s6 = new double[N * E], h = new double[E * S];
        for (int t = 0; t < N; t++) for (int e = 0; e < E; e++)
        {
            s6[t * E + e] = (double)d.Span[e] * u.Span[t * E + e];
            for (int x = 0; x < S; x++)
            {
                h[e * S + x] = Math.Exp(-(double)delta.Span[t * E + e] * a.Span[e * S + x]) * h[e * S + x] + (double)delta.Span[t * E + e] * b.Span[t * S + x] * u.Span[t * E + e];
                s6[t * E + e] += c.Span[t * S + x] * h[e * S + x];
            }
        }
        yield return ("S6", DynamicalSystem.S6(u, delta, a, b, c, d), s6);

        Tensor f = Draw(run, "f", N, E).Sigmoid(), i1 = Draw(run, "i", N, E).Sigmoid(), o = Draw(run, "o", N, E).Sigmoid(), base1 = Draw(run, "base", E).Sigmoid();
        double[] Network(Func<int, int, (double Keep, double Take)> gates, Func<int, double> read)
        {
            double[] y = new double[N * E], s = new double[E];
            for (int t = 0; t < N; t++) for (int e = 0; e < E; e++) { var (keep, take) = gates(t * E + e, e); s[e] = keep * s[e] + take * u.Span[t * E + e]; y[t * E + e] = read(t * E + e) * s[e]; }
            return y;
        }
        yield return ("qLSTM", DynamicalSystem.Gated(f, i1, u, o), Network((at, _) => (f.Span[at], i1.Span[at]), at => o.Span[at]));
        yield return ("RG-LRU", DynamicalSystem.RgLru(u, f, i1, base1), Network((at, e) => { double keep = Math.Pow(base1.Span[e], 8 * f.Span[at]); return (keep, Math.Sqrt(1 - keep * keep) * i1.Span[at]); }, _ => 1));
    }

    [Claim("linear attention, normalised attention, S6, qLSTM and RG-LRU: steps, scan and the sum over pairs equal the mixer's own form to 1e-4 relative", Quick = true)]
    static Evidence OneForm(ClaimRun run)
    {
        using var scope = Scope.NoGrad(); var all = new List<Evidence>();
        foreach (var (name, system, own) in Mixers(run))
        {
            double size = own.Max(Math.Abs), worst = new[] { system.Steps(), system.Pairs(), Scan(run, system) }.Max(y => Trials.Difference(y, own)) / size;
            all.Add(Evidence.AtMost(worst, 1e-4, note: name));
        }
        return Evidence.All(all);
    }

    [Claim("the decay of S6 is a reversed sigmoid to a power: exp(−a softplus(x)) = σ(−x)^a to 1e-6", Quick = true)]
    static Evidence ReversedSigmoid(ClaimRun run)
    {
        double worst = 0; using var scope = Scope.NoGrad(); var x = Tensor.Normal(run.Rng["x"], [2000], 3);
        foreach (Real a in new Real[] { (Real)0.1, 1, 4 })
        {
            var left = (x.Softplus() * -a).Exp();
            for (int i = 0; i < 2000; i++) worst = Math.Max(worst, Math.Abs(left.Span[i] - Math.Pow(1 / (1 + Math.Exp(x.Span[i])), a)));
        }
        return Evidence.AtMost(worst, 1e-6, note: "largest difference");
    }

    [Claim("softmax needs all orders: attention with the Taylor features of exp comes closer to it with every order from 0 to 4, keys of length 1, while its state grows as Σ d^r", Quick = true)]
    static Evidence Taylor(ClaimRun run)
    {
        const int n = 64, d = 4; using var scope = Scope.NoGrad(); Tensor q = Tensor.Normal(run.Rng["q"], [n, d]).L2Normalise((Real)1e-12), k = Tensor.Normal(run.Rng["k"], [n, d]).L2Normalise((Real)1e-12), v = Tensor.Normal(run.Rng["v"], [n, 8]);
        // Order p: all products of p channels, divided by √p!
        Tensor Features(Tensor x, int order)
        {
            Tensor power = Tensor.Full([n, 1], 1), all = power; double factorial = 1;
            for (int r = 1; r <= order; r++) { int w = power.Shape[1]; power = (power.Reshape([n, w, 1]).Expand([n, w, d]) * x.Reshape([n, 1, d])).Reshape([n, w * d]); factorial *= r; all = Tensor.Concat(1, all, power * (Real)(1 / Math.Sqrt(factorial))); }
            return all;
        }
        double[] Attended(Func<int, int, double> weight)
        {
            var y = new double[n * 8];
            for (int i = 0; i < n; i++)
            {
                double sum = 0; for (int j = 0; j <= i; j++) sum += weight(i, j);
                for (int j = 0; j <= i; j++) for (int c = 0; c < 8; c++) y[i * 8 + c] += weight(i, j) / sum * v.Span[j * 8 + c];
            }
            return y;
        }
        var dots = q.MatMulT(k); double[] softmax = Attended((i, j) => Math.Exp(dots.Span[i * n + j])); double last = double.PositiveInfinity, rise = 0, expansion = 0;
        for (int order = 0; order <= 4; order++)
        {
            Tensor fq = Features(q, order), fk = Features(k, order); var system = DynamicalSystem.Attention(fq, fk, Tensor.Concat(1, v, Tensor.Full([n, 1], 1))); var y = Scan(run, system);
            double[] o = [.. Enumerable.Range(0, n * 8).Select(i => y[i / 8 * 9 + i % 8] / y[i / 8 * 9 + 8])]; double error = Trials.Difference(o, softmax);
            rise = Math.Max(rise, error / last); last = error; expansion = system.Expansion;
        }
        return Evidence.All(Evidence.AtMost(rise, 0.9, note: "error over that of the order before, at worst"), Evidence.AtLeast(expansion, 1 + 4 + 16 + 64 + 256, "numbers", "state per channel at order 4"));
    }

    [Claim("what decoding keeps does not depend on the length", Quick = true)]
    static Evidence State(ClaimRun run)
    {
        long Bytes(int n) => DynamicalSystem.Attention(Tensor.Normal(run.Rng["q"], [n, S]), Tensor.Normal(run.Rng["k"], [n, S]), Tensor.Normal(run.Rng["v"], [n, E])).StateBytes;
        return Evidence.AtMost(Bytes(96) / (double)Bytes(32), 1, note: "bytes at 96 tokens over those at 32");
    }
}
