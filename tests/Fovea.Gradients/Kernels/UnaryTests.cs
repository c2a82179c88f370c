using Fovea.Kernels;
namespace Fovea.GradientTests;

/// <summary>The functions that compute differently in double: their values to 1e-14 and their slopes against central differences.</summary>
public sealed class UnaryTests
{
    static double Phi(double x)        // Simpson's rule on the density
    {
        const int n = 20000; double h = (x + 12) / n, s = Math.Exp(-72) + Math.Exp(-x * x / 2);
        for (int i = 1; i < n; i++) { double t = -12 + i * h; s += (i % 2 == 0 ? 2 : 4) * Math.Exp(-t * t / 2); }
        return s * h / 3 / Math.Sqrt(2 * Math.PI);
    }

    static void Check<TOp>(Func<double, double> f, double from, double to) where TOp : struct, IUnary
    {
        const int n = 203; Real[] x = new Real[n], y = new Real[n], dx = new Real[n], dy = new Real[n], up = new Real[n], down = new Real[n], moved = new Real[n]; const double h = 1e-5;
        for (int i = 0; i < n; i++) { x[i] = from + (to - from) * (i + 0.37) / n; dy[i] = 1; }
        Map.Apply<TOp>(x, y); Map.Backward<TOp>(x, y, dy, dx);
        for (int i = 0; i < n; i++) moved[i] = x[i] + h;
        Map.Apply<TOp>(moved, up);
        for (int i = 0; i < n; i++) moved[i] = x[i] - h;
        Map.Apply<TOp>(moved, down);
        for (int i = 0; i < n; i++)
        {
            Assert.True(Math.Abs(f(x[i]) - y[i]) <= 1e-14 * Math.Max(1, Math.Abs(y[i])) * 10, $"{typeof(TOp).Name}({x[i]}) is {y[i]}, expected {f(x[i])}");
            Assert.True(Math.Abs((up[i] - down[i]) / (2 * h) - dx[i]) <= 1e-8 * Math.Max(1, Math.Abs(dx[i])), $"slope of {typeof(TOp).Name} at {x[i]} is {dx[i]}, expected {(up[i] - down[i]) / (2 * h)}");
        }
    }

    [Fact] public void Tanh_and_softplus_are_exact() { Check<Tanh>(Math.Tanh, -5, 5); Check<Softplus>(x => Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x))), -8, 8); }
    [Fact] public void Gelu_with_erf_is_exact() => Check<GeluErf>(x => x * Phi(x), -6, 6);
    [Fact] public void Sigmoid_silu_and_gelu_are_exact() { Check<Sigmoid>(x => 1 / (1 + Math.Exp(-x)), -30, 30); Check<Silu>(x => x / (1 + Math.Exp(-x)), -30, 30); Check<Gelu>(x => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))), -6, 6); }
    [Fact] public void Exp_log_and_the_feature_map_are_exact() { Check<Exp>(Math.Exp, -5, 5); Check<Log>(Math.Log, 0.5, 50); Check<EluPlusOne>(x => x > 0 ? x + 1 : Math.Exp(x), -5, 5); Check<Sin>(Math.Sin, -9, 9); Check<Cos>(Math.Cos, -9, 9); }
}
