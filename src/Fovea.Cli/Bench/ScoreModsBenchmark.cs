using System.Numerics.Tensors;
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

    /// <summary>s / T</summary>
    readonly record struct Temperature(Real T) : IScore
    {
        public Real Of(Real raw, int head, int query, int key) => raw / T;
        public Real Slope(Real raw, int head, int query, int key) => 1 / T;
        public void Row(Span<Real> raw, int head, int query, int firstKey) => TensorPrimitives.Multiply(raw, 1 / T, raw);
        public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) => TensorPrimitives.Multiply(gradient, 1 / T, gradient);
    }

    /// <summary>s + b_h</summary>
    readonly record struct HeadBias(Real[] B) : IScore
    {
        public Real Of(Real raw, int head, int query, int key) => raw + B[head];
        public Real Slope(Real raw, int head, int query, int key) => 1;
        public void Row(Span<Real> raw, int head, int query, int firstKey) => TensorPrimitives.Add(raw, B[head], raw);
        public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) { }
    }

    /// <summary>max(0, s), each entry alone.</summary>
    readonly struct ReluWeights : INormaliser
    {
        public static void Weights(Span<Real> logits) => TensorPrimitives.Max(logits, 0, logits);
        public static void Slope(ReadOnlySpan<Real> weights, Span<Real> gradient)
        {
            for (int j = 0; j < weights.Length; j++) gradient[j] = weights[j] > 0 ? gradient[j] : 0;
        }
    }
}
