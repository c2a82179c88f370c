using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>Softmax attention in which every query sees every key.</summary>
sealed class AttentionBenchmark() : Benchmark("attention", "softmax attention forward, every key seen")
{
    public override void Run(Meter meter)
    {
        foreach (var (n, d) in Sizes(meter)) { var call = new AttentionCall(n, d); meter.Row("attention forward", call.Size, call.ForwardFlops * call.Pairs, call.ForwardBytes, () => call.Forward(new Everything())); }
    }
    /// <summary>Tokens and head sizes of all attention benchmarks.</summary>
    public static (int Tokens, int Dim)[] Sizes(Meter meter) => meter.Sizes([(512, 64), (512, 128), (2048, 64)], [(2048, 128), (8192, 64), (8192, 128)]);
}

sealed class CausalAttentionBenchmark() : Benchmark("attention-causal", "softmax attention forward, only keys before the query seen")
{
    public override void Run(Meter meter)
    {
        foreach (var (n, d) in AttentionBenchmark.Sizes(meter)) { var call = new AttentionCall(n, d); meter.Row("attention forward, causal", call.Size, call.ForwardFlops * call.CausalPairs, call.ForwardBytes, () => call.Forward(new Causal())); }
    }
}

sealed class AttentionBackwardBenchmark() : Benchmark("attention-backward", "softmax attention backward, every key seen and causal")
{
    public override void Run(Meter meter)
    {
        foreach (var (n, d) in AttentionBenchmark.Sizes(meter))
        {
            var call = new AttentionCall(n, d);
            meter.Row("attention backward", call.Size, call.BackwardFlops * call.Pairs, call.BackwardBytes, () => call.Backward(new Everything()));
            call.Forget();
            meter.Row("attention backward, causal", call.Size, call.BackwardFlops * call.CausalPairs, call.BackwardBytes, () => call.Backward(new Causal()));
        }
    }
}
