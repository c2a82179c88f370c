using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed unsafe class RowsTests
{
    static readonly Real Out = Real.NegativeInfinity;
    public static TheoryData<int, int> Sizes => new() { { 1, 1 }, { 3, 7 }, { 5, 70 }, { 70, 5 }, { 2, 200 }, { 1, 5000 }, { 300, 3 } };

    static double[] EachRow(double[] x, int rows, Func<double[], double[]> f) => [.. Enumerable.Range(0, rows).SelectMany(r => f(x[(r * x.Length / rows)..((r + 1) * x.Length / rows)]))];
    static double[] Soft(double[] x) { double m = x.Max(); if (double.IsNegativeInfinity(m)) return new double[x.Length]; var e = x.Select(v => Math.Exp(v - m)).ToArray(); double s = e.Sum(); return [.. e.Select(v => v / s)]; }
    static double Lse(double[] x) { double m = x.Max(); return double.IsNegativeInfinity(m) ? m : m + Math.Log(x.Sum(v => Math.Exp(v - m))); }

    [Theory, MemberData(nameof(Sizes))]
    public void Softmax_and_log_sum_exp_follow_the_definition_at_every_width(int rows, int cols)
    {
        var x = Trial.Draw(rows * cols, 1, 4); var dy = Trial.Draw(rows * cols, 2);
        for (int i = 0; i < x.Length; i += 3) if (cols > 1) x[i] = i % 2 == 0 ? Out : x[i] + 1000;
        if (rows > 1) Array.Fill(x, Out, cols, cols);
        double[] want = EachRow(Trial.D(x), rows, Soft), lse = EachRow(Trial.D(x), rows, r => [Lse(r)]);
        var back = new double[x.Length];
        for (int r = 0; r < rows; r++)
        {
            double dot = 0; for (int j = 0; j < cols; j++) dot += want[r * cols + j] * dy[r * cols + j];
            for (int j = 0; j < cols; j++) back[r * cols + j] = want[r * cols + j] * (dy[r * cols + j] - dot);
        }
        foreach (var width in Trial.Widths) foreach (bool stream in new[] { false, true })
        {
            Real[] y = new Real[x.Length], l = new Real[rows], dx = Trial.Ones(x.Length);
            fixed (Real* px = x, py = y, pl = l, pdy = dy, pdx = dx)
            {
                WideRows.For(rows, WideRows.Grain(cols), new SoftmaxRows(px, py, cols, stream), width); WideRows.For(rows, WideRows.Grain(cols), new LogSumExpRows(px, pl, cols), width);
                WideRows.For(rows, WideRows.Grain(cols), new SoftmaxBackRows(py, pdy, pdx, cols), width);
            }
            Trial.Close(want, y, 2e-6, $"softmax at {width}"); Trial.Close(lse, l, 1e-6, $"lse at {width}"); Trial.CloseAdded(back, dx, 2e-6, $"dx at {width}");
        }
    }

    [Fact]
    public void Softmax_of_large_numbers_is_exact_and_may_be_in_place()
    {
        Real[] x = [100, 101, 99, 1e30f, 1e30f, -1e30f, Out, Out, Out]; Rows.Softmax(x, x, 3, 3);
        double z = 1 + Math.Exp(-1) + Math.Exp(-2);
        Trial.Close([Math.Exp(-1) / z, 1 / z, Math.Exp(-2) / z, 0.5, 0.5, 0, 0, 0, 0], x, 1e-7);
    }

    [Fact]
    public void A_NaN_reaches_the_whole_row_even_beside_minus_infinity()
    {
        foreach (int n in new[] { 1, 7, 8, 30, 200 }) for (int at = 0; at < n; at++) foreach (var width in Trial.Widths)
        {
            var x = new Real[n]; Array.Fill(x, at % 2 == 0 ? Out : 1); x[at] = Real.NaN; var y = new Real[n]; var l = new Real[1];
            fixed (Real* px = x, py = y, pl = l) { WideRows.For(1, 1, new SoftmaxRows(px, py, n, false), width); WideRows.For(1, 1, new LogSumExpRows(px, pl, n), width); }
            Assert.All(y, v => Assert.True(Real.IsNaN(v))); Assert.True(Real.IsNaN(l[0]));
        }
    }

    [Fact]
    public void The_log_of_a_sum_over_many_blocks_follows_the_maximum_wherever_it_stands()
    {
        foreach (int n in new[] { 2047, 2048, 2049, 6500 }) foreach (int peak in new[] { 0, n / 2, n - 1 }) foreach (var width in Trial.Widths)
        {
            var x = Trial.Draw(n, n); x.AsSpan(0, n / 3).Fill(Out); x[peak] = 60; var l = new Real[1];
            for (int i = n / 3; i < n; i++) x[i] += (Real)i / n;
            fixed (Real* px = x, pl = l)
            {
                WideRows.For(1, 1, new LogSumExpRows(px, pl, n), width); Trial.Near(Lse(Trial.D(x)), l[0], 1e-6, 0, $"lse of {n} at {width}");
                x[peak] = 1; WideRows.For(1, 1, new LogSumExpRows(px, pl, n), width); Trial.Near(Lse(Trial.D(x)), l[0], 1e-6, 0, $"lse of {n} at {width}");
                x[n / 4] = Real.NaN; WideRows.For(1, 1, new LogSumExpRows(px, pl, n), width); Assert.True(Real.IsNaN(l[0]));
            }
        }
    }

    [Fact]
    public void Results_that_go_past_the_caches_are_the_same_as_those_that_do_not()
    {
        const int rows = 4097, cols = 1025; Real[] x = Trial.Draw(1025, 1), big = new Real[rows * cols], y = new Real[rows * cols], small = new Real[cols], mean = new Real[rows], rstd = new Real[rows];
        for (int r = 0; r < rows; r++) x.CopyTo(big, r * cols);
        Rows.LayerNorm(big, default, default, y, mean, rstd, rows, cols, 0.1f); Rows.LayerNorm(x, default, default, small, mean, rstd, 1, cols, 0.1f);
        for (int r = 0; r < rows; r++) Assert.True(small.AsSpan().SequenceEqual(y.AsSpan(r * cols, cols)));
        Rows.Softmax(big, y, rows, cols); Rows.Softmax(x, small, 1, cols);
        for (int r = 0; r < rows; r++) Assert.True(small.AsSpan().SequenceEqual(y.AsSpan(r * cols, cols)));
    }

    static double[] Norm(double[] x, Real[] g, Real[] b, double eps, bool centre)
    {
        double m = centre ? x.Average() : 0, v = x.Average(u => (u - m) * (u - m)), s = 1 / Math.Sqrt(v + eps);
        return [.. x.Select((u, j) => (u - m) * s * (g.Length > 0 ? g[j] : 1) + (b.Length > 0 ? b[j] : 0))];
    }

    [Theory, InlineData(1, 7), InlineData(3, 70), InlineData(70, 5), InlineData(2, 200), InlineData(150, 130)]
    public void Layer_norm_and_RMS_norm_and_their_gradients_follow_the_definition(int rows, int cols)
    {
        foreach (bool centre in new[] { true, false }) foreach (bool affine in new[] { true, false })
        {
            Real[] x = Trial.Draw(rows * cols, 1), g = affine ? Trial.Draw(cols, 2) : [], b = affine && centre ? Trial.Draw(cols, 3) : [], dy = Trial.Draw(rows * cols, 4);
            for (int i = 0; i < x.Length; i++) x[i] = 2 * x[i] + (centre ? 50 : 0);
            const double eps = 1e-3; double[] xd = Trial.D(x), want = EachRow(xd, rows, r => Norm(r, g, b, eps, centre));
            double[] dx = new double[x.Length], dg = new double[g.Length], db = new double[b.Length];
            for (int r = 0; r < rows; r++)
            {
                var part = Trial.Slope(u => Trial.Dot(Norm(u, g, b, eps, centre), dy.AsSpan(r * cols, cols)), xd[(r * cols)..((r + 1) * cols)]); part.CopyTo(dx, r * cols);
                var plain = Norm(xd[(r * cols)..((r + 1) * cols)], [], [], eps, centre);
                for (int j = 0; j < dg.Length; j++) dg[j] += plain[j] * dy[r * cols + j];
                for (int j = 0; j < db.Length; j++) db[j] += dy[r * cols + j];
            }
            Real[] y = new Real[x.Length], mean = new Real[rows], rstd = new Real[rows], gx = Trial.Ones(x.Length), gg = Trial.Ones(g.Length), gb = Trial.Ones(b.Length);
            if (centre) { Rows.LayerNorm(x, g, b, y, mean, rstd, rows, cols, (Real)eps); Rows.LayerNormBackward(x, g, mean, rstd, dy, gx, gg, gb, rows, cols); }
            else { Rows.RmsNorm(x, g, y, rstd, rows, cols, (Real)eps); Rows.RmsNormBackward(x, g, rstd, dy, gx, gg, rows, cols); }
            Trial.Close(want, y, 1e-5, "y"); Trial.CloseAdded(dx, gx, 1e-4, "dx"); Trial.CloseAdded(dg, gg, 1e-5, "dgain"); Trial.CloseAdded(db, gb, 1e-5, "dbias");
            foreach (var width in Trial.Widths) foreach (bool stream in new[] { false, true })
            {
                Real[] y2 = new Real[x.Length], gx2 = Trial.Ones(x.Length), m2 = new Real[rows], s2 = new Real[rows], parts = new Real[cols], sums = new Real[cols];
                fixed (Real* px = x, pg = g, pb = b, py = y2, pm = m2, ps = s2, pdy = dy, pdx = gx2, pp = parts, pq = sums)
                {
                    WideRows.For(rows, rows, new NormRows(px, pg, pb, py, centre ? pm : null, ps, cols, (Real)eps, stream), width);
                    WideRows.For(rows, rows, new NormBackRows(px, pg, centre ? pm : null, ps, pdy, pdx, affine ? pp : null, affine && centre ? pq : null, cols, rows), width);
                }
                Trial.Close(want, y2, 1e-5, $"y at {width}"); Trial.CloseAdded(dx, gx2, 1e-4, $"dx at {width}");
                if (affine) Trial.Close(dg, parts, 2e-5, $"dgain at {width}");
                if (affine && centre) Trial.Close(db, sums, 2e-5, $"dbias at {width}");
            }
        }
    }

    static double[] Channels(double[] x, Real[] g, Real[] b, int batch, int channels, int spatial, int groups, double eps, bool overBatch)
    {
        var y = new double[x.Length]; int width = overBatch ? 1 : channels / groups;
        for (int outer = 0; outer < (overBatch ? channels : batch * groups); outer++)
        {
            var at = new List<int>();
            for (int i = 0; i < x.Length; i++) { int c = i / spatial % channels, n = i / (spatial * channels); if (overBatch ? c == outer : n * groups + c / width == outer) at.Add(i); }
            double m = at.Average(i => x[i]), s = 1 / Math.Sqrt(at.Average(i => (x[i] - m) * (x[i] - m)) + eps);
            foreach (int i in at) y[i] = (x[i] - m) * s * (g.Length > 0 ? g[i / spatial % channels] : 1) + (b.Length > 0 ? b[i / spatial % channels] : 0);
        }
        return y;
    }

    [Theory, InlineData(1, 4, 7, 2, true), InlineData(3, 6, 1, 3, true), InlineData(2, 3, 70, 1, false), InlineData(2, 4, 33, 4, true)]
    public void Group_norm_and_batch_norm_and_their_gradients_follow_the_definition(int batch, int channels, int spatial, int groups, bool affine)
    {
        int n = batch * channels * spatial; const double eps = 1e-3;
        foreach (bool overBatch in new[] { false, true })
        {
            Real[] x = Trial.Draw(n, 1, 2), g = affine ? Trial.Draw(channels, 2) : [], b = affine ? Trial.Draw(channels, 3) : [], dy = Trial.Draw(n, 4);
            double[] F(double[] u) => Channels(u, g, b, batch, channels, spatial, groups, eps, overBatch);
            double[] want = F(Trial.D(x)), dx = Trial.Slope(u => Trial.Dot(F(u), dy), Trial.D(x)), dg = new double[g.Length], db = new double[g.Length], plain = Channels(Trial.D(x), [], [], batch, channels, spatial, groups, eps, overBatch);
            for (int i = 0; i < n && affine; i++) { int c = i / spatial % channels; dg[c] += plain[i] * dy[i]; db[c] += dy[i]; }
            Real[] y = new Real[n], mean = new Real[overBatch ? channels : batch * groups], rstd = new Real[mean.Length], gx = Trial.Ones(n), gg = Trial.Ones(g.Length), gb = Trial.Ones(g.Length);
            if (overBatch) { Rows.BatchNorm(x, g, b, y, mean, rstd, batch, channels, spatial, (Real)eps); Rows.BatchNormBackward(x, g, mean, rstd, dy, gx, gg, gb, batch, channels, spatial); }
            else { Rows.GroupNorm(x, g, b, y, mean, rstd, batch, channels, spatial, groups, (Real)eps); Rows.GroupNormBackward(x, g, mean, rstd, dy, gx, gg, gb, batch, channels, spatial, groups); }
            Trial.Close(want, y, 1e-5, "y"); Trial.CloseAdded(dx, gx, 1e-4, "dx"); Trial.CloseAdded(dg, gg, 1e-5, "dgain"); Trial.CloseAdded(db, gb, 1e-5, "dbias");
            if (!overBatch) continue;
            Real[] y2 = new Real[n], gx2 = Trial.Ones(n), m2 = Trial.Draw(channels, 8), s2 = Trial.Draw(channels, 9);
            Rows.BatchNormWith(x, g, b, m2, s2, y2, batch, channels, spatial); Rows.BatchNormBackward(x, g, m2, s2, dy, gx2, default, default, batch, channels, spatial, given: true);
            double[] line = new double[n], slope = new double[n];
            for (int i = 0; i < n; i++) { int c = i / spatial % channels; double a = (double)s2[c] * (affine ? g[c] : 1); line[i] = (x[i] - m2[c]) * a + (affine ? b[c] : 0); slope[i] = a * dy[i]; }
            Trial.Close(line, y2, 1e-5, "given y"); Trial.CloseAdded(slope, gx2, 1e-5, "given dx");
        }
    }

    [Theory, InlineData(1, 1), InlineData(7, 5), InlineData(3, 70), InlineData(20, 200), InlineData(2, 5000)]
    public void Cross_entropy_and_its_gradient_follow_the_definition_at_every_width(int rows, int cols)
    {
        var x = Trial.Draw(rows * cols, 1, 3); var target = new int[rows]; var d = Trial.Draw(rows, 2);
        for (int r = 0; r < rows; r++) { target[r] = r % 4 == 3 ? -100 : r * 31 % cols; for (int j = 0; j < cols; j++) x[r * cols + j] += r % 2 * 500; }
        if (cols > 1) x[(target[0] + 1) % cols] = Out;
        double[] loss = new double[rows], lse = new double[rows], dx = new double[x.Length];
        for (int r = 0; r < rows; r++)
        {
            var row = Trial.D(x)[(r * cols)..((r + 1) * cols)]; lse[r] = Lse(row);
            if (target[r] < 0) continue;
            loss[r] = lse[r] - row[target[r]];
            for (int j = 0; j < cols; j++) dx[r * cols + j] = d[r] * (Math.Exp(row[j] - lse[r]) - (j == target[r] ? 1 : 0));
        }
        foreach (var width in Trial.Widths)
        {
            Real[] l = new Real[rows], e = new Real[rows], g = Trial.Ones(x.Length);
            if (width == Width.Widest) { Rows.CrossEntropy(x, target, l, e, rows, cols); Rows.CrossEntropyBackward(x, target, e, d, g, rows, cols); }
            else fixed (Real* px = x, pl = l, pe = e, pd = d, pg = g) fixed (int* pt = target)
            { WideRows.For(rows, 3, new CrossEntropyRows(px, pt, pl, pe, cols), width); WideRows.For(rows, 3, new CrossEntropyBackRows(px, pt, pe, pd, pg, cols), width); }
            Trial.Close(loss, l, 2e-6, $"loss at {width}"); Trial.Close(lse, e, 1e-6, $"lse at {width}"); Trial.CloseAdded(dx, g, 5e-5, $"dlogits at {width}");
        }
    }

    [Fact]
    public void Cross_entropy_of_the_impossible_is_infinite_and_a_target_too_large_is_refused()
    {
        Real[] x = [0, Out, 1, Out, Out, Out], l = new Real[2], e = new Real[2], g = new Real[6];
        Rows.CrossEntropy(x, [1, 2], l, e, 2, 3); Assert.Equal([Real.PositiveInfinity, Real.PositiveInfinity], l);
        Rows.CrossEntropyBackward(x, [1, 2], e, [1, 1], g, 2, 3); Assert.All(g, v => Assert.True(Real.IsFinite(v)));
        Assert.Contains("targets[1] is 3, must be below 3", Assert.Throws<ArgumentException>(() => Rows.CrossEntropy(x, [1, 3], l, e, 2, 3)).Message);
    }

    [Theory, InlineData(1, 1), InlineData(5, 7), InlineData(3, 70), InlineData(2, 200)]
    public void L2_normalisation_and_its_gradient_follow_the_definition_at_every_width(int rows, int cols)
    {
        Real[] x = Trial.Draw(rows * cols, 1), dy = Trial.Draw(rows * cols, 2); const double eps = 1e-3;
        if (rows > 1) for (int j = 0; j < cols; j++) x[cols + j] = j % 2 * 1e-7f;
        double[] F(double[] r) { double n = Math.Max(eps, Math.Sqrt(r.Sum(v => v * v))); return [.. r.Select(v => v / n)]; }
        double[] xd = Trial.D(x), want = EachRow(xd, rows, F), norm = EachRow(xd, rows, r => [Math.Sqrt(r.Sum(v => v * v))]);
        foreach (var width in Trial.Widths)
        {
            Real[] y = new Real[x.Length], n = new Real[rows], dx = new Real[x.Length];
            fixed (Real* px = x, py = y, pn = n, pdy = dy, pdx = dx) { WideRows.For(rows, 2, new L2Rows(px, py, pn, cols, (Real)eps), width); WideRows.For(rows, 2, new L2BackRows(py, pn, pdy, pdx, cols, (Real)eps), width); }
            Trial.Close(want, y, 1e-6, $"y at {width}"); Trial.Close(norm, n, 1e-6, $"norm at {width}");
            for (int r = 0; r < rows; r++)
            {
                double size = Math.Max(eps, norm[r]); int a = r * cols; double dot = norm[r] > eps ? Trial.Dot(want[a..(a + cols)], dy.AsSpan(a, cols)) : 0;
                Trial.Close([.. Enumerable.Range(a, cols).Select(i => (dy[i] - want[i] * dot) / size)], dx.AsSpan(a, cols), cols == 1 ? 1 : 3e-6, $"dx row {r} at {width}");
            }
        }
    }

    [Fact]
    public void L2_normalisation_survives_squares_that_leave_the_range()
    {
        Real[] x = [3e25f, 4e25f, 3e-25f, 4e-25f, 0, 0], y = new Real[6], n = new Real[3];
        Rows.L2Normalise(x, y, n, 3, 2, 1e-30f);
        Trial.Close([0.6, 0.8, 0.6, 0.8, 0, 0], y, 1e-6); Trial.Near(5e25, n[0], 1e-6, 0, "norm"); Trial.Near(5e-25, n[1], 1e-6, 0, "norm");
    }

    [Fact]
    public void Results_do_not_depend_on_the_thread_count()
    {
        int rows = 999, cols = 70; Real[] x = Trial.Draw(rows * cols, 1), dy = Trial.Draw(rows * cols, 2), g = Trial.Draw(cols, 3);
        Trial.OnAnyThreads(() =>
        {
            Real[] y = new Real[x.Length], m = new Real[rows], s = new Real[rows], dx = new Real[x.Length], dg = new Real[cols], db = new Real[cols];
            Rows.LayerNorm(x, g, g, y, m, s, rows, cols, 1e-5f); Rows.LayerNormBackward(x, g, m, s, dy, dx, dg, db, rows, cols);
            Rows.RmsNorm(x, g, y, s, rows, cols, 1e-5f); Rows.RmsNormBackward(x, g, s, dy, dx, dg, rows, cols);
            Rows.Softmax(y, y, rows, cols); Rows.SoftmaxBackward(y, dy, dx, rows, cols);
            Rows.GroupNorm(x, default, default, y, new Real[10 * rows], new Real[10 * rows], rows, cols, 1, 10, 1e-5f);
            return [.. y, .. dx, .. dg, .. db];
        });
    }
}
