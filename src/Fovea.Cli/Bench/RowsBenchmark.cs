using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>What a training step does besides products, on more numbers than the caches hold.</summary>
sealed class RowsBenchmark() : Benchmark("rowops", "norms, softmax, GELU, cross-entropy and AdamW")
{
    const int Rows = 8192, Columns = 1024, Words = 32_000, Texts = 1024;
    // Multiply-adds or as long ones per number, roughly: the polynomial of exp is the most of it.
    const double Norm = 4, Exp = 12, Curve = 24, Adam = 12;

    public override void Run(Meter meter)
    {
        const int all = Rows * Columns; string size = $"{Rows}×{Columns}"; Real eps = (Real)1e-5;
        var x = Draw(all); var y = new Real[all]; var dy = Draw(all); var dx = new Real[all];
        var gain = Draw(Columns); var bias = Draw(Columns); var dgain = new Real[Columns]; var dbias = new Real[Columns]; var mean = new Real[Rows]; var rstd = new Real[Rows];
        // moved: how often a number of x's size is read or written.
        void Row(string name, double moved, double work, Action run) => meter.Row(name, size, 2 * work * all, moved * all * sizeof(Real), run);
        Row("layer norm forward", 2, Norm, () => Kernels.Rows.LayerNorm(x, gain, bias, y, mean, rstd, Rows, Columns, eps));
        Row("layer norm backward", 4, 2 * Norm, () => Kernels.Rows.LayerNormBackward(x, gain, mean, rstd, dy, dx, dgain, dbias, Rows, Columns));
        Row("RMS norm forward", 2, Norm, () => Kernels.Rows.RmsNorm(x, gain, y, rstd, Rows, Columns, eps));
        Row("RMS norm backward", 4, 2 * Norm, () => Kernels.Rows.RmsNormBackward(x, gain, rstd, dy, dx, dgain, Rows, Columns));
        Row("softmax forward", 2, Exp, () => Kernels.Rows.Softmax(x, y, Rows, Columns));
        Row("softmax backward", 4, Norm, () => Kernels.Rows.SoftmaxBackward(y, dy, dx, Rows, Columns));
        Row("GELU forward", 2, Curve, () => Map.Apply<Gelu>(x, y));
        Row("GELU backward", 4, Curve, () => Map.Backward<Gelu>(x, y, dy, dx));
        CrossEntropy(meter);
        AdamW(meter);
    }

    static void CrossEntropy(Meter meter)
    {
        const double all = (double)Texts * Words; string size = $"{Texts}×{Words}";
        var logits = Draw(Texts * Words); var dlogits = new Real[Texts * Words]; var losses = new Real[Texts]; var lse = new Real[Texts]; var one = new Real[Texts]; Array.Fill(one, 1);
        var targets = new int[Texts]; for (int r = 0; r < Texts; r++) targets[r] = r * 31 % Words;
        meter.Row("cross-entropy forward", size, 2 * Exp * all, all * sizeof(Real), () => Kernels.Rows.CrossEntropy(logits, targets, losses, lse, Texts, Words));
        meter.Row("cross-entropy backward", size, 2 * Exp * all, 3 * all * sizeof(Real), () => Kernels.Rows.CrossEntropyBackward(logits, targets, lse, one, dlogits, Texts, Words));
    }

    static void AdamW(Meter meter)
    {
        const int n = 8 << 20; var weight = Draw(n); var grad = Draw(n); var m = new Real[n]; var v = new Real[n];
        // Reads weight, gradient and two moments; writes three of them.
        meter.Row("AdamW step", "8 Mi weights", 2 * Adam * n, 7.0 * n * sizeof(Real), () => Updates.AdamW(weight, grad, m, v, 1e-4, 0.9, 0.95, 1e-8, 0.1, 10));
    }
}
