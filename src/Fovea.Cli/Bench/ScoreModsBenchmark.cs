using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Cli;

/// <summary>Scores and normalisers other than the plain ones, as the time of plain attention over theirs: 1 means that they cost nothing.</summary>
sealed class ScoreModsBenchmark() : Benchmark("attention-score-mods", "bias, cap, temperature, sigmoid and ReLU against plain softmax attention")
{
    public override void Run(Meter meter)
    {
        foreach (int n in meter.Sizes([512], [2048]))
        {
            Real shift = -Real.Log(n);
            Against<Alibi, SoftmaxWeights>(meter, n, "ALiBi", new(8));
            Against<SoftCap, SoftmaxWeights>(meter, n, "soft cap", new(50));
            Against<Temperature, SoftmaxWeights>(meter, n, "temperature", new((Real)0.7));
            Against<HeadBias, SoftmaxWeights>(meter, n, "bias per head", new(Draw(8)));
            Against<Shifted, SigmoidWeights>(meter, n, "sigmoid", new(shift));
            Against<Plain, ReluWeights>(meter, n, "ReLU", new());
        }
    }

    static void Against<TScore, TWeights>(Meter meter, int n, string name, TScore score) where TScore : struct, IScore where TWeights : struct, INormaliser
    {
        var plain = new AttentionCall(n, 64); var mod = new AttentionCall(n, 64); var everything = new Everything();
        var f = meter.Measure(() => plain.Forward(everything), () => mod.Forward<TScore, Everything, TWeights>(score, everything));
        meter.Add($"attention forward, {name}", plain.Size, f[1], plain.ForwardFlops * plain.Pairs, plain.ForwardBytes, new("plain", f[0].Best / f[1].Best));
        var b = meter.Measure(() => plain.Backward(everything), () => mod.Backward<TScore, Everything, TWeights>(score, everything));
        meter.Add($"attention backward, {name}", plain.Size, b[1], plain.BackwardFlops * plain.Pairs, plain.BackwardBytes, new("plain", b[0].Best / b[1].Best));
    }
}
