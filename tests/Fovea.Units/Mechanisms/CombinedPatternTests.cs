using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Testing;
namespace Fovea.Units;

public class CombinedPatternTests
{
    static readonly SinksAndWindow streaming = new(4, 16);
    static readonly DilatedWindow dilated = new(12, 3);
    static readonly Window window = new(9);

    [Fact]
    public void Tiles_of_compositions_say_what_their_pairs_say()
    {
        Assert.Equal(0, PartLaws.LyingCovers(streaming.And(window)));
        Assert.Equal(0, PartLaws.LyingCovers(dilated.Or(window)));
        Assert.Equal(0, PartLaws.LyingCovers(dilated.Or(window).And(streaming)));
        foreach (int tokens in new[] { 0, 1, 7, 20, 1000 }) Assert.Equal(0, PartLaws.LyingCovers(new Prefix(tokens)));
    }

    [Fact]
    public void Pairs_of_compositions_are_those_of_both_or_of_either()
    {
        for (int q = 0; q < 60; q++)
            for (int k = 0; k < 60; k++)
            {
                Assert.Equal(dilated.Allows(q, k) && streaming.Allows(q, k), dilated.And(streaming).Allows(q, k));
                Assert.Equal(dilated.Allows(q, k) || streaming.Allows(q, k), dilated.Or(streaming).Allows(q, k));
            }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(70)]
    [InlineData(200)]
    public void The_fused_kernel_sees_what_a_composition_allows(int n)
    {
        Compare(n, dilated.Or(window).And(streaming));
        Compare(n, streaming.Or(dilated));
        Compare(n, new Prefix(n / 3));
    }

    static void Compare<T>(int n, T pattern) where T : struct, IPattern
    {
        Tensor q = Tensor.Normal(new(1), [1, 2, n, 8], 3), k = Tensor.Normal(new(2), [1, 2, n, 8], 3), v = Tensor.Normal(new(3), [1, 2, n, 8]);
        var fused = Softmax.Fused<Plain, T, SoftmaxWeights>(q, k, v, new(), pattern, new());
        for (int head = 0; head < 2; head++)
            for (int i = 0; i < n; i++)
            {
                double[] s = new double[n]; double max = double.NegativeInfinity, sum = 0;
                for (int j = 0; j < n; j++)
                {
                    s[j] = double.NegativeInfinity;
                    if (!pattern.Allows(i, j)) continue;
                    s[j] = 0;
                    for (int c = 0; c < 8; c++) s[j] += q.Span[(head * n + i) * 8 + c] * (double)k.Span[(head * n + j) * 8 + c] / Math.Sqrt(8);
                    max = Math.Max(max, s[j]);
                }
                for (int j = 0; j < n; j++) sum += Math.Exp(s[j] - max);
                for (int c = 0; c < 8; c++)
                {
                    double o = 0;
                    for (int j = 0; j < n; j++) o += Math.Exp(s[j] - max) / sum * v.Span[(head * n + j) * 8 + c];
                    Assert.Equal(o, fused.Span[(head * n + i) * 8 + c], 1e-4);
                }
            }
    }

    [Fact]
    public void A_pattern_tells_its_tiles()
    {
        // Four tiles across: causal attention computes the triangle, ten of sixteen, and masks the diagonal.
        Assert.Equal(new TileCount(10, 4, 16), new Causal().Explain(256));
        Assert.Equal(new TileCount(16, 0, 16), new Everything().Explain(256));
        // A window of 64 reaches into the tile before and no further.
        Assert.Equal(new TileCount(7, 7, 16), new Window(64).Explain(256));
        Assert.Equal(16.0 / 7, new Window(64).Explain(256).Bound, 1e-12);
        // The last tile is not full.
        Assert.Equal(25, new Causal().Explain(257).Dense);
        Assert.Throws<ArgumentException>(() => new Causal().Explain(0));
    }

    [Fact]
    public void A_layer_tells_what_it_computes_and_keeps()
    {
        var config = new AttentionConfig(32, 2); var softmax = Explanation.Of(Mechanism.Find("softmax"), config, 256);
        Assert.Equal(256 * 257 / 2, softmax.Pairs); Assert.Equal(new TileCount(10, 4, 16), softmax.Tiles); Assert.Equal(1, softmax.SoftmaxShare);
        Assert.Equal(2 * 256 * 32 * sizeof(Real), softmax.StateBytes); Assert.InRange(softmax.Growth!.Value, 1.2, 2);
        var window = Explanation.Of(Mechanism.Find("sliding-window"), config, 256, new Dictionary<string, object> { ["window"] = 16 });
        Assert.Equal(16 * 256 - 15 * 16 / 2, window.Pairs); Assert.Equal(7, window.Tiles!.Value.Visited); Assert.True(window.StateBytes < softmax.StateBytes / 10); Assert.True(window.SoftmaxShare < 0.7);
        var linear = Explanation.Of(Mechanism.Find("linear"), config, 256);
        Assert.Null(linear.Pairs); Assert.Null(linear.Tiles); Assert.Equal(1, linear.Growth!.Value, 0.02);
        // A grid has one size only.
        Assert.Null(Explanation.Of(Mechanism.Find("neighbourhood"), config with { Causal = false }, 64, new Dictionary<string, object> { ["grid"] = "8x8", ["window"] = 3 }).Growth);
    }
}
