using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Units;

public class QuambaTests
{
    static readonly ModelConfig config = new(11, 24, 2, 1) { Position = null, FeedForward = (_, _, _) => new NoFeedForward() };
    static DecoderModel Model(Weights w) => new(config, w, (_, c, x) => new MambaAttention(c, x));

    [Fact]
    public void Calibration_changes_nothing_and_eight_bits_change_little()
    {
        var model = Model(Weights.Random(new Rng(4))); int[] text = [.. Enumerable.Range(0, 40).Select(i => i * i % 11)]; var before = model.Forward(text, 1, Pass.Eval); var recipe = new Quamba(model);
        recipe.Calibrate(() => Assert.Equal(before.Span.ToArray(), model.Forward(text, 1, Pass.Eval).Span.ToArray()));
        Assert.True(recipe.Largest(0, MambaPlace.Scan, 99) <= recipe.Largest(0, MambaPlace.Scan));
        long bytes = recipe.Quantise(99.99);
        // W_in 96 · 24, W_x 34 · 48, W_Δ 48 · 2 and W_out 24 · 48 bytes, and two scales each, in two layers.
        Assert.Equal(2 * (96 * 24 + 34 * 48 + 48 * 2 + 24 * 48 + 4 * 2 * sizeof(Real)), bytes);
        var after = model.Forward(text, 1, Pass.Eval); double worst = 0, size = 0;
        for (int i = 0; i < after.Shape.Size; i++) { worst = Math.Max(worst, Math.Abs(after.Span[i] - before.Span[i])); size = Math.Max(size, Math.Abs(before.Span[i])); }
        Assert.InRange(worst, 1e-6, 0.25 * size);
    }

    [Fact]
    public void A_model_of_other_layers_is_refused() => Assert.Contains("no Mamba layer", Assert.Throws<ArgumentException>(() => new Quamba(new DecoderModel(config, Weights.Random(new Rng(4))))).Message);

    [Theory]
    [InlineData(1), InlineData(6), InlineData(48), InlineData(70)]
    public void Rotation_keeps_lengths_and_is_its_own_inverse(int n)
    {
        var x = new Real[3 * n]; new Rng(2).Normal(x); Real[] y = [.. x];
        Rotation.Transform(y, 3, n);
        for (int r = 0; r < 3; r++) Assert.Equal(x.AsSpan(r * n, n).ToArray().Sum(v => (double)v * v), y.AsSpan(r * n, n).ToArray().Sum(v => (double)v * v), 4);
        Rotation.Transform(y, 3, n);
        for (int i = 0; i < x.Length; i++) Assert.Equal(x[i], y[i], 1e-5);
    }
}
