using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed unsafe class MapTests
{
    static double Sig(double x) => 1 / (1 + Math.Exp(-x));
    static double Phi(double x)        // Simpson's rule on the density
    {
        if (x < -12) return 0;
        const int n = 4000; double h = (x + 12) / n, s = Math.Exp(-72) + Math.Exp(-x * x / 2);
        for (int i = 1; i < n; i++) { double t = -12 + i * h; s += (i % 2 == 0 ? 2 : 4) * Math.Exp(-t * t / 2); }
        return s * h / 3 / Math.Sqrt(2 * Math.PI);
    }

    static readonly (string Name, Func<double, double> F, double From, double To, Action<Func<double, double>, double[], double> Check)[] ops =
    [
        ("sigmoid", Sig, -30, 30, Check<Sigmoid>), ("tanh", Math.Tanh, -30, 30, Check<Tanh>), ("silu", x => x * Sig(x), -30, 30, Check<Silu>),
        ("gelu", x => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))), -8, 8, Check<Gelu>),
        ("gelu with erf", x => x * Phi(x), -5, 5, Check<GeluErf>), ("relu", x => Math.Max(x, 0), -3, 3, Check<Relu>),
        ("softplus", x => x > 0 ? x + Math.Log(1 + Math.Exp(-x)) : Math.Log(1 + Math.Exp(x)), -12, 30, Check<Softplus>), ("exp", Math.Exp, -20, 20, Check<Exp>),
        ("log", Math.Log, 0.01, 50, Check<Log>), ("sqrt", Math.Sqrt, 0.01, 50, Check<Sqrt>), ("square", x => x * x, -9, 9, Check<Square>), ("abs", Math.Abs, -9, 9, Check<Abs>),
        ("elu + 1", x => x > 0 ? x + 1 : Math.Exp(x), -20, 5, Check<EluPlusOne>), ("sin", Math.Sin, -20, 20, Check<Sin>), ("cos", Math.Cos, -20, 20, Check<Cos>),
    ];
    public static TheoryData<string> Names => new(ops.Select(o => o.Name));

    static void Check<TOp>(Func<double, double> f, double[] range, double bound) where TOp : struct, IUnary
    {
        foreach (int n in new[] { 1, 7, 70, 200 }) foreach (var width in Trial.Widths)
        {
            var x = Trial.Draw(n, n); for (int i = 0; i < n; i++) x[i] = (Real)(range[0] + (range[1] - range[0]) * (i + 0.37) / n);
            var dy = Trial.Draw(n, n + 1); var y = new Real[n + 3]; var dx = Trial.Ones(n + 3); Array.Fill(y, 77);
            fixed (Real* px = x, py = y, pdy = dy, pdx = dx)
            {
                WideRows.For(n, Map.Grain, new UnaryRows<TOp>(px, py), width);
                WideRows.For(n, Map.Grain, new UnaryBackRows<TOp>(px, py, pdy, pdx), width);
            }
            for (int i = 0; i < n; i++)
            {
                Trial.Near(f(x[i]), y[i], bound, 3e-7, $"{typeof(TOp).Name}({x[i]}) at width {width}");
                double h = 1e-5 * Math.Max(Math.Abs(x[i]), 1e-2), slope = (f(x[i] + h) - f(x[i] - h)) / (2 * h);
                Trial.Near(slope * dy[i], dx[i] - 1, 1e-5, 2e-6 * Math.Max(1, Math.Abs(dy[i])), $"slope of {typeof(TOp).Name} at {x[i]}, width {width}");
            }
            Assert.Equal([77, 77, 77], y[n..]); Assert.Equal([1, 1, 1], dx[n..]);
        }
    }

    [Theory, MemberData(nameof(Names))]
    public void A_function_and_its_slope_follow_the_definition_at_every_width(string name)
    {
        var op = ops.Single(o => o.Name == name);
        op.Check(op.F, [op.From, op.To], 3e-6);
    }

    [Fact]
    public void Small_arguments_keep_their_relative_precision()
    {
        Real[] x = [1e-8f, -1e-5f, 1e-3f, 0.3f, 0.59f, 0.61f]; var y = new Real[x.Length];
        Map.Apply<Tanh>(x, y);
        for (int i = 0; i < x.Length; i++) Trial.Near(Math.Tanh(x[i]), y[i], 3e-7, 0, $"tanh {x[i]}");
        x = [-5, -20, -60]; y = new Real[3]; Map.Apply<Softplus>(x, y);
        for (int i = 0; i < x.Length; i++) Trial.Near(Math.Exp(x[i]), y[i], 1e-2, 0, $"softplus {x[i]}");
    }

    [Fact]
    public void Huge_arguments_saturate_and_NaN_stays()
    {
        Real inf = Real.PositiveInfinity;
        Saturates<Sigmoid>([0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]); Saturates<Tanh>([-1, -1, -1, 1, 1, 1], [0, 0, 0, 0, 0, 0]);
        Saturates<Silu>([0, 0, 0, 1e4f, 1e30f, inf], [0, 0, 0, 1, 1, 1]); Saturates<Gelu>([0, 0, 0, 1e4f, 1e30f, inf], [0, 0, 0, 1, 1, 1]);
        Saturates<GeluErf>([0, 0, 0, 1e4f, 1e30f, inf], [0, 0, 0, 1, 1, 1]); Saturates<Softplus>([0, 0, 0, 1e4f, 1e30f, inf], [0, 0, 0, 1, 1, 1]);
        Saturates<Relu>([0, 0, 0, 1e4f, 1e30f, inf], [0, 0, 0, 1, 1, 1]); Saturates<EluPlusOne>([0, 0, 0, 1e4f + 1, 1e30f, inf], [0, 0, 0, 1, 1, 1]);
        Saturates<Exp>([0, 0, 0, inf, inf, inf], [0, 0, 0, inf, inf, inf]); Saturates<Abs>([inf, 1e30f, 1e4f, 1e4f, 1e30f, inf], [-1, -1, -1, 1, 1, 1]);
    }
    static void Saturates<TOp>(Real[] expected, Real[] slopes) where TOp : struct, IUnary
    {
        Real[] x = [Real.NegativeInfinity, -1e30f, -1e4f, 1e4f, 1e30f, Real.PositiveInfinity, Real.NaN, Real.NaN, Real.NaN];
        foreach (var width in Trial.Widths)
        {
            var y = new Real[9]; var dx = new Real[9]; var dy = Trial.Ones(9);
            fixed (Real* px = x, py = y, pdy = dy, pdx = dx)
            {
                WideRows.For(9, 100, new UnaryRows<TOp>(px, py), width); WideRows.For(9, 100, new UnaryBackRows<TOp>(px, py, pdy, pdx), width);
            }
            for (int i = 0; i < 6; i++) { Trial.Near(expected[i], y[i], 1e-6, 1e-30, $"{typeof(TOp).Name}({x[i]}) at {width}"); Trial.Near(slopes[i], dx[i], 1e-6, 1e-20, $"slope of {typeof(TOp).Name} at {x[i]}, {width}"); }
            for (int i = 6; i < 9; i++) { Assert.True(Real.IsNaN(y[i]), $"{typeof(TOp).Name}(NaN) at {width} is {y[i]}"); Assert.True(Real.IsNaN(dx[i]), $"slope of {typeof(TOp).Name} at NaN, {width}, is {dx[i]}"); }
        }
    }

    [Fact]
    public void The_image_of_a_number_does_not_depend_on_its_place()
    {
        var x = new Real[100]; Array.Fill(x, 0.7312f); var y = new Real[100];
        for (int n = 1; n < 40; n++) { Map.Apply<Gelu>(x.AsSpan(0, n), y); Assert.All(y[..n], v => Assert.Equal(y[0], v)); }
    }

    [Theory, InlineData(1), InlineData(7), InlineData(70), InlineData(5000)]
    public void SwiGlu_and_its_gradients_follow_the_definition(int n)
    {
        foreach (var width in Trial.Widths)
        {
            Real[] g = Trial.Draw(n, 1, 3), u = Trial.Draw(n, 2), dy = Trial.Draw(n, 3), y = new Real[n], dg = Trial.Ones(n), du = Trial.Ones(n);
            if (width == Width.Widest) { Map.SwiGlu(g, u, y); Map.SwiGluBackward(g, u, dy, dg, du); }
            else fixed (Real* pg = g, pu = u, py = y, pdy = dy, pdg = dg, pdu = du) { WideRows.For(n, Map.Grain, new SwiGluRows(pg, pu, py), width); WideRows.For(n, Map.Grain, new SwiGluBackRows(pg, pu, pdy, pdg, pdu), width); }
            Trial.Close([.. g.Select((x, i) => x * Sig(x) * u[i])], y, 2e-6, "y");
            Trial.CloseAdded([.. g.Select((x, i) => dy[i] * u[i] * (Sig(x) + x * Sig(x) * (1 - Sig(x))))], dg, 2e-6, "dgate");
            Trial.CloseAdded([.. g.Select((x, i) => dy[i] * x * Sig(x))], du, 2e-6, "dup");
        }
    }

    [Theory, InlineData(1, 1), InlineData(70, 1), InlineData(70, 7), InlineData(210, 3), InlineData(4096, 64), InlineData(6000, 3000), InlineData(200000, 5), InlineData(100000, 50000)]
    public void The_second_operand_repeats(int n, int period)
    {
        Real[] a = Trial.Draw(n, 1), b = Trial.Draw(period, 2), y = new Real[n];
        for (int i = 0; i < period; i++) b[i] += b[i] > 0 ? 1 : -1;
        Map.Add(a, b, y); for (int i = 0; i < n; i++) Assert.Equal(a[i] + b[i % period], y[i]);
        Map.Sub(a, b, y); for (int i = 0; i < n; i++) Assert.Equal(a[i] - b[i % period], y[i]);
        Map.Mul(a, b, y); for (int i = 0; i < n; i++) Assert.Equal(a[i] * b[i % period], y[i]);
        Map.Div(a, b, y); for (int i = 0; i < n; i++) Assert.Equal(a[i] / b[i % period], y[i]);
        Array.Fill(y, 1); Map.MulAdd(a, b, y); for (int i = 0; i < n; i++) Trial.Near(1 + (double)a[i] * b[i % period], y[i], 1e-6, 1e-6, "muladd");
        Array.Fill(y, 1); Map.AddTo(a, y); for (int i = 0; i < n; i++) Assert.Equal(1 + a[i], y[i]);
        Array.Fill(y, 1); Map.AddScaled(a, -2, y); for (int i = 0; i < n; i++) Assert.Equal(1 - 2 * a[i], y[i]);
        a.CopyTo(y, 0); Map.Add(y, b, y); for (int i = 0; i < n; i++) Assert.Equal(a[i] + b[i % period], y[i]);
    }

    [Fact]
    public void An_operand_that_does_not_divide_is_refused()
    {
        Assert.Contains("does not divide", Assert.Throws<ArgumentException>(() => Map.Add(new Real[10], new Real[3], new Real[10])).Message);
        Assert.Contains("does not divide", Assert.Throws<ArgumentException>(() => Map.SumTo(new Real[10], new Real[3])).Message);
        Assert.Contains("expected as many as a, 10", Assert.Throws<ArgumentException>(() => Map.MulSumTo(new Real[10], new Real[5], new Real[5])).Message);
        Assert.Contains("needs 10", Assert.Throws<ArgumentException>(() => Map.Apply<Exp>(new Real[10], new Real[9])).Message);
    }

    [Theory, InlineData(1, 1), InlineData(7, 1), InlineData(1000, 1), InlineData(300000, 1), InlineData(2100, 3), InlineData(70, 7), InlineData(1400, 70), InlineData(60000, 200), InlineData(27000, 9000), InlineData(200, 200)]
    public void Sums_over_repeats_follow_the_definition_at_every_width(int n, int period)
    {
        Real[] a = Trial.Draw(n, 1), c = Trial.Draw(n, 2); double[] sum = new double[period], dot = new double[period];
        for (int i = 0; i < n; i++) a[i] += 1;
        for (int i = 0; i < n; i++) { sum[i % period] += a[i]; dot[i % period] += (double)a[i] * c[i]; }
        for (int j = 0; j < period; j++) { sum[j]++; dot[j]++; }
        foreach (var width in Trial.Widths)
        {
            var y = Trial.Ones(period); Columns.Sum(a, default, y, width); Trial.Close(sum, y, 1e-6, $"sum at {width}");
            y = Trial.Ones(period); Columns.Sum(a, c, y, width); Trial.Close(dot, y, 3e-6 * Math.Sqrt(n / period), $"dot at {width}");
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_thread_count()
    {
        Real[] a = Trial.Draw(200_000, 1), c = Trial.Draw(200_000, 2);
        foreach (int period in new[] { 1, 5, 1000, 10000 }) Trial.OnAnyThreads(() => { var y = new Real[period]; Map.SumTo(a, y); Map.MulSumTo(a, c, y); return y; });
        Trial.OnAnyThreads(() => { var y = new Real[a.Length]; Map.Apply<Silu>(a, y); Map.Backward<Silu>(a, y, c, y.ToArray()); Map.Mul(y, a.AsSpan(0, 50), y); return y; });
    }
}
