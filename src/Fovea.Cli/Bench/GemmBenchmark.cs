using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>Dense products: squares, shapes of transformers, few rows, and many small ones.</summary>
sealed class GemmBenchmark() : Benchmark("gemm", "dense products: squares, shapes of transformers, few rows, batches")
{
    public override void Run(Meter meter)
    {
        foreach (int n in meter.Sizes([256, 512], [1024, 2048])) { NN(meter, n, n, n); NT(meter, n, n, n); TN(meter, n, n, n); }
        foreach (var (m, k, n) in new[] { (512, 1408, 512), (2048, 256, 688) }) { NN(meter, m, k, n); NT(meter, m, k, n); if (!meter.Quick) TN(meter, m, k, n); }
        // Scores and their product with the values, whose k or n is the size of a head; and a small result of a long sum.
        NT(meter, 2048, 64, 2048); NN(meter, 2048, 2048, 64); NN(meter, 64, 4096, 64);
        // Few rows: every weight is read for little work, as in decoding.
        foreach (int m in meter.Sizes([1, 8], [32])) { NN(meter, m, 4096, 4096); NT(meter, m, 4096, 4096); }
        NN(meter, 64, 64, 64, 256); NT(meter, 64, 64, 64, 256);
    }

    static void NN(Meter meter, int m, int k, int n, int batch = 1) => Product(meter, "gemm nn", m, k, n, batch, (a, b, c) => Gemm.NN(a, b, c, m, k, n, batch));
    static void NT(Meter meter, int m, int k, int n, int batch = 1) => Product(meter, "gemm nt", m, k, n, batch, (a, b, c) => Gemm.NT(a, b, c, m, k, n, batch));
    static void TN(Meter meter, int m, int k, int n) => Product(meter, "gemm tn", m, k, n, 1, (a, b, c) => Gemm.TN(a, b, c, k, m, n));

    static void Product(Meter meter, string name, int m, int k, int n, int batch, Action<Real[], Real[], Real[]> run)
    {
        long x = batch; var a = Draw(x * m * k); var b = Draw(x * k * n); var c = new Real[x * m * n];
        meter.Row(name, (batch > 1 ? $"{batch} × " : "") + $"{m}×{k}×{n}", 2.0 * x * m * k * n, sizeof(Real) * ((double)a.Length + b.Length + c.Length), () => run(a, b, c));
    }
}
