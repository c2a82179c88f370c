namespace Fovea.Kernels;

public readonly struct DiagonalDecay : IRecurrence
{
    public void Step(Span<Real> s, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> alpha)
    { for (int d = 0, i = 0; d < k.Length; d++) for (int e = 0; e < v.Length; e++, i++) s[i] = alpha[d] * s[i] + k[d] * v[e]; }
    public void Back(Span<Real> ds, ReadOnlySpan<Real> before, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> alpha, Span<Real> dk, Span<Real> dv, Span<Real> dalpha)
    { for (int d = 0, i = 0; d < k.Length; d++) for (int e = 0; e < v.Length; e++, i++) { dk[d] += ds[i] * v[e]; dv[e] += ds[i] * k[d]; dalpha[d] += ds[i] * before[i]; ds[i] *= alpha[d]; } }
}
public readonly struct DeltaRule : IRecurrence
{
    public void Step(Span<Real> s, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> beta) { }
    public void Back(Span<Real> ds, ReadOnlySpan<Real> before, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> beta, Span<Real> dk, Span<Real> dv, Span<Real> dbeta) { }
}
public static class LinearScan
{
    public static void Forward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> logA, Span<Real> state, Span<Real> o, Span<Real> checkpoints) { }
    public static void Backward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> logA, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO, Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dlogA) { }
}
