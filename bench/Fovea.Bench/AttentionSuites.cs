using System.Runtime.Intrinsics;
using BenchmarkDotNet.Attributes;
using Fovea.Kernels;
namespace Fovea.Bench;

/// <summary>Lengths around the sizes of tiles and windows, and head sizes that fill registers or do not.</summary>
public class AttentionLengths : IWorks
{
    const int Heads = 4;
    [Params(8, 63, 64, 65, 191, 192, 193, 512, 1000, 2048)] public int Tokens { get; set; }
    [Params(32, 64, 80, 128)] public int Dim { get; set; }
    public double Work => 4.0 * Heads * Tokens * Tokens * Dim;
    Real[] q = [], k = [], v = [], o = [], lse = [], grad = [], dq = [], dk = [], dv = []; AttentionSize s;

    [GlobalSetup]
    public void Setup()
    {
        int all = Heads * Tokens * Dim; s = new(1, Heads, Heads, Tokens, Tokens, Dim, Dim);
        (q, k, v, grad, o, lse) = (Data.Array(all), Data.Array(all), Data.Array(all), Data.Array(all), new Real[all], new Real[Heads * Tokens]); (dq, dk, dv) = (new Real[all], new Real[all], new Real[all]);
        Forward();
    }
    [Benchmark(Baseline = true)] public void Forward() => Flash.Forward(s, q, k, v, 0, default, new Plain(), new Everything(), o, lse);
    [Benchmark] public void ForwardCausal() => Flash.Forward(s, q, k, v, 0, default, new Plain(), new Causal(), o, lse);
    /// <summary>Two and a half times the work of forward, which the rate does not count.</summary>
    [Benchmark] public void Backward() => Flash.Backward(s, q, k, v, 0, default, new Plain(), new Everything(), o, lse, grad, dq, dk, dv);
}

/// <summary>The same call at each register width, emulated where the machine lacks it: tiles are as wide as registers.</summary>
public class AttentionWidths : IWorks
{
    const int Heads = 4, Dim = 64;
    [Params(128, 1024)] public int Tokens { get; set; }
    public double Work => 4.0 * Heads * Tokens * Tokens * Dim;
    Real[] q = [], k = [], v = [], o = [], lse = []; AttentionSize s;

    [GlobalSetup]
    public void Setup()
    {
        int all = Heads * Tokens * Dim; s = new(1, Heads, Heads, Tokens, Tokens, Dim, Dim);
        (q, k, v, o, lse) = (Data.Array(all), Data.Array(all), Data.Array(all), new Real[all], new Real[Heads * Tokens]);
    }
    [Benchmark] public void Bits512() => At<Fixed<Lanes512, Vector512<Real>>>();
    [Benchmark(Baseline = true)] public void Bits256() => At<Fixed<Lanes256, Vector256<Real>>>();
    [Benchmark] public void Bits128() => At<Fixed<Lanes128, Vector128<Real>>>();
    void At<TWidth>() where TWidth : struct, IWidth => Flash.Forward<Plain, Everything, SoftmaxWeights, TWidth>(default, s, q, k, v, 0, default, new(), new(), null, o, lse);
}

/// <summary>One query over a cache: from what fits into a cache of the processor to what does not, and with heads that share keys.</summary>
public class Decode : IWorks
{
    const int Heads = 32, Dim = 128;
    [Params(64, 512, 2048, 8192)] public int Keys { get; set; }
    [Params(32, 8, 1)] public int Groups { get; set; }
    public double Work => 4.0 * Heads * Keys * Dim;
    Real[] q = [], k = [], v = [], o = [], lse = []; AttentionSize s;

    [GlobalSetup]
    public void Setup()
    {
        s = new(1, Heads, Groups, 1, Keys, Dim, Dim);
        (q, k, v, o, lse) = (Data.Array(Heads * Dim), Data.Array((long)Groups * Keys * Dim), Data.Array((long)Groups * Keys * Dim), new Real[Heads * Dim], new Real[Heads]);
    }
    [Benchmark] public void Token() => Flash.Forward(s, q, k, v, Keys - 1, default, new Plain(), new Causal(), o, lse);
}
