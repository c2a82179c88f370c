using Fovea.Kernels;
using Fovea.Mechanisms;
using static Fovea.Testing.Draws;
namespace Fovea.Testing;

/// <summary>Laws of gradients, learning, options and growth.</summary>
public static class LearningLaws
{
    [Law("its gradients, fused and plain, agree", Needs = Traits.Exact, Bound = 10 * Bounds.Rounding)]
    public static double Gradients(Subject s)
    {
        Dictionary<string, Real[]> Of(bool reference)
        {
            var w = Weights.Random(new Rng(7)); var a = s.New(w: w); var x = Draw(2, 70); x.RequiresGrad = true;
            using var scope = Scope.Train();
            (a.Forward(x, new Pass { Training = true, Reference = reference, Rng = new(3) }) * Tensor.Normal(new Rng(6), x.Shape, (Real)0.1)).Sum().Backward();
            return w.All.Append(new("input", x)).ToDictionary(p => p.Key, p => p.Value.HasGrad ? p.Value.Grad.ToArray() : []);
        }
        var fused = Of(false); var plain = Of(true); double worst = 0;
        foreach (string name in plain.Keys)
        {
            double scale = Math.Max(1, plain[name].Select(x => (double)Math.Abs(x)).DefaultIfEmpty().Max());
            if (fused[name].Length != plain[name].Length) return double.PositiveInfinity;
            for (int i = 0; i < plain[name].Length; i++) worst = Worse(worst, Math.Abs(fused[name][i] - plain[name][i]) / scale);
        }
        return worst;
    }

    [Law("work grows in proportion to the length", Needs = Traits.Linear, Bound = Bounds.LinearGrowth)]
    public static double Growth(Subject s) => Exponent(s);

    /// <summary>Fitted exponent of multiply-adds of one forward pass between 1,024 and 4,096 tokens.</summary>
    public static double Exponent(Subject s)
    {
        long Of(int n) { var a = s.New(); var x = Draw(1, n); return Work.Count(() => { using var scope = Scope.NoGrad(); a.Forward(x, Pass.Eval); }); }
        return Math.Log((double)Of(4096) / Of(1024)) / Math.Log(4);
    }

    [Law("learns, and every parameter takes part", Bound = Bounds.Learns)]
    public static double Learns(Subject s)
    {
        var w = Weights.Random(new Rng(7)); var a = s.New(w: w); var x = Draw(2, 24); var target = Draw(2, 24, 1, seed: 21);
        var optimiser = new AdamW(decay: 0); double first = 0, last = 0;
        for (int step = 0; step < 60; step++)
        {
            using var scope = Scope.Train();
            var loss = (a.Forward(x, new Pass { Training = true, Rng = new Rng(5)[step] }) - target).Square().Mean();
            last = loss.Item; if (step == 0) first = last;
            loss.Backward();
            foreach (var (name, p) in w.All)
                if (p.RequiresGrad && step == 5 && (!p.HasGrad || Largest(p.Grad) == 0)) throw new InvalidOperationException($"parameter {name} {p.Shape} gets no gradient");
            optimiser.Update(w.All, 3e-2);
            w.ZeroGrad();
        }
        return double.IsFinite(last) ? last / first : double.PositiveInfinity;
    }

    [Law("every option changes something", Bound = Bounds.Same)]
    public static double Options(Subject s)
    {
        var x = Draw(1, 200, 2); var y = s.New().Forward(x, Pass.Eval);
        foreach (var k in s.Knobs)
        {
            object? other = k.Default switch { int i => i > 1 ? i / 2 : i + 1, double d => d * 0.5 + 0.01, bool b => !b, _ => null };
            if (other is null) continue;
            var w = Weights.Random(new Rng(7));
            if (Difference(y, s.New(w: w, knobs: new Dictionary<string, object> { [k.Name] = other }).Forward(x, Pass.Eval)) == 0) throw new InvalidOperationException($"{k.Name} = {other} changes nothing");
        }
        return 0;
    }
}
