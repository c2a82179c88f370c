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
            var grid = new Neighbourhood(n == 2048 ? 64 : 128, n == 2048 ? 7 : 15);
            Pattern(meter, call, "2-D neighbourhood", grid, grid.Share(n), forward, backward);
            var blocks = Blocks(n);
            Pattern(meter, call, "block list", everything, (double)blocks.Keys.Length * Block * Block / call.Pairs, forward, backward, blocks);
        }
    }

    static double Window(double n, double width) => (width * n - width * (width - 1) / 2) / (n * n);

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

    /// <summary>Tokens are pixels of an image so many pixels wide, row by row; each sees the pixels at most radius away along both axes.</summary>
    readonly record struct Neighbourhood(int Width, int Radius) : IPattern
    {
        public bool Allows(int query, int key) => Math.Abs(query / Width - key / Width) <= Radius && Math.Abs(query % Width - key % Width) <= Radius;
        public Cover Tile(int q0, int q1, int k0, int k1)
        {
            int above = q0 / Width, below = q1 / Width, first = k0 / Width, last = k1 / Width;
            if (first > below + Radius || last < above - Radius) return Cover.None;
            // Within one row of pixels columns count too; a tile over several rows has all of them.
            var (left, right) = above == below ? (q0 % Width, q1 % Width) : (0, Width - 1);
            var (from, to) = first == last ? (k0 % Width, k1 % Width) : (0, Width - 1);
            if (from > right + Radius || to < left - Radius) return Cover.None;
            return below - first <= Radius && last - above <= Radius && right - from <= Radius && to - left <= Radius ? Cover.All : Cover.Mixed;
        }
        /// <summary>Pairs seen over all pairs; the border cuts neighbourhoods off.</summary>
        public double Share(int tokens) => Along(Width) * Along(tokens / Width);
        double Along(double n) => ((2 * Radius + 1) * n - Radius * (Radius + 1)) / (n * n);
    }
}
