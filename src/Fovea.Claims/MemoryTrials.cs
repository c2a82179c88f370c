using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>Inputs of a test-time memory, drawn, and its run in one piece and in several: shared by claims about such memories.</summary>
sealed record MemoryTrial(Tensor Q, Tensor K, Tensor V, Tensor Keep, Tensor? Momentum, Tensor Rate, Tensor[] First)
{
    const int Rows = 2;

    /// <summary>Unit queries and keys [2,N,D], values [2,N,E]; gates are logits of σ: keep is shifted by so much, steps lie between 0 and rate.</summary>
    public static MemoryTrial Draw(Rng rng, MemoryNet net, int n, int d, int e, double rate, bool momentum, double keep = 3)
    {
        var shift = Trials.Draw(rng["keep"], [Rows, n]); for (int i = 0; i < shift.Shape.Size; i++) shift.Span[i] += (Real)keep;
        var steps = Trials.Draw(rng["rate"], [Rows, n, 1]); for (int i = 0; i < steps.Shape.Size; i++) steps.Span[i] = (Real)(rate / (1 + Math.Exp(-steps.Span[i])));
        return new(Unit(Trials.Draw(rng["q"], [Rows, n, d])), Unit(Trials.Draw(rng["k"], [Rows, n, d])), Trials.Draw(rng["v"], [Rows, n, e]), shift, momentum ? Trials.Draw(rng["momentum"], [Rows, n]) : null, steps,
            [.. net.Sizes(d, e).Select((s, l) => Trials.Draw(rng["first"][l], [Rows, s.Out, s.In], 1 / Real.Sqrt(s.In)))]);
    }
    static Tensor Unit(Tensor x) { x.L2Normalise((Real)1e-6).Span.CopyTo(x.Span); return x; }

    public MemoryGates Gates => new(-(-Keep).Softplus(), Momentum is null ? null : -(-Momentum).Softplus(), Rate);
    public IEnumerable<Tensor> Inputs => [Q, K, V, Keep, .. Momentum is null ? (Tensor[])[] : [Momentum], Rate, .. First];
    public MemoryState Start => MemoryState.Start(First, Momentum is not null);

    /// <summary>Outputs, with the text in pieces that end at these places; recorded, if a scope is open.</summary>
    public Tensor Run(TestTimeMemory memory, params int[] ends)
    {
        var s = Start; var parts = new List<Tensor>(); int at = 0; var g = Gates;
        foreach (int end in (int[])[.. ends, Q.Shape[1]])
        {
            var piece = new MemoryGates(g.LogKeep.Slice(1, at, end), g.LogMomentum?.Slice(1, at, end), g.Rate.Slice(1, at, end));
            var (y, after) = memory.Run(Q.Slice(1, at, end), K.Slice(1, at, end), V.Slice(1, at, end), piece, s);
            parts.Add(y); (s, at) = (after, end);
        }
        return Tensor.Concat(1, [.. parts]);
    }

    /// <summary>Outputs and the gradients of all inputs for a drawn gradient of the output.</summary>
    public (double[] Y, double[] D) Both(Rng rng, Func<Tensor> run)
    {
        foreach (var x in Inputs) x.ZeroGrad();
        using var scope = Scope.Train();
        var y = run(); double[] kept = Trials.Wide(y.Span); y.Backward(Tensor.Normal(rng["g"], y.Shape, (Real)0.3).Span);
        return (kept, [.. Inputs.SelectMany(x => Trials.Wide(x.Grad))]);
    }

    /// <summary>The largest relative error of the gradients along a drawn direction, one input after the other, against central differences in float.</summary>
    public double Differences(Rng rng, Func<Tensor> run, double h = 4e-3)
    {
        Both(rng, run); double worst = 0; int number = 0; var g = Tensor.Over([], [0]);
        foreach (var x in Inputs)
        {
            var direction = new Real[x.Shape.Size]; rng["direction"][number++].Normal(direction); double exact = 0;
            for (int i = 0; i < direction.Length; i++) exact += (double)direction[i] * x.Grad[i];
            double At(double step)
            {
                Real[] kept = x.Span.ToArray();
                for (int i = 0; i < kept.Length; i++) x.Span[i] += (Real)(step * direction[i]);
                using var scope = Scope.NoGrad();
                var y = run(); if (g.Shape.Size == 0) g = Tensor.Over(Tensor.Normal(rng["g"], y.Shape, (Real)0.3).Span.ToArray(), y.Shape);
                double sum = 0; for (int i = 0; i < y.Shape.Size; i++) sum += (double)y.Span[i] * g.Span[i];
                kept.CopyTo(x.Span); return sum;
            }
            double numeric = (8 * (At(h) - At(-h)) - (At(2 * h) - At(-2 * h))) / (12 * h);
            worst = Math.Max(worst, Math.Abs(exact - numeric) / Math.Max(1, Math.Abs(numeric)));
        }
        return worst;
    }
}
