using System.Runtime.Intrinsics;
using Fovea.Kernels;
namespace Fovea.Units;

[Collection("threads")]
public sealed class FlashBackwardTests
{
    [Theory, MemberData(nameof(FlashTests.Shapes), MemberType = typeof(FlashTests))]
    public void Equals_the_derivative_of_the_definition(int n, int m, int d, int e)
    {
        var s = new AttentionSize(2, 2, 2, n, m, d, e); int late = Math.Max(0, m - n);
        new FlashCase<Plain, Everything, SoftmaxWeights>(s, new(), new()) { DLse = GemmTests.Numbers(4 * n, 9) }.AgreesInGradients();
        new FlashCase<Plain, Causal, SoftmaxWeights>(s, new(), new()) { Offset = late }.AgreesInGradients();
        new FlashCase<Capped, Sliding, SoftmaxWeights>(s, new(0.5f), new(9)) { Offset = late }.AgreesInGradients();
        new FlashCase<Plain, Everything, Logistic>(s, new(), new()).AgreesInGradients(2e-5);
    }

    [Fact]
    public void Query_heads_add_up_in_their_key_head()
    {
        new FlashCase<Plain, Causal, SoftmaxWeights>(new AttentionSize(2, 6, 2, 70, 90, 20, 12), new(), new()) { Offset = 20 }.AgreesInGradients();
        new FlashCase<Fading, Everything, SoftmaxWeights>(new AttentionSize(1, 4, 1, 33, 50, 16, 16), new(0.2f), new()).AgreesInGradients();
    }

    [Fact]
    public void Patterns_with_holes_and_empty_rows_are_followed()
    {
        var s = new AttentionSize(1, 2, 1, 110, 700, 16, 16);
        new FlashCase<Plain, Stripes, SoftmaxWeights>(s, new(), new()).AgreesInGradients();
        new FlashCase<Capped, Stripes, Logistic>(s, new(2), new()).AgreesInGradients();
        foreach (int width in new[] { 1, 17, 300 }) new FlashCase<Plain, Sliding, SoftmaxWeights>(s, new(), new(width)) { Offset = 400 }.AgreesInGradients();
        new FlashCase<Plain, Causal, SoftmaxWeights>(s, new(), new()) { Offset = -20 }.AgreesInGradients();
        var (dq, dk, dv) = new FlashCase<Plain, Blind, SoftmaxWeights>(s, new(), new()).RunGradients();
        Assert.All((Real[])[.. dq, .. dk, .. dv], x => Assert.Equal(0, x));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 3)]
    [InlineData(64, 64)]
    [InlineData(7, 33)]
    public void Only_listed_blocks_get_gradients(int queryBlock, int keyBlock)
    {
        var s = new AttentionSize(2, 2, 1, 100, 330, 16, 24); var blocks = FlashTests.Blocks(s, queryBlock, keyBlock, 5);
        new FlashCase<Plain, Everything, SoftmaxWeights>(s, new(), new()) { Blocks = blocks }.AgreesInGradients();
        new FlashCase<Capped, Causal, SoftmaxWeights>(s, new(1), new()) { Blocks = blocks, Offset = 120 }.AgreesInGradients();
        new FlashCase<Plain, Stripes, Logistic>(s, new(), new()) { Blocks = blocks }.AgreesInGradients();
    }

    [Fact]
    public void Keys_may_stand_at_positions_with_gaps()
    {
        int[] positions = [.. Enumerable.Range(0, 300).Select(j => j + j / 7 * 3)];
        var s = new AttentionSize(1, 2, 1, 80, 300, 20, 16);
        new FlashCase<Plain, Causal, SoftmaxWeights>(s, new(), new()) { Offset = 200, Positions = positions }.AgreesInGradients();
        new FlashCase<Fading, Sliding, SoftmaxWeights>(s, new(0.2f), new(90)) { Offset = 200, Positions = positions }.AgreesInGradients();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_learned_score_is_asked_for_seen_pairs_only_and_gets_their_gradients(bool gaps) => Learned(new Sliding(Reach), gaps);

    [Fact]
    public void So_it_is_where_keys_stand_side_by_side() => Learned(new Near(Reach - 1, 0), false);

    const int Reach = 40;
    static void Learned<TPattern>(TPattern pattern, bool gaps) where TPattern : struct, IPattern
    {
        const int B = 2, H = 3, N = 90;
        Real[] a = GemmTests.Numbers(H * Reach, 21), b = GemmTests.Numbers(H * Reach, 22); double[] da = new double[B * H * Reach], db = new double[B * H * Reach];
        int[] positions = gaps ? [.. Enumerable.Range(0, N).Select(j => j + j / 5)] : [];
        var c = new FlashCase<Table, TPattern, SoftmaxWeights>(new AttentionSize(B, H, 1, N, N, 8, 8), new(a, b, da, db, H, Reach), pattern) { Offset = 5, Positions = positions };
        c.Agrees(); c.AgreesInGradients();
        // Each of a and b moved alone, in float64 by the chain rule of the logits: d/db of Σ dO·O.
        Array.Clear(da); Array.Clear(db); c.RunGradients();
        foreach (int at in new[] { 0, 7, Reach + 39, 2 * Reach + 20 })
            foreach (var (x, g) in new[] { (a, da), (b, db) })
            {
                Real old = x[at]; const Real Step = 0.05f;
                x[at] = old + Step; double up = Loss(); x[at] = old - Step; double down = Loss(); x[at] = old;
                double measured = (up - down) / (2 * Step), found = g[at] + g[H * Reach + at];
                Assert.True(Math.Abs(measured - found) < 2e-3 * (1 + Math.Abs(measured)), $"[{at}] is {found}, measured {measured}");
            }
        double Loss() { var (o, _) = c.Expected(); double sum = 0; for (int i = 0; i < o.Length; i++) sum += o[i] * c.DO[i]; return sum; }
    }

    static void Width<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        var width = new Fixed<TLanes, V>(); var s = new AttentionSize(2, 4, 2, 45, 290, 12, 20);
        new FlashCase<Plain, Everything, SoftmaxWeights>(s, new(), new()).AgreesInGradients(width);
        new FlashCase<Capped, Stripes, SoftmaxWeights>(s, new(1), new()) { Offset = 200 }.AgreesInGradients(width);
        new FlashCase<Capped, Causal, Logistic>(s, new(1), new()) { Offset = 100, Blocks = FlashTests.Blocks(s, 5, 7, 3) }.AgreesInGradients(width);
        new FlashCase<Plain, Causal, SoftmaxWeights>(new AttentionSize(1, 1, 1, 30, 64, 64, 64), new(), new()).AgreesInGradients(width);
    }
    [Fact] public void Is_right_in_512_bits() => Width<Lanes512, Vector512<Real>>();
    [Fact] public void Is_right_in_256_bits() => Width<Lanes256, Vector256<Real>>();
    [Fact] public void Is_right_in_128_bits() => Width<Lanes128, Vector128<Real>>();
    [Fact] public void Is_right_one_number_at_a_time() => Width<Lanes1, Real>();

    [Fact]
    public void Long_ranges_of_keys_share_the_gradient_of_the_queries()
        => new FlashCase<Plain, Sliding, SoftmaxWeights>(new AttentionSize(1, 2, 1, 200, 1800, 16, 16), new(), new(1200)) { Offset = 1500 }.AgreesInGradients();

    [Fact]
    public void Gives_the_same_bits_on_any_number_of_threads()
    {
        int before = Threads.Max;
        try
        {
            var c = new FlashCase<Fading, Causal, SoftmaxWeights>(new AttentionSize(1, 4, 2, 200, 1500, 16, 20), new(0.001f), new()) { Offset = 1300 }; Real[]? first = null;
            foreach (int threads in new[] { 1, 2, 3 }) { Threads.Max = threads; var (dq, dk, dv) = c.RunGradients(); Real[] all = [.. dq, .. dk, .. dv]; Assert.True((first ??= all).AsSpan().SequenceEqual(all)); }
        }
        finally { Threads.Max = before; }
    }

    [Fact]
    public void A_nan_in_the_incoming_gradient_is_not_hidden()
    {
        var c = new FlashCase<Plain, Everything, SoftmaxWeights>(new AttentionSize(1, 1, 1, 20, 30, 8, 8), new(), new()); c.DO[5] = Real.NaN;
        var (dq, dk, dv) = c.RunGradients();
        Assert.True(Real.IsNaN(dq[0])); Assert.All(dk, x => Assert.True(Real.IsNaN(x))); Assert.True(Real.IsNaN(dv[5]));
    }

    [Fact]
    public void Counts_its_multiply_adds()
    {
        var s = new AttentionSize(1, 2, 2, 64, 96, 16, 16); Real[] q = new Real[2048], k = new Real[3072], lse = new Real[128];
        Assert.Equal(5L * 2 * 64 * 96 * 16, Work.Count(() => Flash.Backward(s, q, k, k, 0, default, new Plain(), new Everything(), q, lse, q, new Real[2048], new Real[3072], new Real[3072])));
    }

    [Fact]
    public void Arguments_are_checked()
    {
        var s = new AttentionSize(1, 2, 2, 5, 6, 4, 4); Real[] q = new Real[40], k = new Real[48], l = new Real[10];
        var e = Assert.Throws<ArgumentException>(() => Flash.Backward(s, q, k, k, 0, default, new Plain(), new Causal(), q, l, q, q, k.AsSpan(1), k));
        Assert.Equal("dk holds 47 numbers, needs 48", e.Message);
        Assert.Throws<ArgumentException>(() => Flash.Backward<Plain, Causal, SoftmaxWeights>(s, q, k, k, 0, default, new(), new(), null, q, l, new Real[9], q, q, k, k));
    }
}
