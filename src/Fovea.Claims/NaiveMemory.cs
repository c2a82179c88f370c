using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>A memory of one matrix, or of two with a SiLU between, taught token by token in float64, with gradients taken at the weights of the chunk's start: the definition.</summary>
static class NaiveMemory
{
    /// <summary>q, k [R,N,D], v [R,N,E], first sums A_0 [R,Out,In] → y [R,N,E] and the last weights of the first row's first matrix. slope: error and threshold → ∂ℓ/∂e; weights: A of one matrix, by rows of so many → W.</summary>
    public static (double[] Y, double[] W) Run(Tensor q, Tensor k, Tensor v, MemoryGates gates, Tensor[] first, int chunk, Func<double[], double, double[]> slope, Func<double[], int, double[]>? weights = null)
    {
        var (rows, n, d) = k.Shape; int e = v.Shape[2], layers = first.Length; var answers = new double[rows * n * e]; double[] last = []; weights ??= (a, _) => a;
        for (int r = 0; r < rows; r++)
        {
            double[][] a = [.. first.Select(t => Trials.Wide(t.Span.Slice(r * t.Shape[1] * t.Shape[2], t.Shape[1] * t.Shape[2])))], s = [.. a.Select(x => new double[x.Length])], frozen = [];
            int[] ins = [.. first.Select(t => t.Shape[2])]; double[] Row(Tensor x, int t) => Trials.Wide(x.Span.Slice((r * n + t) * x.Shape[2], x.Shape[2]));
            for (int t = 0; t < n; t++)
            {
                if (t % chunk == 0) frozen = [.. a.Select((x, l) => weights((double[])x.Clone(), ins[l]))];
                double keep = Math.Exp(gates.LogKeep.Span[r * n + t]), momentum = gates.LogMomentum is { } m ? Math.Exp(m.Span[r * n + t]) : 0, rate = gates.Rate.Span[r * n + t];
                double[] x = Row(k, t), inner = Times(frozen[0], x), hidden = [.. inner.Select(Silu)], g = layers == 1 ? inner : Times(frozen[1], hidden), value = Row(v, t);
                g = slope([.. g.Select((y, i) => y - value[i])], gates.Limit is { } limit ? limit.Span[r * n + t] : 0);
                if (layers == 2)
                {
                    double[] back = [.. inner.Select((z, j) => { double sum = 0, sigma = 1 / (1 + Math.Exp(-z)); for (int i = 0; i < e; i++) sum += g[i] * frozen[1][i * inner.Length + j]; return sum * (sigma + z * sigma * (1 - sigma)); })];
                    Learn(1, g, hidden); Learn(0, back, x);
                }
                else Learn(0, g, x);
                double[] now = Times(weights(a[0], ins[0]), Row(q, t));
                if (layers == 2) now = Times(weights(a[1], ins[1]), [.. now.Select(Silu)]);
                now.CopyTo(answers, (r * n + t) * e);
                void Learn(int l, double[] slope, double[] input)
                {
                    for (int i = 0; i < slope.Length; i++) for (int j = 0; j < input.Length; j++)
                    {
                        int at = i * input.Length + j;
                        s[l][at] = momentum * s[l][at] - rate * slope[i] * input[j]; a[l][at] = keep * a[l][at] + s[l][at];
                    }
                }
            }
            if (r == 0) last = weights(a[0], ins[0]);
        }
        return (answers, last);
    }

    static double Silu(double x) => x / (1 + Math.Exp(-x));
    static double[] Times(double[] w, double[] x) { var y = new double[w.Length / x.Length]; for (int i = 0; i < y.Length; i++) for (int j = 0; j < x.Length; j++) y[i] += w[i * x.Length + j] * x[j]; return y; }
}
