using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>What is computed from the measurements of many mechanisms (CAB, §3.4 and §4.3).</summary>
[From("cab", "§3.4, §4.3")]
public static class CabScores
{
    /// <summary>
    /// Whether a mechanism declares a pattern: causal self needs Causal, noncausal self Bidirectional, the cross patterns Cross and the same. Sparse mechanisms read a context whole, which is softmax, so they have no score there.
    /// </summary>
    public static bool Declares(Traits traits, CabPattern pattern)
    {
        bool direction = traits.HasFlag(pattern is CabPattern.CausalSelf or CabPattern.CausalCross ? Traits.Causal : Traits.Bidirectional);
        return direction && (pattern is CabPattern.CausalSelf or CabPattern.NoncausalSelf || traits.HasFlag(Traits.Cross) && !traits.HasFlag(Traits.Sparse));
    }

    /// <summary>
    /// Compositional index of each mechanism: every metric becomes (x − mean)/deviation over the mechanisms, with the sign turned where lower is better; those of a task are averaged, and then tasks. Each inner list is a task.
    /// Mechanisms that lack a task have no index (not a number).
    /// </summary>
    public static double[] Index(IReadOnlyList<IReadOnlyList<IReadOnlyList<CabMetric>?>> tasks)
    {
        var sum = new double[tasks[0].Count];
        foreach (var task in tasks)
        {
            var present = task.OfType<IReadOnlyList<CabMetric>>().ToList();
            for (int i = 0; i < task.Count; i++)
            {
                if (task[i] is not { } mine) { sum[i] = double.NaN; continue; }
                for (int m = 0; m < mine.Count; m++)
                {
                    double mean = present.Average(p => p[m].Value), deviation = Math.Sqrt(present.Average(p => Math.Pow(p[m].Value - mean, 2)));
                    if (deviation > 0) sum[i] += (mine[m].LowerIsBetter ? -1 : 1) * (mine[m].Value - mean) / deviation / mine.Count / tasks.Count;
                }
            }
        }
        return sum;
    }

    /// <summary>Pearson correlation over the entries where both are numbers.</summary>
    public static double Correlation(IReadOnlyList<double> a, IReadOnlyList<double> b)
    {
        var both = a.Zip(b).Where(p => double.IsFinite(p.First) && double.IsFinite(p.Second)).ToList();
        if (both.Count < 2) return double.NaN;
        double x = both.Average(p => p.First), y = both.Average(p => p.Second);
        return both.Sum(p => (p.First - x) * (p.Second - y)) / Math.Sqrt(both.Sum(p => Math.Pow(p.First - x, 2)) * both.Sum(p => Math.Pow(p.Second - y, 2)));
    }
}

/// <summary>A cost curve over lengths, fitted by least squares: Square·n² + Line·n + Base, and R², the share of the variance that it explains.</summary>
[From("cab", "§4.3")]
public sealed record CostCurve(double Square, double Line, double Base, double R2)
{
    public double At(double n) => (Square * n + Line) * n + Base;

    /// <summary>A parabola, or a straight line if quadratic is false.</summary>
    public static CostCurve Fit(IReadOnlyList<(double Length, double Cost)> points, bool quadratic)
    {
        int p = quadratic ? 3 : 2; double scale = points.Max(x => x.Length), mean = points.Average(x => x.Cost); var a = new double[p, p + 1];
        foreach (var (n, cost) in points)
            for (int i = 0; i < p; i++)
            {
                for (int j = 0; j < p; j++) a[i, j] += Math.Pow(n / scale, i + j);
                a[i, p] += Math.Pow(n / scale, i) * cost;
            }
        for (int i = 0; i < p; i++)
        {
            // The normal equations are positive definite: no pivoting.
            for (int r = 0; r < p; r++)
            {
                if (r == i) continue;
                double f = a[r, i] / a[i, i];
                for (int j = i; j <= p; j++) a[r, j] -= f * a[i, j];
            }
        }
        double[] c = [.. Enumerable.Range(0, p).Select(i => a[i, p] / a[i, i] / Math.Pow(scale, i))];
        var curve = new CostCurve(quadratic ? c[2] : 0, c[1], c[0], 0);
        double left = points.Sum(x => Math.Pow(x.Cost - curve.At(x.Length), 2)), all = points.Sum(x => Math.Pow(x.Cost - mean, 2));
        return curve with { R2 = all > 0 ? 1 - left / all : 1 };
    }

    /// <summary>
    /// The length from which this straight line is below a parabola for good: their larger crossing; 0 if it is below everywhere, null if it never is.
    /// </summary>
    public double? EfficiencyLength(CostCurve quadratic)
    {
        double a = quadratic.Square - Square, b = quadratic.Line - Line, c = quadratic.Base - Base;
        if (a <= 0) return a == 0 && b > 0 ? Math.Max(0, -c / b) : a == 0 && b == 0 && c > 0 ? 0 : null;
        double d = b * b - 4 * a * c;
        return d < 0 ? 0 : Math.Max(0, (-b + Math.Sqrt(d)) / (2 * a));
    }
}
