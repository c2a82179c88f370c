using System.Runtime.Intrinsics;
using Fovea.Kernels;
namespace Fovea.Units;

[Collection("threads")]
public sealed class GemmTests
{
    static readonly int[] Sizes = [1, 2, 5, 7, 13, 70, 200];

    public static Real[] Numbers(int n, int seed)
    {
        var x = new Real[n]; ulong s = (ulong)seed * 0x9E3779B97F4A7C15 + 1;
        for (int i = 0; i < n; i++) { s ^= s << 13; s ^= s >> 7; s ^= s << 17; x[i] = (Real)((s >> 40) / (double)(1 << 24) - 0.5) * 2; }
        return x;
    }

    static double[] Expected(Gemm.Kind kind, Real[] a, Real[] b, Real[] c, int m, int k, int n, int batch, bool add)
    {
        int rows = kind == Gemm.Kind.TN ? k : m, inner = kind == Gemm.Kind.TN ? m : k;
        var y = new double[batch * rows * n];
        for (int x = 0; x < batch; x++) for (int i = 0; i < rows; i++) for (int j = 0; j < n; j++)
        {
            double sum = add ? c[(x * rows + i) * n + j] : 0;
            for (int t = 0; t < inner; t++)
            {
                double u = kind == Gemm.Kind.TN ? a[(x * m + t) * k + i] : a[(x * m + i) * k + t];
                double v = kind == Gemm.Kind.NT ? b[(x * n + j) * k + t] : b[(x * inner + t) * n + j];
                sum += u * v;
            }
            y[(x * rows + i) * n + j] = sum;
        }
        return y;
    }

    // The guard numbers on both sides of c must survive.
    static void Agrees(Gemm.Kind kind, int m, int k, int n, int batch, bool add, Action<Real[], Real[], Memory<Real>> run)
    {
        const int Rim = 37;
        var a = Numbers(batch * m * k, 1); var b = Numbers(batch * (kind == Gemm.Kind.TN ? m : k) * n, 2);
        int size = batch * (kind == Gemm.Kind.TN ? k : m) * n; var c = Numbers(size, 3);
        var whole = new Real[size + 2 * Rim]; Array.Fill(whole, 77); c.CopyTo(whole, Rim);
        if (!add) Array.Fill(whole, Real.NaN, Rim, size);
        Scratch.Poison = true;
        try { run(a, b, whole.AsMemory(Rim, size)); } finally { Scratch.Poison = false; }
        var y = Expected(kind, a, b, c, m, k, n, batch, add); int inner = kind == Gemm.Kind.TN ? m : k;
        for (int i = 0; i < size; i++) Assert.True(Math.Abs(whole[Rim + i] - y[i]) <= 1e-6 * (inner + 4), $"{kind} {m}×{k}×{n} × {batch}, add {add}: [{i}] is {whole[Rim + i]}, expected {y[i]}");
        Assert.All(whole[..Rim], x => Assert.Equal(77, x)); Assert.All(whole[^Rim..], x => Assert.Equal(77, x));
    }

    static void Public(Gemm.Kind kind, Real[] a, Real[] b, Memory<Real> c, int m, int k, int n, int batch, bool add)
    {
        switch (kind, add)
        {
            case (Gemm.Kind.NN, true): Gemm.AddNN(a, b, c.Span, m, k, n, batch); break;
            case (Gemm.Kind.NT, true): Gemm.AddNT(a, b, c.Span, m, k, n, batch); break;
            case (Gemm.Kind.TN, true): Gemm.AddTN(a, b, c.Span, m, k, n, batch); break;
            case (Gemm.Kind.NN, false): Gemm.NN(a, b, c.Span, m, k, n, batch); break;
            case (Gemm.Kind.NT, false): Gemm.NT(a, b, c.Span, m, k, n, batch); break;
            default: Gemm.TN(a, b, c.Span, m, k, n, batch); break;
        }
    }

    [Fact]
    public void Equals_the_double_loop_at_every_combination_of_odd_sizes()
    {
        foreach (var kind in Enum.GetValues<Gemm.Kind>())
            foreach (int m in Sizes) foreach (int k in Sizes) foreach (int n in Sizes)
                Agrees(kind, m, k, n, 1, (m + k + n) % 2 == 0, (a, b, c) => Public(kind, a, b, c, m, k, n, 1, (m + k + n) % 2 == 0));
    }

    [Theory]
    [InlineData(3, 600, 33)]
    [InlineData(100, 513, 130)]
    [InlineData(200, 1000, 97)]
    [InlineData(40, 257, 700)]
    [InlineData(1, 5000, 300)]
    [InlineData(1, 70, 9001)]
    [InlineData(5, 1203, 1100)]
    [InlineData(8, 129, 700)]
    [InlineData(7, 4111, 7)]
    [InlineData(70, 2100, 71)]
    [InlineData(90, 800, 333)]
    [InlineData(333, 800, 90)]
    [InlineData(130, 520, 530)]
    [InlineData(201, 2048, 203)]
    public void Equals_the_double_loop_when_the_sum_is_cut_into_slices(int m, int k, int n)
    {
        foreach (var kind in Enum.GetValues<Gemm.Kind>())
            foreach (bool add in new[] { false, true })
                Agrees(kind, kind == Gemm.Kind.TN ? k : m, kind == Gemm.Kind.TN ? m : k, n, 1, add, (a, b, c) => Public(kind, a, b, c, kind == Gemm.Kind.TN ? k : m, kind == Gemm.Kind.TN ? m : k, n, 1, add));
    }

    [Theory]
    [InlineData(9, 7, 5, 3)]
    [InlineData(3, 70, 64, 17)]
    [InlineData(2, 150, 150, 150)]
    [InlineData(50, 1, 8, 8)]
    [InlineData(1000, 2, 1, 3)]
    public void Products_of_a_batch_do_not_mix(int batch, int m, int k, int n)
    {
        foreach (var kind in Enum.GetValues<Gemm.Kind>())
            foreach (bool add in new[] { false, true })
                Agrees(kind, m, k, n, batch, add, (a, b, c) => Public(kind, a, b, c, m, k, n, batch, add));
    }

    static void Width<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        foreach (var kind in Enum.GetValues<Gemm.Kind>())
            foreach (var (rows, steps, n, batch) in new[] { (1, 7, 70, 1), (3, 70, 5, 2), (2, 20, 40, 1), (13, 33, 31, 3), (23, 300, 70, 1), (70, 40, 65, 1), (200, 16, 7, 1), (25, 9, 200, 1), (300, 25, 40, 1),
                (1, 1000, 203, 1), (6, 603, 70, 1), (9, 2055, 20, 1), (50, 403, 130, 1), (130, 403, 50, 1), (101, 141, 133, 1), (101, 513, 111, 1) })
                foreach (bool add in new[] { false, true })
                {
                    var (m, k) = kind == Gemm.Kind.TN ? (steps, rows) : (rows, steps);
                    Agrees(kind, m, k, n, batch, add, (a, b, c) => Gemm.Run<TLanes, V>(kind, a, b, c.Span, m, k, n, batch, add));
                }
    }

    [Fact] public void Is_right_in_512_bits() => Width<Lanes512, Vector512<Real>>();
    [Fact] public void Is_right_in_256_bits() => Width<Lanes256, Vector256<Real>>();
    [Fact] public void Is_right_in_128_bits() => Width<Lanes128, Vector128<Real>>();
    [Fact] public void Is_right_one_number_at_a_time() => Width<Lanes1, Real>();

    [Fact]
    public void Gives_the_same_bits_on_any_number_of_threads()
    {
        int before = Threads.Max;
        try
        {
            foreach (var kind in Enum.GetValues<Gemm.Kind>())
                foreach (var (m, k, n, batch) in new[] { (300, 310, 290, 1), (1, 700, 900, 1), (40, 50, 60, 20), (700, 90, 33, 1), (4, 600, 700, 1), (6, 900, 600, 1), (50, 3000, 60, 1), (60, 500, 300, 1), (3000, 60, 50, 1), (1, 3000, 70, 1), (3000, 6, 700, 1) })
                {
                    var a = Numbers(batch * m * k, 4); var b = Numbers(batch * (kind == Gemm.Kind.TN ? m : k) * n, 5); Real[]? first = null;
                    foreach (int threads in new[] { 1, 2, 3 })
                    {
                        Threads.Max = threads; var c = new Real[batch * (kind == Gemm.Kind.TN ? k : m) * n];
                        Public(kind, a, b, c, m, k, n, batch, false);
                        Assert.Equal(first ??= c, c);
                    }
                }
        }
        finally { Threads.Max = before; }
    }

    [Fact]
    public void An_empty_sum_gives_zeros_or_leaves_c_alone()
    {
        Real[] c = [5, 6, 7, 8];
        Gemm.AddNN([], [], c, 2, 0, 2); Assert.Equal([5, 6, 7, 8], c);
        Gemm.NN([], [], c, 2, 0, 2); Assert.Equal([0, 0, 0, 0], c);
        Gemm.NN([], new Real[6], c, 0, 3, 2); Assert.Equal([0, 0, 0, 0], c);
    }

    [Fact]
    public void A_nan_or_infinity_comes_through()
    {
        foreach (int m in new[] { 1, 3, 40 })
        {
            var a = Numbers(m * 30, 6); var b = Numbers(30 * 20, 7); var c = new Real[m * 20];
            a[(m - 1) * 30 + 3] = Real.NaN; Gemm.NN(a, b, c, m, 30, 20);
            for (int i = 0; i < c.Length; i++) Assert.Equal(i / 20 == m - 1, Real.IsNaN(c[i]));
            a[(m - 1) * 30 + 3] = Real.PositiveInfinity; Gemm.NN(a, b, c, m, 30, 20);
            for (int i = 0; i < c.Length; i++) Assert.Equal(i / 20 == m - 1, Real.IsInfinity(c[i]));
        }
    }

    [Fact]
    public void Says_which_span_is_too_short()
    {
        var e = Assert.Throws<ArgumentException>(() => Gemm.NN(new Real[6], new Real[11], new Real[8], 2, 3, 4));
        Assert.Equal("b holds 11 numbers, needs 12", e.Message);
        Assert.Throws<ArgumentException>(() => Gemm.NT(new Real[5], new Real[12], new Real[8], 2, 3, 4));
        Assert.Throws<ArgumentException>(() => Gemm.TN(new Real[6], new Real[8], new Real[11], 2, 3, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => Gemm.NN([], [], [], -1, 3, 4));
    }

    [Fact]
    public void Counts_its_multiply_adds() => Assert.Equal(2 * 3 * 5 * 7, Work.Count(() => Gemm.NN(new Real[30], new Real[70], new Real[42], 3, 5, 7, 2)));
}
