using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class LinearScanTests
{
    /// <summary>The step by step definition for one row; returns o, then the last state.</summary>
    static double[] Steps(int n, int d, int e, double[] q, double[] k, double[] v, Func<int, double> logA, double[] s0)
    {
        var s = (double[])s0.Clone(); var y = new double[n * e + d * e];
        for (int t = 0; t < n; t++)
        {
            double a = Math.Exp(logA(t));
            for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) { s[i * e + j] = a * s[i * e + j] + k[t * d + i] * v[t * e + j]; y[t * e + j] += q[t * d + i] * s[i * e + j]; }
        }
        s.CopyTo(y, n * e);
        return y;
    }

    static Real[] LogA(string kind, int rows, int n) => kind switch
    {
        "none" => [],
        "constant" => [.. Trial.Draw(rows, 9).Select(x => -Math.Abs(x) / 10)],
        "steps" => [.. Trial.Draw(rows * n, 9).Select(x => -Math.Abs(x) / 3)],
        _ => [.. Trial.Draw(rows * n, 9).Select((x, i) => i % 5 == 3 ? Real.NegativeInfinity : i % 7 == 2 ? 0 : -20 * Math.Abs(x))],
    };

    public static TheoryData<int, int, int, int, string> Cases
    {
        get
        {
            var data = new TheoryData<int, int, int, int, string>();
            foreach (var (r, n, d, e) in new[] { (1, 1, 1, 1), (3, 7, 5, 3), (2, 70, 16, 24), (2, 200, 17, 9), (1, 128, 33, 40), (2, 64, 8, 64), (9, 130, 7, 16), (3, 470, 5, 9), (130, 65, 3, 2), (1, 1000, 70, 65) }) foreach (var kind in new[] { "none", "constant", "steps", "violent" }) data.Add(r, n, d, e, kind);
            return data;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void The_chunked_form_equals_the_steps_at_every_width(int rows, int n, int d, int e, string kind)
    {
        var z = new ScanSize(rows, n, d, e, 1); Real[] q = Trial.Draw(rows * n * d, 1), k = Trial.Draw(rows * n * d, 2), v = Trial.Draw(rows * n * e, 3), la = LogA(kind, rows, n), s0 = Trial.Draw(rows * z.State, 4);
        foreach (var width in Trial.Widths)
        {
            Real[] s = (Real[])s0.Clone(), o = new Real[rows * n * e], c = new Real[z.Checkpoints];
            LinearScan.Forward(z, q, k, v, la, s, o, c, width);
            for (int r = 0; r < rows; r++)
            {
                var want = Steps(n, d, e, Trial.D(q.AsSpan(r * n * d, n * d)), Trial.D(k.AsSpan(r * n * d, n * d)), Trial.D(v.AsSpan(r * n * e, n * e)), t => la.Length == 0 ? 0 : la.Length == rows && kind == "constant" ? la[r] : la[r * n + t], Trial.D(s0.AsSpan(r * z.State, z.State)));
                Trial.Close(want[..(n * e)], o.AsSpan(r * n * e, n * e), 1e-5, $"o of row {r} at {width}"); Trial.Close(want[(n * e)..], s.AsSpan(r * z.State, z.State), 1e-5, $"state of row {r} at {width}");
            }
        }
    }

    [Theory, InlineData(1, 1, 2, 3, "steps"), InlineData(1, 1, 2, 3, "none"), InlineData(2, 7, 3, 2, "steps"), InlineData(1, 70, 4, 5, "steps"), InlineData(1, 70, 4, 5, "constant"), InlineData(2, 70, 4, 5, "none"), InlineData(1, 131, 3, 9, "steps"), InlineData(2, 67, 9, 3, "constant"), InlineData(1, 70, 4, 5, "violent"), InlineData(9, 67, 2, 3, "steps")]
    public void Gradients_equal_the_slopes_of_the_steps_at_every_width(int rows, int n, int d, int e, string kind)
    {
        var z = new ScanSize(rows, n, d, e, 1); Real[] q = Trial.Draw(rows * n * d, 1), k = Trial.Draw(rows * n * d, 2), v = Trial.Draw(rows * n * e, 3), la = LogA(kind, rows, n), s0 = Trial.Draw(rows * z.State, 4), dO = Trial.Draw(rows * n * e, 5), dS = Trial.Draw(rows * z.State, 6);
        double Loss(int r, double[] qd, double[] kd, double[] vd, double[] ld, double[] sd) =>
            Trial.Dot(Steps(n, d, e, qd, kd, vd, t => ld.Length == 0 ? 0 : ld.Length == 1 ? ld[0] : ld[t], sd), (Real[])[.. dO.AsSpan(r * n * e, n * e), .. dS.AsSpan(r * z.State, z.State)]);
        foreach (var width in Trial.Widths)
        {
            Real[] s = (Real[])s0.Clone(), o = new Real[rows * n * e], c = new Real[z.Checkpoints], ds = (Real[])dS.Clone(), dq = Trial.Ones(q.Length), dk = Trial.Ones(k.Length), dv = Trial.Ones(v.Length), dla = Trial.Ones(la.Length);
            LinearScan.Forward(z, q, k, v, la, s, o, c, width); LinearScan.Backward(z, q, k, v, la, c, dO, ds, dq, dk, dv, dla, width);
            for (int r = 0; r < rows; r++)
            {
                int per = la.Length / rows; double[] qd = Part(q, r, rows), kd = Part(k, r, rows), vd = Part(v, r, rows), ld = Part(la, r, rows), sd = Part(s0, r, rows);
                Trial.CloseAdded(Trial.Slope(x => Loss(r, x, kd, vd, ld, sd), qd), dq.AsSpan(r * n * d, n * d), 2e-5, $"dq at {width}"); Trial.CloseAdded(Trial.Slope(x => Loss(r, qd, x, vd, ld, sd), kd), dk.AsSpan(r * n * d, n * d), 2e-5, $"dk at {width}");
                Trial.CloseAdded(Trial.Slope(x => Loss(r, qd, kd, x, ld, sd), vd), dv.AsSpan(r * n * e, n * e), 2e-5, $"dv at {width}"); Trial.Close(Trial.Slope(x => Loss(r, qd, kd, vd, ld, x), sd), ds.AsSpan(r * z.State, z.State), 2e-5, $"dState at {width}");
                // A step of −∞ has slope 0, which differences of infinities cannot show.
                var slope = Trial.Slope(x => Loss(r, qd, kd, vd, x, sd), [.. ld.Select(x => double.IsInfinity(x) ? -800 : x)]);
                Trial.CloseAdded(slope, dla.AsSpan(r * per, per), 1e-4, $"dlogA at {width}");
            }
            if (n > 70) break;      // once is enough for the long ones
        }
    }

    [Theory, InlineData(2, 7, 3, 2, "steps"), InlineData(2, 200, 17, 9, "constant"), InlineData(1, 131, 8, 16, "steps"), InlineData(2, 128, 9, 3, "none"), InlineData(1, 70, 4, 5, "violent"), InlineData(9, 67, 2, 3, "steps")]
    public void Gradients_need_no_checkpoints_if_the_state_started_at_zero(int rows, int n, int d, int e, string kind)
    {
        var z = new ScanSize(rows, n, d, e, 1); Real[] q = Trial.Draw(rows * n * d, 1), k = Trial.Draw(rows * n * d, 2), v = Trial.Draw(rows * n * e, 3), la = LogA(kind, rows, n), dO = Trial.Draw(rows * n * e, 5), dS = Trial.Draw(rows * z.State, 6);
        Real[] c = new Real[z.Checkpoints]; LinearScan.Forward(z, q, k, v, la, new Real[rows * z.State], new Real[rows * n * e], c);
        foreach (var width in Trial.Widths)
        {
            Real[][] Run(Real[] c) { Real[] ds = (Real[])dS.Clone(), dq = Trial.Ones(q.Length), dk = Trial.Ones(k.Length), dv = Trial.Ones(v.Length); LinearScan.Backward(z, q, k, v, la, c, dO, ds, dq, dk, dv, default, width); return [dq, dk, dv, ds]; }
            foreach (var (kept, rebuilt) in Run(c).Zip(Run([]))) Trial.Close(Trial.D(kept), rebuilt, 1e-5, $"at {width}");
        }
        if (la.Length > 0) Assert.Throws<ArgumentException>(() => LinearScan.Backward(z, q, k, v, la, default, dO, dS, q, k, v, la));
    }
    static double[] Part(Real[] x, int r, int rows) => Trial.D(x.AsSpan(r * (x.Length / rows), x.Length / rows));

    [Theory, InlineData(-18.420681), InlineData(-1e-4), InlineData(0.0)]
    public void Long_sequences_neither_overflow_nor_lose_the_state(double logA)
    {
        const int n = 65536, d = 4, e = 4; var z = new ScanSize(1, n, d, e, 1); Real[] q = Trial.Draw(n * d, 1), k = Trial.Draw(n * d, 2), v = Trial.Draw(n * e, 3), s = new Real[z.State], o = new Real[n * e];
        LinearScan.Forward(z, q, k, v, [(Real)logA], s, o, default);
        var want = Steps(n, d, e, Trial.D(q), Trial.D(k), Trial.D(v), _ => (Real)logA, new double[z.State]);
        Trial.Close(want[..(n * e)], o, 1e-5, "o"); Trial.Close(want[(n * e)..], s, 1e-5, "state");
    }

    [Fact]
    public void Prefill_then_steps_equal_the_whole()
    {
        const int n = 150, cut = 101; var z = new ScanSize(1, n, 16, 8, 1); Real[] q = Trial.Draw(n * 16, 1), k = Trial.Draw(n * 16, 2), v = Trial.Draw(n * 8, 3), la = LogA("steps", 1, n), s = new Real[z.State], whole = new Real[n * 8], o = new Real[n * 8], s2 = new Real[z.State];
        LinearScan.Forward(z, q, k, v, la, s, whole, default); LinearScan.Forward(z with { Length = cut }, q, k, v, la.AsSpan(0, cut), s2, o, default);
        for (int t = cut; t < n; t++) LinearScan.Forward(z with { Length = 1 }, q.AsSpan(t * 16), k.AsSpan(t * 16), v.AsSpan(t * 8), la.AsSpan(t, 1), s2, o.AsSpan(t * 8), default);
        Trial.Close(Trial.D(whole), o, 1e-5, "o"); Trial.Close(Trial.D(s), s2, 1e-5, "state");
    }

    [Fact]
    public void Work_is_linear_in_the_length_and_results_do_not_depend_on_the_thread_count()
    {
        Real[] q = Trial.Draw(3 * 512 * 8, 1); long Count(int n) { var z = new ScanSize(1, n, 8, 8, 1); return Work.Count(() => LinearScan.Forward(z, q, q, q, default, new Real[64], new Real[n * 8], default)); }
        Assert.Equal(4 * Count(128), Count(512));
        Trial.OnAnyThreads(() =>
        {
            var z = new ScanSize(3, 512, 8, 8, 1); Real[] o = new Real[q.Length], s = new Real[192], c = new Real[z.Checkpoints], ds = new Real[192], dq = new Real[q.Length], dk = new Real[q.Length], dv = new Real[q.Length], da = new Real[3];
            LinearScan.Forward(z, q, q, q, [-0.1f, 0, -1], s, o, c); LinearScan.Backward(z, q, q, q, [-0.1f, 0, -1], c, o, ds, dq, dk, dv, da);
            return [.. o, .. s, .. dq, .. dk, .. dv, .. da];
        });
    }

    [Fact]
    public void A_growing_or_missing_decay_is_refused()
    {
        var z = new ScanSize(2, 3, 1, 1, 1); Real[] x = new Real[6];
        Assert.Contains("logA[1] is 0.5, must be at most 0", Assert.Throws<ArgumentException>(() => LinearScan.Forward(z, x, x, x, [0, 0.5f], new Real[2], x, default)).Message);
        Assert.Contains("logA[0] is NaN", Assert.Throws<ArgumentException>(() => LinearScan.Forward(z, x, x, x, [Real.NaN, 0], new Real[2], x, default)).Message);
        Assert.Contains("expected R·N = 6, R = 2 or none", Assert.Throws<ArgumentException>(() => LinearScan.Forward(z, x, x, x, new Real[3], new Real[2], x, default)).Message);
    }
}
