using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Cli;

/// <summary>
/// Patterns that leave out nine of ten pairs, as the share of the speed-up over the dense kernel that the number of pairs allows: time of the dense kernel ·
/// pairs seen / all pairs / time.
/// </summary>
sealed class SparseBenchmark() : Benchmark("attention-sparse", "windows, block lists and neighbourhoods at 90 % sparsity against the dense kernel")
{
    const int Block = 64;

    public override void Run(Meter meter)
    {
        foreach (int n in meter.Sizes([2048], [8192]))
        {
            var call = new AttentionCall(n, 64); var everything = new Everything();
            var forward = meter.Measure(() => call.Forward(everything))[0]; call.Forget();
            var backward = meter.Measure(() => call.Backward(everything))[0];
            // W·N − W(W−1)/2 pairs are a tenth of N² at this W.
            int width = (int)Math.Round(n * (1 - Math.Sqrt(0.8)));
            Pattern(meter, call, "window", new Window(width), Window(n, width), forward, backward);
            var (width2, side) = n == 2048 ? (64, 15) : (128, 29);
            foreach (int stride in (int[])[1, n == 2048 ? 8 : 16])
            {
                // Windows of whole tiles where groups of tokens share them.
                int w = stride == 1 ? side : n == 2048 ? 16 : 32;
                Grid(meter, call, stride == 1 ? "2-D neighbourhood" : $"2-D, stride {stride}", [new(n / width2, w, stride), new(width2, w, stride)], forward, backward);
            }
            Grid(meter, call, "3-D neighbourhood", n == 2048 ? [new(8, 3), new(16, 8), new(16, 8)] : [new(16, 8), new(16, 8), new(32, 13)], forward, backward);
            Grid(meter, call, "3-D, strides", n == 2048 ? [new(8, 4, 2), new(16, 8, 8), new(16, 8, 8)] : [new(16, 6, 2), new(16, 8, 8), new(32, 16, 16)], forward, backward);
            var blocks = Blocks(n);
            Pattern(meter, call, "block list", everything, (double)blocks.Keys.Length * Block * Block / call.Pairs, forward, backward, blocks);
        }
    }

    static double Window(double n, double width) => (width * n - width * (width - 1) / 2) / (n * n);

    static void Grid(Meter meter, AttentionCall call, string name, ReadOnlySpan<GridAxis> axes, Sample forward, Sample backward)
    {
        var grid = new Neighbourhood(axes);
        Pattern(meter, call, name, grid.Pattern, grid.Pairs / ((double)grid.Tokens * grid.Tokens), forward, backward);
    }

    static void Pattern<T>(Meter meter, AttentionCall call, string name, T pattern, double share, Sample forward, Sample backward, BlockList? blocks = null) where T : struct, IPattern
    {
        var f = meter.Measure(() => call.Forward<Plain, T, SoftmaxWeights>(default, pattern, blocks))[0]; call.Forget();
        meter.Add($"attention forward, {name}", call.Size, f, call.ForwardFlops * call.Pairs * share, call.ForwardBytes, new("speed-up by pairs", forward.Best * share / f.Best));
        var b = meter.Measure(() => call.Backward<Plain, T, SoftmaxWeights>(default, pattern, blocks))[0]; call.Forget();
        meter.Add($"attention backward, {name}", call.Size, b, call.BackwardFlops * call.Pairs * share, call.BackwardBytes, new("speed-up by pairs", backward.Best * share / b.Best));
    }

    /// <summary>A tenth of the key blocks for every block of queries, drawn.</summary>
    static BlockList Blocks(int n)
    {
        const int heads = 8; int blocks = n / Block, each = (blocks + 9) / 10, rows = heads * blocks;
        var keys = new int[rows * each];
        for (int r = 0; r < rows; r++) { var mine = new Rng(1)[r].Order(blocks).AsSpan(0, each); mine.Sort(); mine.CopyTo(keys.AsSpan(r * each)); }
        return new() { QueryBlock = Block, KeyBlock = Block, Start = [.. Enumerable.Range(0, rows + 1).Select(r => r * each)], Keys = keys };
    }
}
