using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class ConvTests
{
    static double[] Plain(ConvSize z, double[] x, double[] w, double[] bias)
    {
        int oh = z.OutHeight, ow = z.OutWidth, ig = z.Inputs / z.Groups, og = z.Outputs / z.Groups; var y = new double[z.Batch * z.Outputs * oh * ow];
        for (int b = 0; b < z.Batch; b++) for (int o = 0; o < z.Outputs; o++) for (int p = 0; p < oh; p++) for (int q = 0; q < ow; q++)
        {
            double sum = bias.Length > 0 ? bias[o] : 0;
            for (int c = 0; c < ig; c++) for (int i = 0; i < z.KernelHeight; i++) for (int j = 0; j < z.KernelWidth; j++)
            {
                int h = p * z.StrideHeight - z.PadHeight + i * z.DilationHeight, v = q * z.StrideWidth - z.PadWidth + j * z.DilationWidth;
                if (h >= 0 && h < z.Height && v >= 0 && v < z.Width) sum += x[((b * z.Inputs + o / og * ig + c) * z.Height + h) * z.Width + v] * w[((o * ig + c) * z.KernelHeight + i) * z.KernelWidth + j];
            }
            y[((b * z.Outputs + o) * oh + p) * ow + q] = sum;
        }
        return y;
    }

    static readonly ConvSize[] sizes =
    [
        new(1, 1, 1, 1, 1, 1, 1), new(2, 3, 5, 7, 6, 3, 3) { PadHeight = 1, PadWidth = 1 }, new(1, 10, 4, 13, 17, 3, 2) { StrideHeight = 2, StrideWidth = 3, PadWidth = 1 },
        new(2, 4, 6, 9, 9, 3, 3) { Groups = 2, DilationHeight = 2, DilationWidth = 3, PadHeight = 2, PadWidth = 4 }, new(2, 6, 6, 8, 20, 3, 5) { Groups = 6, PadHeight = 1, PadWidth = 2 },
        new(1, 4, 4, 11, 11, 3, 3) { Groups = 4, StrideHeight = 2, StrideWidth = 2, PadHeight = 3, PadWidth = 3 }, new(1, 3, 8, 16, 16, 4, 4) { StrideHeight = 4, StrideWidth = 4 }, new(1, 2, 3, 15, 20, 2, 2),
        ConvSize.Line(2, 5, 7, 200, 4, stride: 2, pad: 3, dilation: 2), ConvSize.Line(2, 6, 2, 70, 3, groups: 2), ConvSize.Line(1, 2, 2, 3, 5, pad: 6),
        new(2, 2, 2, 13, 37, 7, 7) { Groups = 2, PadHeight = 3, PadWidth = 3 }, new(1, 1, 1, 14, 26, 5, 3) { DilationHeight = 2, DilationWidth = 3, PadWidth = 1 }, new(3, 4, 8, 6, 8, 3, 3) { Groups = 4, PadHeight = 1, PadWidth = 1 },
        new(2, 6, 4, 10, 9, 4, 2) { Groups = 2, PadHeight = 2, PadWidth = 1, DilationHeight = 2 }, new(2, 2, 2, 12, 24, 3, 3) { Groups = 2, PadHeight = 1, PadWidth = 1, StrideHeight = 2 }, new(1, 2, 4, 9, 19, 4, 5) { Groups = 2, PadWidth = 3, StrideWidth = 3, DilationWidth = 2 },
        new(1, 1, 1, 30, 5, 21, 3) { PadHeight = 10, PadWidth = 1 }, new(1, 2, 2, 6, 7, 2, 2) { Groups = 2, PadHeight = 4, PadWidth = 3 }, new(70, 1, 1, 4, 5, 3, 3) { PadHeight = 1, PadWidth = 1 }, new(1, 1, 1, 130, 2, 3, 1),
        new(2, 6, 13, 9, 16, 3, 3) { PadHeight = 1, PadWidth = 1 }, new(1, 7, 9, 7, 15, 3, 5) { PadHeight = 4, PadWidth = 6, DilationWidth = 2 }, new(1, 5, 8, 6, 7, 5, 2) { PadHeight = 2, StrideHeight = 2 }, new(1, 12, 10, 5, 24, 1, 1) { Groups = 2 },
        new(1, 7, 1, 5, 3, 3, 2) { PadHeight = 1, PadWidth = 1 }, new(2, 6, 5, 11, 30, 3, 3) { PadHeight = 1, PadWidth = 1, StrideWidth = 2, StrideHeight = 2 },
        ConvSize.Line(3, 3, 3, 150, 4, pad: 3, groups: 3), ConvSize.Line(2, 2, 2, 70, 5, stride: 3, pad: 2, dilation: 2, groups: 2),
    ];
    public static TheoryData<int> All => new(Enumerable.Range(0, sizes.Length));

    [Theory, MemberData(nameof(All))]
    public void A_convolution_and_its_gradients_follow_the_definition_at_every_width(int at)
    {
        var z = sizes[at]; Real[] x = Trial.Draw(z.Batch * z.Inputs * z.Height * z.Width, 1), w = Trial.Draw(z.Outputs * z.Taps, 2), bias = at % 3 == 2 ? [] : Trial.Draw(z.Outputs, 3), dy = Trial.Draw(z.Batch * z.Outputs * z.OutHeight * z.OutWidth, 4);
        double[] xd = Trial.D(x), wd = Trial.D(w), bd = Trial.D(bias), want = Plain(z, xd, wd, bd);
        // The convolution is linear in each argument, so its gradient is exact from the definition: d⟨dy, y⟩/dx_i = ⟨dy, y(e_i)⟩.
        double[] dx = Unit(x.Length, e => Trial.Dot(Plain(z, e, wd, []), dy)), dw = Unit(w.Length, e => Trial.Dot(Plain(z, xd, e, []), dy)), db = Unit(bias.Length, e => Trial.Dot(Plain(z, new double[x.Length], wd, e), dy));
        foreach (var width in Trial.Widths)
        {
            Real[] y = new Real[dy.Length], gx = Trial.Ones(x.Length), gw = Trial.Ones(w.Length), gb = Trial.Ones(bias.Length);
            Conv.Forward(z, x, w, bias, y, width); Conv.Backward(z, x, w, dy, gx, gw, gb, width);
            Trial.Close(want, y, 3e-6, $"y at {width}"); Trial.CloseAdded(dx, gx, 3e-6, $"dx at {width}"); Trial.CloseAdded(dw, gw, 3e-6, $"dw at {width}"); Trial.CloseAdded(db, gb, 3e-6, $"db at {width}");
        }
    }
    static double[] Unit(int n, Func<double[], double> f)
    {
        var g = new double[n]; var e = new double[n];
        for (int i = 0; i < n; i++) { e[i] = 1; g[i] = f(e); e[i] = 0; }
        return g;
    }

    [Theory, MemberData(nameof(All))]
    public void The_transposed_convolution_is_the_adjoint(int at)
    {
        var z = sizes[at]; int outer = z.Batch * z.Outputs * z.OutHeight * z.OutWidth, inner = z.Batch * z.Inputs * z.Height * z.Width;
        Real[] x = Trial.Draw(outer, 1), w = Trial.Draw(z.Outputs * z.Taps, 2), bias = Trial.Draw(z.Inputs, 3), dy = Trial.Draw(inner, 4), y = new Real[inner], dx = Trial.Ones(outer), dw = Trial.Ones(w.Length), db = Trial.Ones(z.Inputs);
        Array.Fill(y, 99); Conv.Transposed(z, x, w, bias, y); Conv.TransposedBackward(z, x, w, dy, dx, dw, db);
        double[] wd = Trial.D(w), want = Unit(inner, e => Trial.Dot(Plain(z, e, wd, []), x));
        for (int i = 0; i < inner; i++) want[i] += bias[i / (z.Height * z.Width) % z.Inputs];
        double[] sums = new double[z.Inputs]; for (int i = 0; i < inner; i++) sums[i / (z.Height * z.Width) % z.Inputs] += dy[i];
        Trial.Close(want, y, 3e-6, "y"); Trial.CloseAdded(Plain(z, Trial.D(dy), wd, []), dx, 3e-6, "dx"); Trial.CloseAdded(Unit(w.Length, e => Trial.Dot(Plain(z, Trial.D(dy), e, []), x)), dw, 3e-6, "dw"); Trial.CloseAdded(sums, db, 3e-6, "db");
    }

    static double[] Causal(double[] x, double[] w, double[] bias, int batch, int n, int channels, int kernel, double[] before)
    {
        var y = new double[x.Length];
        for (int b = 0; b < batch; b++) for (int t = 0; t < n; t++) for (int c = 0; c < channels; c++)
        {
            double sum = bias.Length > 0 ? bias[c] : 0;
            for (int j = 0; j < kernel; j++)
            {
                int s = t - kernel + 1 + j; double u = s >= 0 ? x[(b * n + s) * channels + c] : before.Length == 0 ? 0 : before[(b * (kernel - 1) + s + kernel - 1) * channels + c];
                sum += w[c * kernel + j] * u;
            }
            y[(b * n + t) * channels + c] = sum;
        }
        return y;
    }

    [Theory, InlineData(1, 1, 1, 1), InlineData(2, 7, 5, 4), InlineData(1, 70, 33, 3), InlineData(2, 3, 17, 6), InlineData(2, 200, 8, 4)]
    public void The_causal_convolution_and_its_gradients_follow_the_definition_at_every_width(int batch, int n, int channels, int kernel)
    {
        Real[] x = Trial.Draw(batch * n * channels, 1), w = Trial.Draw(channels * kernel, 2), bias = n % 2 == 0 ? [] : Trial.Draw(channels, 3), dy = Trial.Draw(x.Length, 4), before = Trial.Draw(batch * (kernel - 1) * channels, 5);
        double[] xd = Trial.D(x), wd = Trial.D(w), bd = Trial.D(bias), none = [];
        foreach (var width in Trial.Widths)
        {
            Real[] y = new Real[x.Length], dx = Trial.Ones(x.Length), dw = Trial.Ones(w.Length), db = Trial.Ones(bias.Length);
            CausalConv.Forward(x, w, bias, y, default, batch, n, channels, kernel, width); Trial.Close(Causal(xd, wd, bd, batch, n, channels, kernel, none), y, 1e-6, $"y at {width}");
            CausalConv.Forward(x, w, bias, y, (Real[])before.Clone(), batch, n, channels, kernel, width); Trial.Close(Causal(xd, wd, bd, batch, n, channels, kernel, Trial.D(before)), y, 1e-6, $"y with state at {width}");
            CausalConv.Backward(x, w, dy, dx, dw, db, batch, n, channels, kernel, width);
            Trial.CloseAdded(Unit(x.Length > 4000 ? 100 : x.Length, e => { var full = new double[x.Length]; e.CopyTo(full, 0); return Trial.Dot(Causal(full, wd, [], batch, n, channels, kernel, none), dy); }), dx.AsSpan(0, x.Length > 4000 ? 100 : x.Length), 2e-6, $"dx at {width}");
            Trial.CloseAdded(Unit(w.Length, e => Trial.Dot(Causal(xd, e, [], batch, n, channels, kernel, none), dy)), dw, 3e-6, $"dw at {width}");
            Trial.CloseAdded(Unit(bias.Length, e => Trial.Dot(Causal(new double[x.Length], wd, e, batch, n, channels, kernel, none), dy)), db, 3e-6, $"db at {width}");
        }
    }

    [Fact]
    public void The_causal_convolution_decodes_as_it_runs_over_the_whole()
    {
        const int batch = 2, n = 20, channels = 9, kernel = 4; Real[] x = Trial.Draw(batch * n * channels, 1), w = Trial.Draw(channels * kernel, 2), b = Trial.Draw(channels, 3), whole = new Real[x.Length], state = new Real[batch * (kernel - 1) * channels];
        CausalConv.Forward(x, w, b, whole, default, batch, n, channels, kernel);
        for (int t = 0; t < n;)
        {
            int step = t == 3 ? 6 : t == 9 ? 2 : 1; Real[] part = [.. Enumerable.Range(0, batch).SelectMany(i => x[((i * n + t) * channels)..((i * n + t + step) * channels)])], y = new Real[part.Length];
            CausalConv.Forward(part, w, b, y, state, batch, step, channels, kernel);
            for (int i = 0; i < batch; i++) Assert.Equal(whole[((i * n + t) * channels)..((i * n + t + step) * channels)], y[(i * step * channels)..((i + 1) * step * channels)]);
            t += step;
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_thread_count()
    {
        var z = new ConvSize(2, 20, 6, 30, 30, 3, 3) { PadHeight = 1, PadWidth = 1 }; Real[] x = Trial.Draw(2 * 20 * 900, 1), w = Trial.Draw(6 * z.Taps, 2), dy = Trial.Draw(2 * 6 * 900, 3);
        var alone = z with { Outputs = 20, Groups = 20 };
        Trial.OnAnyThreads(() =>
        {
            Real[] ay = new Real[x.Length], ax = new Real[x.Length], aw = new Real[180];
            Conv.Forward(alone, x, w.AsSpan(0, 180), default, ay); Conv.Backward(alone, x, w.AsSpan(0, 180), ay, ax, aw, default);
            Real[] y = new Real[dy.Length], dx = new Real[x.Length], dw = new Real[w.Length], db = new Real[6], cw = new Real[80], cy = new Real[x.Length];
            Conv.Forward(z, x, w, default, y); Conv.Backward(z, x, w, dy, dx, dw, db); CausalConv.Forward(x, w, default, cy, default, 2, 900, 20, 4); CausalConv.Backward(x, w, cy, default, cw, default, 2, 900, 20, 4);
            return [.. y, .. dx, .. dw, .. db, .. cy, .. cw, .. ay, .. ax, .. aw];
        });
    }

    [Fact]
    public void Sizes_that_do_not_fit_are_refused()
    {
        Assert.Contains("do not divide into 2 groups", Assert.Throws<ArgumentException>(() => Conv.Forward(new(1, 3, 2, 4, 4, 1, 1) { Groups = 2 }, new Real[48], new Real[6], default, new Real[32])).Message);
        Assert.Contains("larger than the padded input", Assert.Throws<ArgumentException>(() => Conv.Forward(new(1, 1, 1, 2, 2, 3, 3), new Real[4], new Real[9], default, new Real[1])).Message);
        Assert.Contains("the input holds 47 numbers, needs 48", Assert.Throws<ArgumentException>(() => Conv.Forward(new(1, 3, 2, 4, 4, 1, 1), new Real[47], new Real[6], default, new Real[32])).Message);
    }
}
