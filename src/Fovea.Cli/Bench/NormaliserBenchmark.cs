using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Cli;

/// <summary>Normalisers other than softmax, full and causal, as the time of fused softmax over theirs: 1 means that they cost nothing.</summary>
sealed class NormaliserBenchmark() : Benchmark("attention-normalisers", "sigmoid, ReLU, clipped softmax and softplus rows against fused softmax")
{
    const int Dim = 64;

    public override void Run(Meter meter)
    {
        foreach (int n in meter.Sizes([1024], [2048]))
        {
            Against(meter, n, "", new Everything(), c => c.Pairs);
            Against(meter, n, ", causal", new Causal(), c => c.CausalPairs);
        }
    }

    static void Against<T>(Meter meter, int n, string suffix, T pattern, Func<AttentionCall, double> pairs) where T : struct, IPattern
    {
        var softmax = new AttentionCall(n, Dim); Real shift = -Real.Log(n);
        (string Name, Action<AttentionCall> Forward, Action<AttentionCall> Backward)[] kinds =
        [
            ("sigmoid", c => c.Forward<Shifted, T, SigmoidWeights>(new(shift), pattern), c => c.Backward<Shifted, T, SigmoidWeights>(new(shift), pattern)),
            ("ReLU", c => c.Forward<Plain, T, ReluWeights>(default, pattern), c => c.Backward<Plain, T, ReluWeights>(default, pattern)),
            Rows("clipped softmax", pattern, new ClippedSoftmax((Real)(-4.0 / n), 1)),
            Rows("softplus", pattern, new SoftplusWeights(0)),
            Rows("softplus, re-weighted", pattern, new SoftplusWeights(3)),
        ];
        AttentionCall[] calls = [.. kinds.Select(_ => new AttentionCall(n, Dim))];
        var f = meter.Measure([() => softmax.Forward(pattern), .. kinds.Select<(string, Action<AttentionCall> Run, Action<AttentionCall>), Action>((k, i) => () => k.Run(calls[i]))]);
        var b = meter.Measure([() => softmax.Backward(pattern), .. kinds.Select<(string, Action<AttentionCall>, Action<AttentionCall> Run), Action>((k, i) => () => k.Run(calls[i]))]);
        for (int i = 0; i < kinds.Length; i++)
        {
            meter.Add($"attention forward, {kinds[i].Name}{suffix}", softmax.Size, f[i + 1], softmax.ForwardFlops * pairs(softmax), softmax.ForwardBytes, new("softmax", f[0].Best / f[i + 1].Best));
            meter.Add($"attention backward, {kinds[i].Name}{suffix}", softmax.Size, b[i + 1], softmax.BackwardFlops * pairs(softmax), softmax.BackwardBytes, new("softmax", b[0].Best / b[i + 1].Best));
        }
    }

    static (string, Action<AttentionCall>, Action<AttentionCall>) Rows<T, TWeights>(string name, T pattern, TWeights weights) where T : struct, IPattern where TWeights : struct, IRowNormaliser =>
        (name, c => c.Rows(pattern, weights), c => c.RowsBackward(pattern, weights));
}
