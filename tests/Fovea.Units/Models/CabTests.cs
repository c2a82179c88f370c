using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Units;

public class CabTests
{
    static IReadOnlyList<CabMetric> Metrics(params (double Value, bool Lower)[] values) => [.. values.Select((v, i) => new CabMetric($"m{i}", v.Value, v.Lower))];

    [Fact]
    public void The_index_is_the_mean_deviation_with_losses_turned_round()
    {
        // Losses 1, 2, 3 and accuracies 0.5, 0.5, 0.8: deviations ±√1.5 and (−√½, −√½, √2).
        double[] index = CabScores.Index([[Metrics((1, true), (0.5, false)), Metrics((2, true), (0.5, false)), Metrics((3, true), (0.8, false))]]);
        Assert.Equal((Math.Sqrt(1.5) - Math.Sqrt(0.5)) / 2, index[0], 9); Assert.Equal(-Math.Sqrt(0.5) / 2, index[1], 9); Assert.Equal((-Math.Sqrt(1.5) + Math.Sqrt(2)) / 2, index[2], 9);
    }

    [Fact]
    public void Who_lacks_a_task_has_no_index_and_does_not_move_the_others()
    {
        double[] index = CabScores.Index([[Metrics((1, false)), null, Metrics((3, false))]]);
        Assert.Equal(-1, index[0], 9); Assert.True(double.IsNaN(index[1])); Assert.Equal(1, index[2], 9);
        Assert.Equal([0, 0], CabScores.Index([[Metrics((2, true)), Metrics((2, true))]]));
    }

    [Fact]
    public void Correlation_leaves_out_what_is_missing()
    {
        Assert.Equal(1, CabScores.Correlation([1, 2, double.NaN, 4], [3, 5, 100, 9]), 9);
        Assert.Equal(-1, CabScores.Correlation([1, 2, 3], [6, 4, 2]), 9);
        Assert.True(double.IsNaN(CabScores.Correlation([1], [1])));
    }

    [Fact]
    public void A_fit_finds_the_curve_that_points_lie_on()
    {
        int[] lengths = [256, 512, 1024, 2048, 4096, 8192];
        var parabola = CostCurve.Fit([.. lengths.Select(n => ((double)n, 3e-9 * n * n + 2e-6 * n + 1e-4))], true); var line = CostCurve.Fit([.. lengths.Select(n => ((double)n, 8e-6 * n + 1e-3))], false);
        Assert.Equal(3e-9, parabola.Square, 1e-13); Assert.Equal(2e-6, parabola.Line, 1e-10); Assert.Equal(1e-4, parabola.Base, 1e-7); Assert.Equal(1, parabola.R2, 9);
        // 3e-9 n² − 6e-6 n − 9e-4 = 0
        Assert.Equal((6e-6 + Math.Sqrt(36e-12 + 4 * 3e-9 * 9e-4)) / 6e-9, line.EfficiencyLength(parabola)!.Value, 1e-3);
    }

    [Fact]
    public void A_line_below_a_parabola_is_cheaper_from_zero_and_one_below_a_line_may_never_be()
    {
        Assert.Equal(0, new CostCurve(0, 1, 0, 1).EfficiencyLength(new(1, 2, 3, 1)));
        Assert.Equal(0, new CostCurve(0, 1, 1, 1).EfficiencyLength(new(1, 0, 2, 1)));
        Assert.Null(new CostCurve(0, 2, 0, 1).EfficiencyLength(new(0, 1, 5, 1)));
        Assert.Equal(5, new CostCurve(0, 1, 5, 1).EfficiencyLength(new(0, 2, 0, 1)));
    }

    [Theory]
    [InlineData(CabPattern.CausalSelf, Traits.Causal, true), InlineData(CabPattern.NoncausalSelf, Traits.Causal, false), InlineData(CabPattern.CausalCross, Traits.Causal, false)]
    [InlineData(CabPattern.CausalCross, Traits.Bidirectional | Traits.Cross, false), InlineData(CabPattern.NoncausalCross, Traits.Bidirectional | Traits.Cross, true)]
    [InlineData(CabPattern.NoncausalCross, Traits.Bidirectional | Traits.Cross | Traits.Sparse, false)]
    public void Patterns_follow_from_traits(CabPattern pattern, Traits traits, bool declared) => Assert.Equal(declared, CabScores.Declares(traits, pattern));

    [Fact]
    public void Hidden_text_asks_for_what_it_hides_and_for_nothing_else()
    {
        var inner = new GrammarText(40); var hidden = new HiddenText(inner, 0.2); Batch a = inner.Batch(new Rng(3), 1, 4), b = hidden.Batch(new Rng(3), 1, 4);
        Assert.Equal(4 * 8, b.Asked);
        for (int i = 0; i < a.Inputs.Length; i++)
        {
            Assert.Equal(b.Targets[i] >= 0, b.Inputs[i] == hidden.Mask);
            Assert.Equal(a.Inputs[i], b.Targets[i] >= 0 ? b.Targets[i] : b.Inputs[i]);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new HiddenText(inner, 1));
    }

    [Fact]
    public void A_summary_holds_the_facts_of_its_source_in_the_order_of_keys()
    {
        var facts = new MarkedFacts(20, keys: 5, values: 3, fillers: 4); var (source, target) = facts.Batch(new Rng(2), 0, 3);
        for (int b = 0; b < 3; b++)
        {
            int[] found = [.. source.AsSpan(b * 20, 20).ToArray().Where(t => t >= facts.Fillers).Order()];
            Assert.Equal(found, target.Target(b).ToArray());
            Assert.Equal([0, 1, 2, 3, 4], found.Select(t => (t - facts.Fillers) / facts.Values));
            Assert.Equal([facts.Begin, .. found[..4]], target.Input(b).ToArray());
        }
        var (again, asked) = facts.Questions(new Rng(2), 0, 3);
        Assert.Equal(source, again);
        for (int i = 0; i < 15; i++) Assert.Equal(target.Targets[i / 5 * 5 + asked.Inputs[i] - facts.Begin - 1], asked.Targets[i]);
        Assert.NotEqual(target.Targets, asked.Targets);
        Assert.Throws<ArgumentException>(() => new MarkedFacts(4, keys: 5));
    }

    [Fact]
    public void What_sees_later_tokens_leaks_and_what_does_not_does_not()
    {
        var w = Weights.Random(new Rng(5));
        Assert.Equal(0, CabChecks.Leak(new SoftmaxAttention(CabChecks.Config(true), w), false, new Rng(1)));
        Assert.True(CabChecks.Leak(new SoftmaxAttention(CabChecks.Config(false), w), false, new Rng(1)) > 0.01);
        Assert.Equal(0, CabChecks.Leak(new SoftmaxAttention(CabChecks.Config(false), w), true, new Rng(1)));
        Assert.True(CabChecks.Leak(new NystromAttention(CabChecks.Config(false), w), true, new Rng(1)) > 0.01);
    }
}
