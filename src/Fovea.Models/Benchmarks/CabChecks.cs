using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>What a layer costs at a length: seconds of a forward pass, and bytes that it has at once.</summary>
public sealed record CabCost(int Length, double Seconds, long Bytes);

/// <summary>What CAB checks and measures of a mechanism without training it (§3.1 and §4.3).</summary>
[From("cab", "§3.1, §4.3")]
public static class CabChecks
{
    const int Channels = 64, Heads = 4;
    public static AttentionConfig Config(bool causal, int length = 128) => new(Channels, Heads, Causal: causal, Length: length);

    /// <summary>The largest change of the outputs of the first 5, 17 and 40 of 64 queries, of their own tokens or of a context, when the later ones are replaced: 0 if nothing depends on later queries.</summary>
    public static double Leak(Attention layer, bool cross, Rng rng)
    {
        using var scope = Scope.NoGrad();
        Tensor x = Tensor.Normal(rng["x"], [1, 64, Channels]), other = Tensor.Normal(rng["other"], x.Shape), context = Tensor.Normal(rng["context"], [1, 50, Channels]); double worst = 0;
        Tensor Run(Tensor t) => cross ? layer.Forward(t, context, Pass.Eval) : layer.Forward(t, Pass.Eval);
        var whole = Run(x);
        foreach (int n in (int[])[5, 17, 40]) worst = Math.Max(worst, Apart(Run(Tensor.Concat(1, x.Rows(0, n), other.Rows(n, 64))).Rows(0, n), whole.Rows(0, n)));
        return worst;
    }

    /// <summary>The largest difference between a run over 64 tokens and one that goes on from a memory, 30 tokens and then one by one.</summary>
    public static double Steps(Attention layer, Rng rng)
    {
        using var scope = Scope.NoGrad();
        var x = Tensor.Normal(rng["x"], [1, 64, Channels]); var whole = layer.Forward(x, Pass.Eval); var pass = new Pass { Memory = new() }; double worst = Apart(layer.Forward(x.Rows(0, 30), pass), whole.Rows(0, 30));
        for (int t = 30; t < 64; t++) worst = Math.Max(worst, Apart(layer.Forward(x.Rows(t, t + 1), pass), whole.Rows(t, t + 1)));
        return worst;
    }

    static double Apart(Tensor a, Tensor b)
    {
        double worst = 0;
        for (int i = 0; i < a.Shape.Size; i++) worst = Real.IsNaN(a.Span[i] - b.Span[i]) ? double.PositiveInfinity : Math.Max(worst, Math.Abs(a.Span[i] - b.Span[i]));
        return worst;
    }

    /// <summary>
    /// Costs of layers at each length, one forward pass over one row of 64 channels and four heads; seconds are the fastest of so many rounds, in which the layers take turns, so that what disturbs one disturbs all.
    /// peak says how many bytes an action has at once: those of tensors if null.
    /// </summary>
    public static IReadOnlyList<CabCost>[] Measure(IReadOnlyList<(Func<int, Attention> At, bool Reference)> layers, IReadOnlyList<int> lengths, int rounds, TimeProvider clock, Func<Action, long>? peak = null, CancellationToken cancel = default)
    {
        List<CabCost>[] costs = [.. layers.Select(_ => new List<CabCost>())];
        foreach (int n in lengths)
        {
            var made = layers.Select(l => l.At(n)).ToList(); var best = new double[layers.Count]; Array.Fill(best, double.PositiveInfinity); var bytes = new long[layers.Count];
            using var outer = Scope.NoGrad();
            var x = Tensor.Normal(new Rng(1)["costs"], [1, n, Channels]);
            for (int round = -1; round < rounds; round++)
                for (int i = 0; i < made.Count; i++)
                {
                    cancel.ThrowIfCancellationRequested();
                    void Run() { using var scope = Scope.NoGrad(); made[i].Forward(x, new Pass { Reference = layers[i].Reference }); }
                    // The first round compiles, and counts bytes.
                    if (round < 0) { bytes[i] = (peak ?? Diagnostics.PeakBytes)(Run); continue; }
                    long start = clock.GetTimestamp(); Run();
                    best[i] = Math.Min(best[i], clock.GetElapsedTime(start).TotalSeconds);
                }
            for (int i = 0; i < made.Count; i++) costs[i].Add(new(n, best[i], bytes[i]));
        }
        return costs;
    }
}
