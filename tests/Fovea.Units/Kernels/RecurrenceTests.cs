using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class RecurrenceTests
{
    delegate void StepOf(double[] s, double[] k, double[] v, double[] g, int d, int e);

    static void Diagonal(double[] s, double[] k, double[] v, double[] g, int d, int e) { for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) s[i * e + j] = g[i] * s[i * e + j] + k[i] * v[j]; }
    static void Gated(double[] s, double[] k, double[] v, double alpha, double beta, int d, int e)
    {
        var old = new double[e]; for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) old[j] += k[i] * s[i * e + j];
        for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) s[i * e + j] = alpha * (s[i * e + j] - beta * k[i] * old[j]) + beta * k[i] * v[j];
    }

    static double[] Steps(StepOf step, int n, int d, int e, int a, double[] q, double[] k, double[] v, double[] g, double[] s0)
    {
        var s = (double[])s0.Clone(); var y = new double[n * e + d * e];
        for (int t = 0; t < n; t++)
        {
            step(s, k[(t * d)..((t + 1) * d)], v[(t * e)..((t + 1) * e)], g[(t * a)..((t + 1) * a)], d, e);
            for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) y[t * e + j] += q[t * d + i] * s[i * e + j];
        }
        s.CopyTo(y, n * e);
        return y;
    }

    static void Check<T>(StepOf definition, int n, int d, int e, int a) where T : struct, IRecurrence
    {
        var z = new ScanSize(2, n, d, e, a); Real[] q = Trial.Draw(2 * n * d, 1), k = Trial.Draw(2 * n * d, 2, 0.5 / Math.Sqrt(d)), v = Trial.Draw(2 * n * e, 3), g = [.. Trial.Draw(2 * n * a, 4).Select(x => 1 / (1 + Real.Exp(-x)))];
        Real[] s0 = Trial.Draw(2 * z.State, 5), s = (Real[])s0.Clone(), o = new Real[2 * n * e], c = new Real[Scan.Checkpoints(z)], dO = Trial.Draw(2 * n * e, 6), dS = Trial.Draw(2 * z.State, 7), ds = (Real[])dS.Clone(), dq = Trial.Ones(q.Length), dk = Trial.Ones(k.Length), dv = Trial.Ones(v.Length), dg = Trial.Ones(g.Length);
        Scan.Forward(z, q, k, v, g, default(T), s, o, c); Scan.Backward(z, q, k, v, g, default(T), c, dO, ds, dq, dk, dv, dg);
        for (int r = 0; r < 2; r++)
        {
            double[] qd = Part(q, r), kd = Part(k, r), vd = Part(v, r), gd = Part(g, r), sd = Part(s0, r); Real[] weight = [.. dO.AsSpan(r * n * e, n * e), .. dS.AsSpan(r * z.State, z.State)];
            double Loss(double[] q1, double[] k1, double[] v1, double[] g1, double[] s1) => Trial.Dot(Steps(definition, n, d, e, a, q1, k1, v1, g1, s1), weight);
            var want = Steps(definition, n, d, e, a, qd, kd, vd, gd, sd); Trial.Close(want[..(n * e)], o.AsSpan(r * n * e, n * e), 1e-5, "o"); Trial.Close(want[(n * e)..], s.AsSpan(r * z.State, z.State), 1e-5, "state");
            Trial.CloseAdded(Trial.Slope(x => Loss(x, kd, vd, gd, sd), qd), dq.AsSpan(r * n * d, n * d), 3e-5, "dq"); Trial.CloseAdded(Trial.Slope(x => Loss(qd, x, vd, gd, sd), kd), dk.AsSpan(r * n * d, n * d), 3e-5, "dk");
            Trial.CloseAdded(Trial.Slope(x => Loss(qd, kd, x, gd, sd), vd), dv.AsSpan(r * n * e, n * e), 3e-5, "dv"); Trial.CloseAdded(Trial.Slope(x => Loss(qd, kd, vd, x, sd), gd), dg.AsSpan(r * n * a, n * a), 3e-5, "dgate");
            Trial.Close(Trial.Slope(x => Loss(qd, kd, vd, gd, x), sd), ds.AsSpan(r * z.State, z.State), 3e-5, "dState");
        }
    }
    static double[] Part(Real[] x, int r) => Trial.D(x.AsSpan(r * (x.Length / 2), x.Length / 2));

    public static TheoryData<int, int, int> Sizes => new() { { 1, 1, 1 }, { 7, 3, 5 }, { 70, 4, 3 }, { 20, 9, 17 }, { 5, 33, 40 } };

    [Theory, MemberData(nameof(Sizes))] public void Diagonal_decay_follows_its_definition(int n, int d, int e) => Check<DiagonalDecay>(Diagonal, n, d, e, d);
    [Theory, MemberData(nameof(Sizes))] public void The_delta_rule_follows_its_definition(int n, int d, int e) => Check<DeltaRule>((s, k, v, g, dim, width) => Gated(s, k, v, 1, g[0], dim, width), n, d, e, 1);
    [Theory, MemberData(nameof(Sizes))] public void The_gated_delta_rule_follows_its_definition(int n, int d, int e) => Check<GatedDeltaRule>((s, k, v, g, dim, width) => Gated(s, k, v, g[0], g[1], dim, width), n, d, e, 2);

    [Fact]
    public void Memory_for_the_gradients_grows_with_the_square_root_of_the_length()
    {
        foreach (int n in new[] { 1, 2, 3, 64, 65, 200, 1000, 65536 }) Assert.InRange(Scan.Checkpoints(new(1, n, 4, 5, 1)) / 20.0, 0.5 * Math.Sqrt(n), Math.Sqrt(n) + 1);
    }

    [Fact]
    public unsafe void Steps_and_adjoints_agree_between_widths()
    {
        const int d = 5, e = 37; Real[] k = Trial.Draw(d, 1), v = Trial.Draw(e, 2), g = Trial.Draw(d, 3), s0 = Trial.Draw(d * e, 4), dS = Trial.Draw(d * e, 5);
        Real[] One<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            Real[] s = (Real[])s0.Clone(), t = (Real[])s0.Clone(), a = (Real[])dS.Clone(), b = (Real[])dS.Clone(), dk = new Real[2 * d], dv = new Real[2 * e], dg = new Real[d + 2];
            fixed (Real* pk = k, pv = v, pg = g, ps = s, pt = t, p0 = s0, pa = a, pb = b, pdk = dk, pdv = dv, pdg = dg)
            {
                new DiagonalDecay.Forward(ps, pk, pv, pg, d, e).Run<TLanes, V>(); new GatedDeltaRule.Forward(pt, pk, pv, 0.7f, 0.4f, d, e).Run<TLanes, V>();
                new DiagonalDecay.Adjoint(pa, p0, pk, pv, pg, pdk, pdv, pdg, d, e).Run<TLanes, V>(); new GatedDeltaRule.Adjoint(pb, p0, pk, pv, 0.7f, 0.4f, pdk + d, pdv + e, pdg + d, pdg + d + 1, d, e).Run<TLanes, V>();
            }
            return [.. s, .. t, .. a, .. b, .. dk, .. dv, .. dg];
        }
        var plain = Trial.D(One<Lanes1, Real>());
        Trial.Close(plain, One<Lanes128, System.Runtime.Intrinsics.Vector128<Real>>(), 1e-6); Trial.Close(plain, One<Lanes256, System.Runtime.Intrinsics.Vector256<Real>>(), 1e-6); Trial.Close(plain, One<Lanes512, System.Runtime.Intrinsics.Vector512<Real>>(), 1e-6);
    }
}
