using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Neighbourhood attention on grids, fused, beside a gather query by query, products of matrices with stored scores, and dense attention. Growth is that of multiply-adds, which a busy machine does not
/// change. Ablated: the window is the whole grid.
/// </summary>
[Paper("fna")]
public static class Fna
{
    const int Heads = 4, D = 32;
    static Neighbourhood Square(ClaimRun run, int side, int window) => new([new(side, run.Ablated ? side : window), new(side, run.Ablated ? side : window)]);
    static Tensor Fused(Tensor q, Tensor k, Tensor v, Neighbourhood grid) => Softmax.Fused<Plain, BoxPattern, SoftmaxWeights>(q, k, v, new(), grid.Pattern, new());
    static Tensor Dense(Tensor q, Tensor k, Tensor v) => Softmax.Fused<Plain, Everything, SoftmaxWeights>(q, k, v, new(), new(), new());
    static (Tensor Q, Tensor K, Tensor V) Inputs(Rng rng, int heads, int n, int d) => (Trials.Draw(rng["q"], [1, heads, n, d]), Trials.Draw(rng["k"], [1, heads, n, d]), Trials.Draw(rng["v"], [1, heads, n, d]));
    // Tokens of x [1,H,N,D] in another order.
    static Tensor InOrder(Tensor x, int[] order) { var (_, h, n, d) = x.Shape; var y = Tensor.Empty(x.Shape); for (int r = 0; r < h * n; r++) x.Span.Slice((r / n * n + order[r % n]) * d, d).CopyTo(y.Span[(r * d)..]); return y; }

    [Claim("Fused, unfused and query by query are dense attention with the mask written out, on one, two and three axes, with dilation and causal axes; gradients too; a window as long as the axis is full attention, a window of one is the value itself", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        double output = 0, gradient = 0, others = 0; int number = 0;
        foreach (GridAxis[] axes in (GridAxis[][])[[new(70, 7)], [new(61, 8, 1, 3)], [new(50, 9, Causal: true)], [new(9, 3), new(11, 4)], [new(12, 4, 1, 3), new(10, 3, 1, 2, true)], [new(5, 3), new(4, 2), new(6, 3, 1, 2)], [new(4, 3, Causal: true), new(5, 2), new(5, 5)]])
        {
            var grid = new Neighbourhood(axes); var (q, k, v) = Inputs(run.Rng["exact"][number], 2, grid.Tokens, 16); var g = Trials.Draw(run.Rng["gradient"][number++], q.Shape, (Real)0.3);
            var size = new AttentionSize(1, 2, 2, grid.Tokens, grid.Tokens, 16, 16);
            var naive = new NaiveAttention(size, q.Span, k.Span, v.Span, g.Span, (_, i, j) => grid.Sees(grid.Order[i], grid.Order[j]));
            using var scope = Scope.Train();
            var o = Fused(q, k, v, grid); o.Backward(g.Span);
            output = Math.Max(output, Trials.Difference(Trials.Wide(o.Span), naive.O));
            foreach (var (x, dx) in new[] { (q, naive.DQ), (k, naive.DK), (v, naive.DV) }) gradient = Math.Max(gradient, Trials.Difference(Trials.Wide(x.Grad), dx));
            Tensor qg = InOrder(q, grid.Back), kg = InOrder(k, grid.Back), vg = InOrder(v, grid.Back), og = InOrder(o, grid.Back); int[][] sees = NeighbourhoodKernels.Lists(grid);
            others = Math.Max(others, Math.Max(Trials.Difference(NeighbourhoodKernels.Naive(qg, kg, vg, sees), og), Trials.Difference(NeighbourhoodKernels.Unfused(qg, kg, vg, grid, sees), og)));
        }
        Neighbourhood all = new([new(8, 8), new(9, 9)]), one = new([new(8, 1), new(9, 1)]); var (a, b, c) = Inputs(run.Rng["ends"], 2, 72, 16);
        return Evidence.All(Evidence.AtMost(output, 1e-5, note: "outputs"), Evidence.AtMost(gradient, 1e-4, note: "gradients"), Evidence.AtMost(others, 1e-5, note: "unfused and query by query"),
            Evidence.AtMost(Math.Max(Trials.Difference(Fused(a, b, c, all), Dense(a, b, c)), Trials.Difference(Fused(a, b, c, one), c)), 1e-5, note: "full and single windows"));
    }

    [Claim("Work grows with the number of tokens, that of dense attention with its square; memory beyond the output is the same per token, where stored scores take a number per pair", Quick = true)]
    public static Evidence Grows(ClaimRun run)
    {
        var fused = new List<(double, double)>(); var dense = new List<(double, double)>(); double[] bytes = new double[2]; int at = 0;
        foreach (int side in (int[])[32, 48, 64])
        {
            var (q, k, v) = Inputs(run.Rng["work"], 1, side * side, D); var grid = Square(run, side, 9); using var scope = Scope.NoGrad();
            fused.Add((side * side, Work.Count(() => Fused(q, k, v, grid)))); dense.Add((side * side, Work.Count(() => Dense(q, k, v))));
            if (side != 48) bytes[at++] = Diagnostics.PeakBytes(() => Fused(q, k, v, grid)) / (double)(side * side);
        }
        double Stored(int window)
        {
            var (q, k, v) = Inputs(run.Rng["bytes"], 1, 24 * 24, D); Neighbourhood grid = new([new(24, window), new(24, window)]); int[][] sees = NeighbourhoodKernels.Lists(grid);
            using var scope = Scope.NoGrad();
            var before = Diagnostics.LiveBytes; var scores = Tensor.Empty([1, 24 * 24, sees[0].Length]);
            return (Diagnostics.LiveBytes - before) / (24.0 * 24);
        }
        return Evidence.All(Evidence.AtMost(Trials.Exponent(fused), 1.25, note: "exponent of multiply-adds, fused, windows of 9 × 9"), Evidence.AtLeast(Trials.Exponent(dense), 1.7, note: "dense"),
            Evidence.AtMost(Math.Abs(bytes[1] / bytes[0] - 1), 0.1, note: "change of bytes per token from 1,024 to 4,096 tokens"), Evidence.AtLeast(Stored(12) / Stored(6), 3.5, note: "stored scores, windows of 12 × 12 over 6 × 6"));
    }

    [Claim("Fused is at least twice as fast as query by query and as dense attention: 64 × 64 tokens, windows of 9 × 9, four heads of 32")]
    public static Evidence Speed(ClaimRun run)
    {
        var (q, k, v) = Inputs(run.Rng["speed"], Heads, 64 * 64, D); var grid = Square(run, 64, 9); int[][] sees = NeighbourhoodKernels.Lists(new([new(64, 9), new(64, 9)]));
        Action Timed(Func<Tensor> f) => () => { using var scope = Scope.NoGrad(); f(); };
        double[] t = Trials.Fastest(run, 6, Timed(() => Fused(q, k, v, grid)), Timed(() => NeighbourhoodKernels.Naive(q, k, v, sees)), Timed(() => Dense(q, k, v)), Timed(() => NeighbourhoodKernels.Unfused(q, k, v, new([new(64, 9), new(64, 9)]), sees)));
        return Evidence.All(Evidence.AtLeast(t[1] / t[0], 2, "", "query by query over fused"), Evidence.AtLeast(t[2] / t[0], 2, "", "dense over fused"), Evidence.AtLeast(t[3] / t[0], 1, "", "products of matrices with stored scores over fused"));
    }

    [Claim("Two layers with windows of 7 × 7 on 16 × 16 tokens tell shapes apart as well as full attention, with less work per step; means of three models")]
    public static Evidence Learns(ClaimRun run)
    {
        var config = new ModelConfig(4, 32, 2, 2) { Hidden = 64, Length = 256 }; var shapes = new Shapes(4);
        Mixer near = (_, c, w) => new NeighbourhoodAttention(c, w, run.Ablated ? 16 : 7, 1, "16x16");
        // Single models are up to four points apart by chance.
        ImageClassifier Trained(string name, int i, Mixer? mixer) => new(config, ShapeRuns.Train(run, $"fna-{name}-{i}", config, 2, shapes, 150, 16, 4e-3, mixer, () => Weights.Random(SmallRuns.Key(run, i)["weights"])), 2, mixer);
        ImageClassifier[] All(string name, Mixer? mixer = null) => [.. Enumerable.Range(0, 3).Select(i => Trained(name, i, mixer))];
        ImageClassifier[] full = All("full"), windows = All("near" + run.Ablated, near);
        double Accuracy(ImageClassifier[] models) => models.Average(m => ShapeRuns.Accuracy(run, m, shapes, 16)); double a = Accuracy(full), b = Accuracy(windows);
        long Cost(ImageClassifier m) => Work.Count(() => { using var scope = Scope.Train(); m.Loss(shapes.Batch(run.Rng["cost"], 0, 4), new Pass { Training = true }).Backward(); });
        return Evidence.All(Evidence.AtLeast(b - a, -0.03, "", $"accuracy beyond full attention ({a:f3})"), Evidence.AtMost((double)Cost(windows[0]) / Cost(full[0]), 0.8, "", "multiply-adds of a step over those of full attention"));
    }
}
