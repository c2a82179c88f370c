using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// A matrix S [D,E] that is taught pairs and asked with keys, by any write rule that is a recurrence: attention read as conditioning (pavlovian-attention, §2), with keys as conditional stimuli, values as unconditional ones, queries as
/// tests. <see cref="DiagonalDecay"/> is Hebb's rule with forgetting (a gate of ones: without), <see cref="DeltaRule"/> that of Rescorla and Wagner, <see cref="OjaRule"/> Hebb's with a limit.
/// </summary>
[From("pavlovian-attention", "§2")]
public sealed class AssociativeMemory<TRule>(int dim, int valueDim, TRule rule, Real[] gate) where TRule : struct, IRecurrence
{
    readonly Real[] s = new Real[dim * valueDim];
    public ReadOnlySpan<Real> Matrix => s;

    /// <summary>One presentation of k [D] together with v [E].</summary>
    public void Write(ReadOnlySpan<Real> k, ReadOnlySpan<Real> v)
    {
        if (k.Length != dim || v.Length != valueDim) throw new ShapeException($"a pair of {k.Length} and {v.Length} numbers, expected {dim} and {valueDim}");
        rule.Step(s, k, v, gate);
    }

    /// <summary>o = q S, [E].</summary>
    public Real[] Read(ReadOnlySpan<Real> q)
    {
        if (q.Length != dim) throw new ShapeException($"a query of {q.Length} numbers, expected {dim}");
        var o = new Real[valueDim];
        for (int d = 0; d < dim; d++) for (int e = 0; e < valueDim; e++) o[e] += q[d] * s[d * valueDim + e];
        return o;
    }
}

/// <summary>S ← S + η(kᵀ − S vᵀ) v: Hebb's rule that forgets what v already predicts; the delta rule of Sᵀ with k and v exchanged. gate [1] holds η.</summary>
[From("pavlovian-attention", "§ write rules")]
public readonly struct OjaRule : IRecurrence
{
    public void Step(Span<Real> s, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate)
    {
        for (int d = 0; d < k.Length; d++)
        {
            var row = s.Slice(d * v.Length, v.Length); Real x = gate[0] * (k[d] - Dot(row, v));
            for (int e = 0; e < v.Length; e++) row[e] += x * v[e];
        }
    }
    // x_d = η(k_d − S_d·v) per row; dx_d = dS_d·v.
    public void Back(Span<Real> ds, ReadOnlySpan<Real> before, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> dk, Span<Real> dv, Span<Real> dgate)
    {
        for (int d = 0; d < k.Length; d++)
        {
            var row = before.Slice(d * v.Length, v.Length); var g = ds.Slice(d * v.Length, v.Length); Real error = k[d] - Dot(row, v), dx = Dot(g, v);
            dgate[0] += dx * error; dk[d] += gate[0] * dx;
            for (int e = 0; e < v.Length; e++) { dv[e] += gate[0] * (error * g[e] - dx * row[e]); g[e] -= gate[0] * dx * v[e]; }
        }
    }
    static Real Dot(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b) { Real sum = 0; for (int i = 0; i < a.Length; i++) sum += a[i] * b[i]; return sum; }
}

/// <summary>How much a sum of outer products of given keys [n,D] of length 1 can hold (pavlovian-attention, § capacity).</summary>
[From("pavlovian-attention", "§ capacity")]
public static class Capacity
{
    /// <summary>The most keys, from the first, of which each has Σ_{j≠i} |k_i·k_j| below 1, so that no bit of any recalled ±1 value can be wrong.</summary>
    public static int ErrorFree(Tensor keys)
    {
        int n = keys.Shape[0]; var overlap = keys.MatMulT(keys); var sum = new double[n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < i; j++) { double x = Math.Abs(overlap.Span[i * n + j]); sum[i] += x; sum[j] += x; }
            for (int j = 0; j <= i; j++) if (sum[j] >= 1) return i;
        }
        return n;
    }

    /// <summary>Mean cosine between values [n,E] and what the first of their keys recall, with the first <paramref name="count"/> pairs stored by Hebb's rule.</summary>
    public static double Fidelity(Tensor keys, Tensor values, int count)
    {
        Tensor k = keys.Slice(0, 0, count), v = values.Slice(0, 0, count), o = k.MatMul(k.Transpose().MatMul(v)); int e = v.Shape[1]; double mean = 0;
        for (int i = 0; i < count; i++)
        {
            double dot = 0, a = 0, b = 0;
            for (int c = 0; c < e; c++) { double x = o.Span[i * e + c], y = v.Span[i * e + c]; dot += x * y; a += x * x; b += y * y; }
            mean += dot / Math.Sqrt(Math.Max(1e-30, a * b)) / count;
        }
        return mean;
    }
}
