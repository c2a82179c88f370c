using Fovea.Models;
namespace Fovea.Units;

public class PointerTests
{
    [Fact] public void A_hull_is_counter_clockwise_from_the_lowest_place() => Assert.Equal([2, 3, 5, 4], PointSets.Hull([(0.5, 0.5), (1, 0), (1, 1), (0, 0), (0, 1)]));

    [Fact]
    public void Every_point_lies_left_of_every_side_of_a_drawn_hull()
    {
        var b = PointSets.Hulls(new Rng(1), 30, 12);
        for (int r = 0; r < 30; r++)
        {
            var hull = b.Answer(r); Assert.Equal(hull.Min(), hull[0]);
            for (int i = 0; i < hull.Length; i++)
                for (int p = 1; p <= 12; p++)
                {
                    var (u, v, x) = (b.Point(r, hull[i]), b.Point(r, hull[(i + 1) % hull.Length]), b.Point(r, p));
                    Assert.True((v.X - u.X) * (x.Y - u.Y) - (v.Y - u.Y) * (x.X - u.X) >= -1e-7);
                }
        }
    }

    [Fact]
    public void Area_is_that_of_simple_polygons_only()
    {
        Assert.Equal(1, PointSets.Area([(0, 0), (1, 0), (1, 1), (0, 1)])); Assert.Equal(0.5, PointSets.Area([(0, 0), (0, 1), (1, 0)]));
        Assert.Equal(0, PointSets.Area([(0, 0), (1, 1), (1, 0), (0, 1)]));      // crosses itself
        Assert.Equal(0, PointSets.Area([(0, 0), (1, 1)])); Assert.Equal(0, PointSets.Area([(0, 0), (1, 0), (1, 1), (1, 0)]));
    }

    [Fact]
    public void Sorted_places_name_rising_numbers()
    {
        var b = PointSets.Sorting(new Rng(2), 20, 7);
        for (int r = 0; r < 20; r++) { var x = b.Answer(r).Select(p => b.Point(r, p).X).ToArray(); Assert.Equal(x.Order(), x); Assert.Equal(7, x.Length); Assert.Equal(0, b.Targets[r * 8 + 7]); }
    }

    [Fact]
    public void An_lstm_steps_as_it_runs()
    {
        var lstm = new Lstm(Weights.Random(new Rng(1)), 3, 5); var x = Tensor.Normal(new Rng(2), [2, 7, 3]); var (all, last) = lstm.Forward(x); var s = lstm.Start(2);
        for (int t = 0; t < 7; t++)
        {
            s = lstm.Step(x.Rows(t, t + 1).Reshape([2, 3]), s);
            Assert.All(s.H.Span.ToArray().Zip(all.Rows(t, t + 1).Span.ToArray()), p => Assert.Equal(p.First, p.Second, 1e-6f));
        }
        Assert.All(last.C.Span.ToArray().Zip(s.C.Span.ToArray()), p => Assert.Equal(p.First, p.Second, 1e-6f));
    }

    [Fact]
    public void An_lstm_is_its_equations()
    {
        var w = Weights.Random(new Rng(1)); var lstm = new Lstm(w, 1, 1); var s = lstm.Step(Tensor.From([0.7f], [1, 1]), new(Tensor.From([0.3f], [1, 1]), Tensor.From([-0.4f], [1, 1])));
        double[] a = [.. Enumerable.Range(0, 4).Select(i => w.All["input"].Span[i] * 0.7 + w.All["recurrent"].Span[i] * 0.3 + (i == 1 ? 1 : 0))]; double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
        double c = Sigmoid(a[1]) * -0.4 + Sigmoid(a[0]) * Math.Tanh(a[2]);
        Assert.Equal(c, s.C.Item, 1e-6); Assert.Equal(Sigmoid(a[3]) * Math.Tanh(c), s.H.Item, 1e-6);
    }

    [Theory, InlineData(true), InlineData(false)]
    public void A_prefix_is_continued_without_a_look_at_what_follows(bool pointer)
    {
        var w = Weights.Random(new Rng(1)); SequenceToSequence m = pointer ? new PointerNetwork(w, 2, 8) : new DictionaryNetwork(w, 2, 8, 9); var b = PointSets.Hulls(new Rng(3), 2, 6);
        Tensor few = m.Forward(b.Inputs, [1, 2]), many = m.Forward(b.Inputs, [1, 5, 2, 2, 3, 1]);
        Assert.Equal(pointer ? 7 : 10, few.Shape[2]);
        Assert.All(few.Rows(0, 2).Span.ToArray().Zip(many.Rows(0, 2).Span.ToArray()), p => Assert.Equal(p.First, p.Second, 1e-6f));
    }

    [Fact]
    public void Decoding_ends_and_repeats_nothing_if_asked()
    {
        var m = new PointerNetwork(Weights.Random(new Rng(1)), 2, 8); var b = PointSets.Hulls(new Rng(3), 5, 6);
        Assert.All(m.Decode(b.Inputs, 7, once: true), x => { Assert.Equal(x.Distinct(), x); Assert.All(x, p => Assert.InRange(p, 1, 6)); });
    }

    [Fact]
    public void Layouts_give_each_layer_its_mixer()
    {
        var config = new ModelConfig(9, 16, 5, 2); var m = new DecoderModel(config, Weights.Random(new Rng(1)), Layouts.Based(4, 3));
        Assert.Equal(["BaseConv", "BasedAttention", "SlidingWindowAttention", "BaseConv", "BaseConv"], m.Blocks.Select(x => x.Mixer.GetType().Name));
        Assert.Throws<ArgumentException>(() => Layouts.Based(layout: "clx")); Assert.Throws<ArgumentException>(() => Layouts.Based(layout: ""));
    }
}
