using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>
/// Neighbourhood attention with strides: windows, the count of tiles, and time. Not shown: its use without training in late steps of a diffusion model, which is not built here. In the last layer of a small
/// classifier that was trained with full attention, tried in its place, it changed the logits 0.8 to 2.3 times as much as random blocks of the same density, depending on the seed. Ablated: stride 1 whatever
/// was asked.
/// </summary>
[Paper("gna")]
public static class Gna
{
    const int Heads = 4, D = 32, Side = 64;
    static GridAxis[] Square(ClaimRun run, int window, int stride, int side = Side) => [new(side, window, run.Ablated ? 1 : stride), new(side, window, run.Ablated ? 1 : stride)];
    static Tensor Fused(Tensor x, Neighbourhood grid) => Softmax.Fused<Plain, BoxPattern, SoftmaxWeights>(x, x, x, new(), grid.Pattern, new());

    [Claim("Every window has its size and holds its own token; it is dense attention with that mask; a stride as long as the window makes windows of their own, stride 1 is neighbourhood attention", Quick = true)]
    public static Evidence IsExact(ClaimRun run)
    {
        int wrong = 0, apart = 0; double output = 0;
        foreach (int n in (int[])[24, 25]) for (int w = 1; w <= 8; w++) for (int s = 1; s <= w; s++) foreach (bool causal in (bool[])[false, true])
        {
            var axis = new GridAxis(n, w, run.Ablated ? 1 : s, 1, causal); var grid = new Neighbourhood([axis]);
            for (int i = 0; i < n; i++)
            {
                var (start, end) = axis.Sees(i);
                if (!causal && end - start != w || i < start || i >= end || causal && (end != i + 1 || end - start > w)) wrong++;
                if (s == w && n == 24 && 24 % w == 0 && !causal) for (int j = 0; j < n; j++) if (axis.Sees(i, j) != (i / w == j / w)) apart++;
                if (s == 1) for (int j = 0; j < n && !causal; j++) { int left = Math.Clamp(i - w / 2, 0, n - w); if (axis.Sees(i, j) != (j >= left && j < left + w)) apart++; }
            }
            var x = Trials.Draw(run.Rng[n][w][s], [1, 1, n, 8]);
            var naive = new NaiveAttention(new(1, 1, 1, n, n, 8, 8), x.Span, x.Span, x.Span, x.Span, (_, i, j) => axis.Sees(grid.Order[i], grid.Order[j]));
            output = Math.Max(output, Trials.Difference(Trials.Wide(Fused(x, grid).Span), naive.O));
        }
        return Evidence.All(Evidence.AtMost(wrong, 0, "windows", "of another size or without their token"), Evidence.AtMost(apart, 0, "pairs", "other than windows of their own, or than neighbourhoods"), Evidence.AtMost(output, 1e-5, note: "outputs"));
    }

    [Claim("The simulator counts what the kernel computes, for 50 drawn settings; a setting without partial tiles reaches the bound that its window gives", Quick = true)]
    public static Evidence Simulates(ClaimRun run)
    {
        var (queries, keys) = Flash.ScatteredTileSize; double worst = 0;
        for (int i = 0; i < 50; i++)
        {
            var rng = run.Rng["settings"][i]; int axes = 1 + rng.Below(0, 2), side = axes == 1 ? 96 + 16 * rng.Below(1, 20) : 12 + rng.Below(2, 14), window = 1 + rng.Below(3, Math.Min(16, side)), stride = 1 + rng.Below(4, window); bool causal = rng.Below(5, 2) == 1;
            var grid = new Neighbourhood([.. Enumerable.Range(0, axes).Select(_ => new GridAxis(side, window, stride, 1, causal))], TokenOrder.Tiles); var x = Tensor.Zeros([1, 1, grid.Tokens, 8]); var shared = TileSimulator.InOrder(grid, queries, keys);
            long work = Work.Count(() => Fused(x, grid)), rows = 0;
            // The last tile of queries has fewer rows.
            int last = grid.Tokens % queries;
            rows = shared.Visited * queries;
            if (last > 0) rows -= (queries - last) * Tail(grid, grid.Tokens - last, keys);
            worst = Math.Max(worst, Math.Abs((double)work / (rows * keys * 16) - 1));
        }
        GridAxis[] perfect = Square(run, 16, 16); var count = TileSimulator.Boxes(perfect, [8, 8], [8, 8]);
        return Evidence.All(Evidence.AtMost(worst, 0, "", "largest relative difference of multiply-adds"), Evidence.AtMost(count.Partial, 0, "tiles", "in need of a mask, windows of 16 with stride 16 and tiles of 8"),
            Evidence.AtLeast(count.Bound, 16, "", "its bound, which is tokens over window"), Evidence.AtLeast(TileSimulator.Boxes(Square(run, 24, 8), [8, 8], [8, 8], dynamic: true).Bound, TileSimulator.Boxes(Square(run, 24, 1), [8, 8], [8, 8], dynamic: true).Bound, "", "bound with stride 8 beside stride 1, windows of 24"));
    }
    static long Tail(Neighbourhood grid, int from, int keys) => Enumerable.Range(0, (grid.Tokens + keys - 1) / keys).Count(t => grid.Pattern.Tile(from, grid.Tokens - 1, t * keys, Math.Min(grid.Tokens, (t + 1) * keys) - 1) != Cover.None);

    /// <summary>
    /// Seconds on one thread. The catalogue's tiling by 8 × 8 boxes is here an order of the tokens in which every aligned power of two is a box; the simulator counts tiles of the kernel in that order.
    /// </summary>
    [Claim("Measured speed-ups follow simulated ones over windows of 16, 24 and 32 with strides of 1, 4, 8 and 16; perfectly sparse settings come near their bound; the best stride beats stride 1, and tiles of the grid are fewer than tiles of rows")]
    public static Evidence Speed(ClaimRun run)
    {
        var x = Trials.Draw(run.Rng["x"], [1, Heads, Side * Side, D]); var (queries, keys) = Flash.ScatteredTileSize;
        var grids = ((int, int)[])[.. from w in (int[])[16, 24, 32] from s in (int[])[1, 4, 8, 16] select (w, s)]; var made = grids.Select(g => new Neighbourhood(Square(run, g.Item1, g.Item2), TokenOrder.Tiles)).ToList();
        Action Timed(Func<Tensor> f) => () => { using var scope = Scope.NoGrad(); f(); };
        double[] t = Trials.Fastest(run, 40, [Timed(() => Softmax.Fused<Plain, Everything, SoftmaxWeights>(x, x, x, new(), new(), new())), .. made.Select(g => Timed(() => Fused(x, g)))]);
        double[] measured = [.. t.Skip(1).Select(s => t[0] / s)], simulated = [.. made.Select(g => TileSimulator.InOrder(g, queries, keys).Bound)];
        double best = Enumerable.Range(0, 3).Min(w => measured.AsSpan(4 * w + 1, 3).ToArray().Max() / measured[4 * w]); string notes = string.Join(", ", grids.Select((g, i) => $"{g.Item1}/{g.Item2} {measured[i]:f1} of {simulated[i]:f1}"));
        return Evidence.All(Evidence.AtLeast(Trials.RankCorrelation(measured, simulated), 0.85, "", $"rank correlation ({notes})"), Evidence.AtLeast(measured[3] / 16, 0.6, "", "windows of 16 with stride 16, share of the bound"),
            Evidence.AtLeast(best, 1.05, "", "best stride over stride 1, the least of three windows"), Evidence.AtLeast((double)TileSimulator.InOrder(new(Square(run, 16, 8)), queries, keys).Visited / TileSimulator.InOrder(made[2], queries, keys).Visited, 1.1, "", "tiles of rows over tiles of the grid, windows of 16 with stride 8"));
    }
}
