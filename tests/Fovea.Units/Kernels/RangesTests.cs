using System.Runtime.Intrinsics;
using Fovea.Kernels;
namespace Fovea.Units;

/// <summary>Queries that see few keys, side by side, at most half of all.</summary>
[Collection("threads")]
public sealed class RangesTests
{
    static FlashCase<TScore, Near, TWeights> Case<TScore, TWeights>(AttentionSize s, TScore score, int back, int ahead, int offset = 0) where TScore : struct, IScore where TWeights : struct, INormaliser => new(s, score, new(back, ahead)) { Offset = offset };

    [Theory, InlineData(0, 0), InlineData(6, 0), InlineData(30, 39), InlineData(63, 0), InlineData(-5, 60), InlineData(70, -9), InlineData(-1, 0)]
    public void Equal_the_definition(int back, int ahead)
    {
        foreach (var (n, m, d, e, offset) in new[] { (200, 200, 64, 64, 0), (70, 300, 20, 12, 200), (37, 150, 1, 33, 113), (300, 150, 8, 80, -40), (450, 450, 8, 8, 0) })
        {
            var s = new AttentionSize(2, 4, 2, n, m, d, e);
            foreach (Real[] slopes in (Real[][])[[], GemmTests.Numbers(8 * n, 9)])
            {
                var c = Case<Plain, SoftmaxWeights>(s, new(), back, ahead, offset); c.DLse = slopes;
                c.Agrees(); c.AgreesInGradients();
            }
            Case<Capped, SoftmaxWeights>(s, new(0.5f), back, ahead, offset).AgreesInGradients(); Case<Plain, Logistic>(s, new(), back, ahead, offset).AgreesInGradients(2e-5);
            Case<Fading, SoftmaxWeights>(s, new(0.3f), back, ahead, offset).Agrees(); Case<Capped, Logistic>(s, new(1), back, ahead, offset).Agrees();
        }
    }

    [Fact]
    public void Take_more_than_one_step_where_they_are_long()
    {
        var s = new AttentionSize(1, 1, 1, 90, 6000, 4, 8);
        var c = Case<Plain, SoftmaxWeights>(s, new(), 2900, 0, 5500); c.Agrees(1e-5); c.AgreesInGradients(1e-4); Case<Fading, SoftmaxWeights>(s with { Scale = 20 }, new(0.01f), 2500, 300, 3000).Agrees(1e-4); Case<Plain, Logistic>(s, new(), 2900, 50, 4000).Agrees(1e-4);
    }

    [Fact]
    public void Large_scores_stay_exact_and_those_of_keys_that_are_not_seen_do_not_count()
    {
        var c = Case<Plain, SoftmaxWeights>(new AttentionSize(1, 1, 1, 120, 120, 4, 8) { Scale = 1 }, new(), 9, 0);
        for (int i = 0; i < c.K.Length; i++) c.K[i] *= i / 4 % 20 == 0 ? 3000 : 1;
        // Scores of some thousands are themselves only known to 2e-4, and weights to as much of themselves.
        c.Agrees(1e-4); c.AgreesInGradients(2e-3);
    }

    [Fact]
    public void What_is_not_a_number_reaches_who_sees_it_and_nobody_further_away_than_a_group()
    {
        var c = Case<Plain, SoftmaxWeights>(new AttentionSize(1, 1, 1, 200, 200, 8, 8), new(), 20, 0);
        for (int d = 0; d < 8; d++) c.K[90 * 8 + d] = Real.NaN;
        var (o, lse) = c.Run();
        for (int i = 0; i < 200; i++) { bool sees = i >= 90 && i <= 110; Assert.Equal(sees, Real.IsNaN(lse[i])); Assert.Equal(sees, Real.IsNaN(o[i * 8])); }
    }

    static void Width<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        var width = new Fixed<TLanes, V>(); var s = new AttentionSize(1, 4, 2, 150, 290, 12, 20);
        Case<Plain, SoftmaxWeights>(s, new(), 100, 7, 130).Agrees(width); Case<Fading, Logistic>(s, new(0.2f), 50, 0, 130).Agrees(width);
        Case<Plain, SoftmaxWeights>(s, new(), 100, 7, 130).AgreesInGradients(width); Case<Capped, Logistic>(s, new(1), 50, 0, 130).AgreesInGradients(width);
    }
    [Fact] public void Are_right_in_512_bits() => Width<Lanes512, Vector512<Real>>();
    [Fact] public void Are_right_in_256_bits() => Width<Lanes256, Vector256<Real>>();
    [Fact] public void Are_right_in_128_bits() => Width<Lanes128, Vector128<Real>>();
    [Fact] public void Are_right_one_number_at_a_time() => Width<Lanes1, Real>();

    [Fact]
    public void Give_the_same_bits_on_any_number_of_threads()
    {
        int before = Threads.Max;
        try
        {
            var c = Case<Fading, SoftmaxWeights>(new AttentionSize(2, 4, 2, 700, 900, 16, 20), new(0.001f), 100, 0, 200); Real[]? first = null;
            foreach (int threads in new[] { 1, 2, 3 }) { Threads.Max = threads; var (o, lse) = c.Run(); var (dq, dk, dv) = c.RunGradients(); Real[] all = [.. o, .. lse, .. dq, .. dk, .. dv]; Assert.True((first ??= all).AsSpan().SequenceEqual(all)); }
        }
        finally { Threads.Max = before; }
    }

    [Fact]
    public void Work_is_that_of_the_pairs_seen_and_little_more()
    {
        var c = Case<Plain, SoftmaxWeights>(new AttentionSize(1, 1, 1, 2048, 2048, 32, 32), new(), 215, 0); const double Pairs = 2048 * 216 - 216 * 215 / 2;
        long forward = Work.Count(() => c.Run());
        Assert.InRange(forward / (Pairs * 64), 1, 1.25); Assert.InRange((Work.Count(() => c.RunGradients()) - forward) / (Pairs * 160), 1, 1.25);
    }
}
