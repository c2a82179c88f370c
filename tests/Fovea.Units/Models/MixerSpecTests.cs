using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Units;

public class MixerSpecTests
{
    [Fact]
    public void A_name_is_one_mixer_for_all_layers()
    {
        var spec = MixerSpec.Parse(" softmax ");
        Assert.Equal("softmax", spec.Name); Assert.Equal(["softmax"], spec.Layers.Select(l => l.Mechanism.Name)); Assert.True(spec.Traits.HasFlag(Traits.Causal | Traits.Incremental));
    }

    [Fact]
    public void Layers_take_the_mixers_in_turn_with_their_parameters()
    {
        var spec = MixerSpec.Parse("sliding-window(window=8)*2 + based(featureDim=4)+softmax");
        Assert.Equal(["sliding-window", "sliding-window", "based", "softmax"], spec.Layers.Select(l => l.Mechanism.Name)); Assert.Equal(8, spec.Layers[1].Knobs["window"]);
        var w = Weights.Random(new Rng(1)); var layers = Enumerable.Range(0, 5).Select(i => spec.Mixer(i, new(32, 2), w[$"{i}"])).ToList();
        Assert.IsType<SlidingWindowAttention>(layers[0]); Assert.IsType<BasedAttention>(layers[2]); Assert.IsType<SoftmaxAttention>(layers[3]); Assert.IsType<SlidingWindowAttention>(layers[4]);
        // A trait that one of them lacks is not one of the model.
        Assert.False(spec.Traits.HasFlag(Traits.Linear)); Assert.True(spec.Traits.HasFlag(Traits.Causal));
    }

    [Fact]
    public void A_parameter_is_filled_in_only_where_it_is_open()
    {
        var spec = MixerSpec.Parse("sliding-window(window=8)+sliding-window+softmax").With("window", 5);
        Assert.Equal(8, spec.Layers[0].Knobs["window"]); Assert.Equal(5, spec.Layers[1].Knobs["window"]); Assert.Empty(spec.Layers[2].Knobs);
    }

    [Theory]
    [InlineData("", "expected a mechanism")]
    [InlineData("softmax+", "expected a mechanism")]
    [InlineData("softmx", "did you mean 'softmax'")]
    [InlineData("sliding-window(window=8", "expected a mechanism")]
    [InlineData("sliding-window(window)", "expected a mechanism")]
    [InlineData("sliding-window(width=8)", "no parameter 'width'; it has: window")]
    [InlineData("sliding-window(window=x)", "window=x: expected int")]
    [InlineData("sliding-window(window=8,window=9)", "set twice")]
    [InlineData("softmax*0", "count of 1 to 1000")]
    [InlineData("softmax*x", "count of 1 to 1000")]
    public void What_is_wrong_is_said(string text, string message) => Assert.Contains(message, Assert.Throws<ArgumentException>(() => MixerSpec.Parse(text)).Message);

    [Fact]
    public void Commas_inside_brackets_do_not_separate()
        => Assert.Equal(["a(x=1,y=2)", "b"], MixerSpec.Split("a(x=1,y=2), b", ','));
}
