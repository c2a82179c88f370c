using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>Whether a layer of attention heads is the dense one under a mask, and what its past costs: shared by claims about patterns.</summary>
static class PatternCheck
{
    /// <summary>The largest difference of the heads' outputs and of all gradients of attend(q, k, v) from masked softmax in float64: q, k, v [1,H,N,D] drawn.</summary>
    public static (double Output, double Gradient) Exact(Rng rng, int heads, int n, int d, Func<Tensor, Tensor, Tensor, Tensor> attend, Func<int, int, int, bool> sees)
    {
        Tensor q = Trials.Draw(rng["q"], [1, heads, n, d]), k = Trials.Draw(rng["k"], [1, heads, n, d]), v = Trials.Draw(rng["v"], [1, heads, n, d]), g = Trials.Draw(rng["g"], [1, heads, n, d], (Real)0.3);
        var naive = new NaiveAttention(new(1, heads, heads, n, n, d, d), q.Span, k.Span, v.Span, g.Span, sees);
        using var scope = Scope.Train();
        var o = attend(q, k, v);
        double output = Trials.Difference(Trials.Wide(o.Span), naive.O), gradient = 0;
        o.Backward(g.Span);
        foreach (var (x, dx) in new[] { (q, naive.DQ), (k, naive.DK), (v, naive.DV) }) gradient = Math.Max(gradient, Trials.Difference(Trials.Wide(x.Grad), dx));
        return (output, gradient);
    }

    /// <summary>Work and time of a forward and backward pass over block lists, over that of dense causal attention: 4 heads of 32.</summary>
    public static (double Work, double Time) Cost(ClaimRun run, int n, int heads, Func<BlockList?> lists)
    {
        Tensor q = Trials.Draw(run.Rng["cost q"], [1, heads, n, 32]), k = Trials.Draw(run.Rng["cost k"], [1, heads, n, 32]), v = Trials.Draw(run.Rng["cost v"], [1, heads, n, 32]); var blocks = lists();
        Action Step(BlockList? b) => Trials.Step(run.Rng["cost g"], () => Softmax.Fused<Plain, Causal, SoftmaxWeights>(q, k, v, new(), new(), new(Blocks: b)));
        var t = Trials.Fastest(run, 3, Step(blocks), Step(null));
        return ((double)Work.Count(Step(blocks)) / Work.Count(Step(null)), t[0] / t[1]);
    }
}
