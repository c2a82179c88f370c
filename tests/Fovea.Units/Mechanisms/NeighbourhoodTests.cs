using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Testing;
namespace Fovea.Units;

public class NeighbourhoodTests
{
    public static TheoryData<int, int, int, bool> Windows()
    {
        var data = new TheoryData<int, int, int, bool>();
        foreach (int length in new[] { 24, 25 }) foreach (int window in new[] { 1, 2, 5, 8 }) for (int stride = 1; stride <= window; stride++) { data.Add(length, window, stride, false); data.Add(length, window, stride, true); }
        return data;
    }

    [Theory, MemberData(nameof(Windows))]
    public void Every_window_keeps_its_size_and_holds_its_token(int length, int window, int stride, bool causal)
    {
        foreach (int dilation in new[] { 1, 3 })
        {
            var axis = new GridAxis(length, window, stride, dilation, causal);
            for (int x = 0; x < length; x++)
            {
                int seen = Enumerable.Range(0, length).Count(y => axis.Sees(x, y));
                Assert.True(axis.Sees(x, x), $"{axis} at {x}");
                if (!causal) Assert.Equal(window, seen);
                else { Assert.InRange(seen, 1, window); Assert.True(Enumerable.Range(0, length).All(y => y <= x || !axis.Sees(x, y))); }
            }
        }
    }

    [Fact]
    public void A_window_of_whole_groups_splits_the_axis()
    {
        var axis = new GridAxis(24, 6, 6);
        for (int x = 0; x < 24; x++) for (int y = 0; y < 24; y++) Assert.Equal(x / 6 == y / 6, axis.Sees(x, y));
    }

    public static TheoryData<GridAxis[]> Grids() => new(
        [new GridAxis(70, 7)], [new GridAxis(200, 64, 16, Causal: true)], [new GridAxis(7, 3), new GridAxis(10, 5)], [new GridAxis(12, 4, 2, 3), new GridAxis(9, 9)],
        [new GridAxis(5, 3, 1, 1, true), new GridAxis(6, 2, 2), new GridAxis(7, 3, 1, 2)], [new GridAxis(1, 1), new GridAxis(1, 1)]);

    [Theory, MemberData(nameof(Grids))]
    public void The_pattern_in_its_order_is_the_definition(GridAxis[] axes)
    {
        foreach (var order in Enum.GetValues<TokenOrder>())
        {
            var grid = new Neighbourhood(axes, order); long pairs = 0;
            Assert.Equal(Enumerable.Range(0, grid.Tokens), grid.Order.Order());
            for (int i = 0; i < grid.Tokens; i++) for (int j = 0; j < grid.Tokens; j++)
            {
                Assert.Equal(grid.Sees(grid.Order[i], grid.Order[j]), grid.Pattern.Allows(i, j));
                if (grid.Sees(i, j)) pairs++;
            }
            Assert.Equal(pairs, grid.Pairs);
            for (int i = 0; i < grid.Tokens; i++) Assert.Equal(i, grid.Order[grid.Back[i]]);
            if (grid.Tokens >= 12) { Assert.Equal(0, PartLaws.LyingCovers(grid.Pattern)); Assert.Equal(0, PartLaws.LyingRows(grid.Pattern)); }
        }
    }

    [Fact]
    public void Work_is_little_more_than_the_pairs_that_are_seen()
    {
        const int n = 64 * 64, d = 8; GridAxis[] axes = [new(64, 13), new(64, 13)]; var s = new AttentionSize(1, 1, 1, n, n, d, d);
        Real[] x = new Real[n * d], o = new Real[n * d], lse = new Real[n], dq = new Real[n * d], dk = new Real[n * d], dv = new Real[n * d]; new Rng(1).Normal(x);
        (double, double) Work(Neighbourhood grid) => (Kernels.Work.Count(() => Flash.Forward(s, x, x, x, 0, default, new Plain(), grid.Pattern, o, lse)) / (2.0 * d * grid.Pairs),
            Kernels.Work.Count(() => Flash.Backward(s, x, x, x, 0, default, new Plain(), grid.Pattern, o, lse, x, dq, dk, dv)) / (5.0 * d * grid.Pairs));
        var (forward, backward) = Work(new(axes)); var (tiled, tiledBackward) = Work(new(axes, TokenOrder.Tiles));
        // Four windows of thirteen side by side are sixteen places.
        double most = Kernels.Wide.Count <= 8 ? 1.25 : 1.3; Assert.InRange(forward, 1, most); Assert.InRange(backward, 1, most);
        Assert.InRange(tiled, 1, 2); Assert.InRange(tiledBackward, 1, 4);
    }

    [Fact]
    public void Axes_that_make_no_sense_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new Neighbourhood([]));
        Assert.Throws<ArgumentException>(() => new Neighbourhood([new(8, 3, 4)]));
        Assert.Throws<ArgumentException>(() => new Neighbourhood([new(8, 3, 1, 3)]));
    }

    [Fact]
    public void The_layer_on_a_grid_equals_its_plain_twin_and_its_gradients()
    {
        foreach (var (name, grid, n, causal) in new[] { ("neighbourhood", "9x8", 72, false), ("generalised-neighbourhood", "16x24", 384, false), ("neighbourhood", "3x4x5", 60, true), ("generalised-neighbourhood", "", 200, true) })
        {
            var layer = Mechanism.Find(name).New(new(16, 2, 1, causal), Weights.Random(new Rng(1)), new Dictionary<string, object> { ["grid"] = grid, ["window"] = 5 });
            Real[] Gradient(bool plain)
            {
                using var scope = Scope.Train();
                var x = Tensor.Normal(new(2), [2, n, 16]); x.RequiresGrad = true;
                layer.Forward(x, new Pass { Reference = plain }).Square().Sum().Backward();
                return x.Grad.ToArray();
            }
            Assert.All(Gradient(false).Zip(Gradient(true)), p => Assert.True(Math.Abs(p.First - p.Second) < 1e-4 * (1 + Math.Abs(p.First)), name));
        }
    }

    [Fact]
    public void A_grid_that_the_tokens_do_not_fill_or_cannot_decode_is_refused()
    {
        Attention On(string grid) => new NeighbourhoodAttention(new(16, 2), Weights.Random(new Rng(1)), grid: grid);
        Assert.Contains("4x4", Assert.Throws<ArgumentException>(() => On("4x4").Forward(Tensor.Zeros([1, 15, 16]), Pass.Eval)).Message);
        Assert.Throws<ArgumentException>(() => On("4x-4")); Assert.Throws<ArgumentException>(() => On("4by4"));
        Assert.Throws<NotSupportedException>(() => On("4x4").Forward(Tensor.Zeros([1, 16, 16]), new Pass { Memory = new() }));
    }
}
