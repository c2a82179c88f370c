using BenchmarkDotNet.Attributes;
using Fovea.Kernels;
namespace Fovea.Bench;

/// <summary>Shapes between those that are easy: few rows, sizes beside multiples of the tile, long and short sums.</summary>
public class GemmShapes : IWorks
{
    [Params("1×1024×1024", "4×1024×1024", "6×1024×1024", "7×1024×1024", "16×1024×1024", "96×96×96", "97×97×97", "384×384×384", "385×385×385", "2048×64×2048", "2048×2048×64", "64×4096×64")]
    public string Shape { get; set; } = "1×1×1";
    int M => Size(0); int K => Size(1); int N => Size(2);
    int Size(int i) => int.Parse(Shape.Split('×')[i]);
    public double Work => 2.0 * M * K * N;
    Real[] a = [], b = [], c = []; int m, k, n;

    [GlobalSetup] public void Setup() { (m, k, n) = (M, K, N); (a, b, c) = (Data.Array(m * k), Data.Array(k * n), new Real[m * n]); }
    [Benchmark(Baseline = true)] public void NN() => Gemm.NN(a, b, c, m, k, n);
    [Benchmark] public void NT() => Gemm.NT(a, b, c, m, k, n);
    [Benchmark] public void TN() => Gemm.TN(a, b, c, k, m, n);
    [Benchmark] public void AddNN() => Gemm.AddNN(a, b, c, m, k, n);
}

/// <summary>Many small products: where the fixed cost of a call shows.</summary>
public class GemmBatches : IWorks
{
    const int Batch = 256;
    [Params(8, 16, 33, 64, 128)] public int Side { get; set; }
    public double Work => 2.0 * Batch * Side * Side * Side;
    Real[] a = [], b = [], c = [];

    [GlobalSetup] public void Setup() { int all = Batch * Side * Side; (a, b, c) = (Data.Array(all), Data.Array(all), new Real[all]); }
    [Benchmark(Baseline = true)] public void Together() => Gemm.NN(a, b, c, Side, Side, Side, Batch);
    [Benchmark] public void OneByOne() { int each = Side * Side; for (int i = 0; i < Batch; i++) Gemm.NN(a.AsSpan(i * each, each), b.AsSpan(i * each, each), c.AsSpan(i * each, each), Side, Side, Side); }
}

/// <summary>The register tile alone, out of the first-level cache: how long a sum must be before the start and the end of a tile no longer count.</summary>
public unsafe class GemmTiles : IWorks
{
    const int Calls = 64;
    [Params(8, 16, 32, 64, 128, 256)] public int Length { get; set; }
    [Params(1, 4, 6, 12)] public int Rows { get; set; }
    public double Work => 2.0 * Calls * Rows * 2 * Wide.Count * Length;
    Real* a, b, c;

    [GlobalSetup] public void Setup() { a = Data.Aligned(12 * Length); b = Data.Aligned(2 * Wide.Count * Length); c = Data.Aligned(12 * 2 * Wide.Count); }
    [Benchmark] public void Tile() { var body = new Body(a, b, c, Rows, Length); Wide.Run(ref body); }

    readonly struct Body(Real* a, Real* b, Real* c, int rows, int length) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            int wide = 2 * TLanes.Count;
            for (int i = 0; i < Calls; i++) Micro.Tile<TLanes, V>(a, 1, 12, rows, b, wide, c, wide, length, false);
        }
    }
}

/// <summary>Copies into panels, in numbers per nanosecond.</summary>
public unsafe class Packing : IWorks
{
    [Params(6, 12, 16)] public int Width { get; set; }
    [Params(64, 1024)] public int Stride { get; set; }
    const int Length = 256;
    public double Work => (double)Width * Length;
    Real* source, panel;

    [GlobalSetup] public void Setup() { source = Data.Aligned((long)Math.Max(Stride, Length) * Length + 16); panel = Data.Aligned(Length * Width); }
    [Benchmark(Baseline = true)] public void Straight() { var body = new Body(source, Stride, panel, Width); Wide.Run(ref body); }
    [Benchmark] public void Transposed() => Pack.Transposed(source, Math.Max(Stride, Length), Width, Length, panel, Width);

    readonly struct Body(Real* source, int stride, Real* panel, int width) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct => Pack.Straight<TLanes, V>(source, stride, width, Length, panel, width, Length * width);
    }
}
