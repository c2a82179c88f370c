using System.Numerics.Tensors;
using BenchmarkDotNet.Attributes;
using Fovea.Kernels;
namespace Fovea.Bench;

/// <summary>exp of 4096 numbers in the first-level cache, in numbers per nanosecond.</summary>
public unsafe class Exponentials : IWorks
{
    const int N = 4096;
    public double Work => N;
    Real* x, y;

    [GlobalSetup] public void Setup() { x = Data.Aligned(N); y = Data.Aligned(N); }
    /// <summary>2^x inside the attention kernels.</summary>
    [Benchmark(Baseline = true)] public void Lanes() { var body = new Body(x, y); Wide.Run(ref body); }
    /// <summary>e^x as activations use it.</summary>
    [Benchmark] public void Mapped() => Map.Apply<Exp>(new(x, N), new(y, N));
    [Benchmark] public void Framework() => TensorPrimitives.Exp<Real>(new ReadOnlySpan<Real>(x, N), new(y, N));
    [Benchmark] public void OneByOne() { for (int i = 0; i < N; i++) y[i] = Real.Exp(x[i]); }

    readonly struct Body(Real* x, Real* y) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct { for (int i = 0; i < N; i += TLanes.Count) TLanes.Store(y + i, TLanes.Exp2(TLanes.Load(x + i))); }
    }
}

/// <summary>Norms and softmax of rows from short to long, at a constant number of numbers, in numbers per nanosecond.</summary>
public class Norms : IWorks
{
    const int All = 1 << 20;
    [Params(64, 256, 1000, 4096)] public int Columns { get; set; }
    int Rows => All / Columns;
    public double Work => (double)Rows * Columns;
    Real[] x = [], y = [], gain = [], bias = [], mean = [], rstd = [], dx = [], dgain = [], dbias = [];

    [GlobalSetup]
    public void Setup()
    {
        (x, y, dx, mean, rstd) = (Data.Array(All), new Real[All], new Real[All], new Real[Rows], new Real[Rows]);
        (gain, bias, dgain, dbias) = (Data.Array(Columns), Data.Array(Columns), new Real[Columns], new Real[Columns]);
        LayerNorm();
    }
    [Benchmark(Baseline = true)] public void LayerNorm() => Kernels.Rows.LayerNorm(x, gain, bias, y, mean, rstd, Rows, Columns, (Real)1e-5);
    [Benchmark] public void LayerNormBackward() => Kernels.Rows.LayerNormBackward(x, gain, mean, rstd, y, dx, dgain, dbias, Rows, Columns);
    [Benchmark] public void RmsNorm() => Kernels.Rows.RmsNorm(x, gain, y, rstd, Rows, Columns, (Real)1e-5);
    [Benchmark] public void Softmax() => Kernels.Rows.Softmax(x, y, Rows, Columns);
}
