using Fovea.Engine;
namespace Fovea.Units;

public class SamplerTests
{
    static readonly float[] Logits = [0, 3, 1, 2.5f, -1, 3.2f, float.NegativeInfinity, 0.5f];
    // The shares of 20,000 draws, token by token.
    static double[] Shares(Sampling s, float[]? logits = null, Func<int, bool>? allowed = null)
    {
        var sampler = new Sampler(s); var counts = new double[(logits ?? Logits).Length];
        for (int i = 0; i < 20_000; i++) counts[sampler.Next(logits ?? Logits, [], i, allowed)] += 1 / 20_000.0;
        return counts;
    }
    // What the shares must be: softmax at a temperature over some tokens.
    static double[] Softmax(double t, params int[] tokens)
    {
        var p = new double[Logits.Length]; double sum = tokens.Sum(i => Math.Exp(Logits[i] / t));
        foreach (int i in tokens) p[i] = Math.Exp(Logits[i] / t) / sum;
        return p;
    }
    static void Near(double[] expected, double[] found) { for (int i = 0; i < expected.Length; i++) { Assert.InRange(found[i], expected[i] - 0.015, expected[i] + 0.015); if (expected[i] == 0) Assert.Equal(0, found[i]); } }

    [Fact] public void Greedy_takes_the_likeliest_and_of_equal_ones_the_first() => Assert.Equal((5, 1), (new Sampler(Sampling.Greedy).Next(Logits, [], 0), new Sampler(Sampling.Greedy).Next([0, 2, 2], [], 7)));
    [Fact] public void Temperature_divides_logits() => Near(Softmax(2, 0, 1, 2, 3, 4, 5, 7), Shares(new() { Temperature = 2 }));
    [Fact] public void Top_k_leaves_the_likeliest() => Near(Softmax(1, 5, 1, 3), Shares(new() { Temperature = 1, TopK = 3 }));
    // Probabilities are 0.409, 0.335, 0.203 … of the whole: two hold 0.7 of it, three 0.9.
    [Fact] public void Top_p_leaves_the_fewest_that_hold_it() { Near(Softmax(0.5, 5, 1), Shares(new() { Temperature = 0.5, TopP = 0.7 })); Near(Softmax(1, 5, 1, 3), Shares(new() { Temperature = 1, TopP = 0.85 })); }
    [Fact] public void Min_p_leaves_those_near_the_likeliest() => Near(Softmax(1, 5, 1, 3), Shares(new() { Temperature = 1, MinP = 0.3 }));
    [Fact] public void A_constraint_is_a_renormalised_distribution() => Near(Softmax(1, 2, 3, 4), Shares(new() { Temperature = 1 }, allowed: t => t is 2 or 3 or 4));
    [Fact] public void Bias_forbids_and_prefers() => Near(Softmax(1, 0, 2, 3, 4, 7).Select((p, i) => i == 1 ? 0 : p).ToArray(), Shares(new() { Temperature = 1, Bias = new Dictionary<int, double> { [1] = double.NegativeInfinity, [5] = -100 } }));
    [Fact] public void Nothing_left_is_an_error() => Assert.Contains("no token may be drawn", Assert.Throws<NothingAllowedException>(() => new Sampler(Sampling.Usual).Next(Logits, [], 0, _ => false)).Message);
    [Fact] public void A_logit_that_is_no_number_is_an_error() => Assert.Throws<ArithmeticException>(() => new Sampler(Sampling.Usual).Next([0, float.NaN, 1], [], 0));

    [Fact]
    public void Penalties_look_at_the_last_tokens()
    {
        int Next(Sampling s, params int[] text) => new Sampler(s with { PenaltyLength = 3 }).Next([-1, 3, 5], text, 0);
        Assert.Equal(2, Next(new() { RepetitionPenalty = 2 }, 2, 0, 0, 0));          // 2 was too long ago
        Assert.Equal(1, Next(new() { RepetitionPenalty = 2 }, 2, 0, 0));             // 5/2 is below 3
        Assert.Equal(0, new Sampler(new() { RepetitionPenalty = 10 }).Next([-1, -0.5f], [1], 0));       // a negative logit is multiplied
        Assert.Equal(2, Next(new() { FrequencyPenalty = 0.9 }, 2, 2)); Assert.Equal(1, Next(new() { FrequencyPenalty = 0.9 }, 2, 2, 2));
        Assert.Equal(1, Next(new() { PresencePenalty = 2.1 }, 2)); Assert.Equal(2, Next(new() { PresencePenalty = 1.9 }, 2, 2, 2));
    }

    [Fact]
    public void The_largest_of_many_are_found_in_any_order()
    {
        for (int seed = 0; seed < 30; seed++)
        {
            var x = new float[200]; new Rng((ulong)seed).Normal(x); for (int i = 0; i < 200; i += 3) x[i] = MathF.Round(x[i]);
            int k = 1 + seed * 5; var best = x.Select((v, i) => (v, i)).OrderByDescending(p => p.v).ThenBy(p => p.i).Take(k).Select(p => p.i).ToHashSet();
            var sampler = new Sampler(new() { Temperature = 50, TopK = k }); var seen = new HashSet<int>();
            for (int i = 0; i < 6000; i++) seen.Add(sampler.Next(x, [], i));
            Assert.Subset(best, seen); Assert.True(seen.Count >= k * 0.95, $"{seen.Count} of {k}");
        }
    }

    [Fact]
    public void The_same_seed_draws_the_same_whatever_was_drawn_before()
    {
        var s = new Sampling { Temperature = 1, Seed = 9 };
        int[] Draws(int from) { var sampler = new Sampler(s); return [.. Enumerable.Range(from, 20).Select(i => sampler.Next(Logits, [], i))]; }
        Assert.Equal(Draws(0)[10..], Draws(10)[..10]); Assert.NotEqual(Draws(0), Draws(20));
    }

    [Theory, InlineData("temperature"), InlineData("top-p"), InlineData("min-p")]
    public void What_is_out_of_range_is_named(string name) => Assert.Contains(name, Assert.Throws<ArgumentException>(() => (name switch { "temperature" => new Sampling { Temperature = -1 }, "top-p" => new() { TopP = 0 }, _ => new() { MinP = double.NaN } }).Checked()).Message);
}
