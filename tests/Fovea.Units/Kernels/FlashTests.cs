using System.Runtime.Intrinsics;
using Fovea.Kernels;
namespace Fovea.Units;

[Collection("threads")]
public sealed class FlashTests
{
    static FlashCase<TScore, TPattern, SoftmaxWeights> Case<TScore, TPattern>(AttentionSize s, TScore score, TPattern pattern) where TScore : struct, IScore where TPattern : struct, IPattern => new(s, score, pattern);

    public static TheoryData<int, int, int, int> Shapes()
    {
        var data = new TheoryData<int, int, int, int>();
        foreach (int n in new[] { 1, 7, 70, 200 }) foreach (int m in new[] { 1, 7, 70, 200, 300 })
            data.Add(n, m, new[] { 1, 3, 16, 20, 64, 80 }[(n + m) % 6], new[] { 64, 16, 1, 80, 3, 20 }[(n * 3 + m) % 6]);
        foreach (int d in new[] { 1, 3, 16, 20, 64, 80 }) { data.Add(33, 41, d, d); data.Add(3, 150, d, d); }
        return data;
    }

    [Theory, MemberData(nameof(Shapes))]
    public void Equals_the_definition(int n, int m, int d, int e)
    {
        var s = new AttentionSize(2, 2, 2, n, m, d, e); int late = Math.Max(0, m - n);
        Case(s, new Plain(), new Everything()).Agrees();
        new FlashCase<Plain, Causal, SoftmaxWeights>(s, new(), new()) { Offset = late }.Agrees();
        new FlashCase<Fading, Causal, SoftmaxWeights>(s, new(0.3f), new()) { Offset = late }.Agrees();
        new FlashCase<Capped, Sliding, SoftmaxWeights>(s, new(0.5f), new(9)) { Offset = late }.Agrees();
        new FlashCase<Plain, Everything, Logistic>(s, new(), new()).Agrees();
        new FlashCase<Fading, Sliding, Logistic>(s, new(0.2f), new(50)) { Offset = late }.Agrees();
    }

    [Fact]
    public void Query_heads_share_key_heads_in_order_and_batches_do_not_mix()
    {
        foreach (int n in new[] { 2, 70 })
        {
            Case(new AttentionSize(3, 6, 2, n, 70, 20, 12), new Plain(), new Everything()).Agrees();
            Case(new AttentionSize(2, 4, 1, n, 90, 16, 16), new Fading(0.1f), new Causal()).Agrees();
        }
    }

    [Fact]
    public void Patterns_with_holes_and_empty_rows_are_followed()
    {
        foreach (int n in new[] { 4, 70, 200 })
        {
            var s = new AttentionSize(1, 2, 1, n, 700, 16, 16);
            Case(s, new Plain(), new Stripes()).Agrees(); Case(s, new Capped(2), new Stripes()).Agrees();
            foreach (int width in new[] { 1, 17, 256, 300 }) new FlashCase<Plain, Sliding, SoftmaxWeights>(s, new(), new(width)) { Offset = 400 }.Agrees();
            new FlashCase<Plain, Stripes, Logistic>(s, new(), new()).Agrees();
        }
    }

    [Fact]
    public void A_row_that_sees_nothing_gives_zeros()
    {
        foreach (int n in new[] { 1, 30 })
        {
            var (o, lse) = Case(new AttentionSize(1, 2, 2, n, 50, 8, 8), new Plain(), new Blind()).Run();
            Assert.All(o, x => Assert.Equal(0, x)); Assert.All(lse, x => Assert.Equal(Real.NegativeInfinity, x));
            (o, lse) = new FlashCase<Plain, Causal, SoftmaxWeights>(new AttentionSize(1, 1, 1, n, 50, 8, 8), new(), new()) { Offset = -20 }.Run();
            for (int i = 0; i < n; i++) Assert.Equal(i < 20, Real.IsNegativeInfinity(lse[i]));
            (o, lse) = Case(new AttentionSize(1, 2, 2, n, 0, 8, 8), new Plain(), new Everything()).Run();
            Assert.All(o, x => Assert.Equal(0, x)); Assert.All(lse, x => Assert.Equal(Real.NegativeInfinity, x));
        }
    }

    [Fact]
    public void Keys_may_stand_at_positions_with_gaps()
    {
        foreach (int n in new[] { 3, 80 })
        {
            int[] positions = [.. Enumerable.Range(0, 300).Select(j => j + j / 7 * 3 + (j > 150 ? 40 : 0))];
            foreach (int offset in new[] { 0, 100, 400 })
            {
                var s = new AttentionSize(1, 2, 1, n, 300, 20, 16);
                new FlashCase<Plain, Causal, SoftmaxWeights>(s, new(), new()) { Offset = offset, Positions = positions }.Agrees();
                new FlashCase<Fading, Sliding, SoftmaxWeights>(s, new(0.2f), new(90)) { Offset = offset, Positions = positions }.Agrees();
            }
            Assert.Throws<ArgumentException>(() => new FlashCase<Plain, Causal, SoftmaxWeights>(new AttentionSize(1, 1, 1, n, 3, 4, 4), new(), new()) { Positions = [0, 5, 4] }.Run());
        }
    }

    public static BlockList Blocks(AttentionSize s, int queryBlock, int keyBlock, int seed)
    {
        int rows = s.Batch * s.Heads * ((s.Queries + queryBlock - 1) / queryBlock), blocks = (s.Keys + keyBlock - 1) / keyBlock; var r = GemmTests.Numbers(rows * blocks, seed);
        List<int> start = [0], keys = [];
        for (int row = 0; row < rows; row++) { for (int b = 0; b < blocks; b++) if (row % 4 != 2 && r[row * blocks + b] > 0.2f) keys.Add(b); start.Add(keys.Count); }
        return new BlockList { QueryBlock = queryBlock, KeyBlock = keyBlock, Start = [.. start], Keys = [.. keys] };
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 16)]
    [InlineData(2, 300)]
    [InlineData(5, 3)]
    [InlineData(64, 64)]
    [InlineData(7, 33)]
    [InlineData(500, 1)]
    public void Only_listed_blocks_are_seen(int queryBlock, int keyBlock)
    {
        foreach (int n in new[] { 2, 100 })
        {
            var s = new AttentionSize(2, 2, 1, n, 330, 16, 24); var blocks = Blocks(s, queryBlock, keyBlock, 5);
            new FlashCase<Plain, Everything, SoftmaxWeights>(s, new(), new()) { Blocks = blocks }.Agrees();
            new FlashCase<Fading, Causal, SoftmaxWeights>(s, new(0.1f), new()) { Blocks = blocks, Offset = 120 }.Agrees();
            new FlashCase<Plain, Stripes, Logistic>(s, new(), new()) { Blocks = blocks }.Agrees();
        }
    }

    [Fact]
    public void Spare_rows_of_a_cache_are_not_read()
    {
        const int Heads = 2, Keys = 90, Rows = 128, D = 20;
        foreach (int n in new[] { 2, 50 })
        {
            var s = new AttentionSize(1, Heads, Heads, n, Keys, D, D); var dense = Case(s, new Plain(), new Everything()); var (o, lse) = dense.Run(); var (dq, dk, dv) = dense.RunGradients();
            var roomy = Case(s with { KeyRows = Rows }, new Plain(), new Everything()); roomy.K = Spread(dense.K); roomy.V = Spread(dense.V);
            var (ro, rl) = roomy.Run(); var (rq, rk, rv) = roomy.RunGradients();
            Assert.Equal(o, ro); Assert.Equal(lse, rl); Assert.Equal(dq, rq); Assert.Equal(Spread(dk, 0), rk); Assert.Equal(Spread(dv, 0), rv);
        }
        static Real[] Spread(Real[] x, Real spare = Real.NaN)
        {
            var y = new Real[Heads * Rows * D]; Array.Fill(y, spare);
            for (int h = 0; h < Heads; h++) x.AsSpan(h * Keys * D, Keys * D).CopyTo(y.AsSpan(h * Rows * D));
            return y;
        }
    }

    [Fact]
    public void Large_logits_stay_exact()
    {
        foreach (int n in new[] { 1, 40 })
        {
            // q·k is a whole number times 1000: exact in both precisions.
            var c = Case(new AttentionSize(1, 2, 2, n, 300, 4, 8) { Scale = 1000 }, new Plain(), new Everything());
            for (int i = 0; i < c.Q.Length; i++) c.Q[i] = Real.Round(c.Q[i] * 3);
            for (int i = 0; i < c.K.Length; i++) c.K[i] = Real.Round(c.K[i] * 3);
            c.Agrees(1e-5);
            // Scores that rise with the key make the running maximum move at every step.
            Case(new AttentionSize(1, 1, 1, n, 900, 4, 8), new Fading(-30), new Everything()).Agrees(1e-4);
        }
    }

    [Fact]
    public void A_nan_or_infinite_score_is_not_hidden()
    {
        foreach (int n in new[] { 1, 40 })
            foreach (Real bad in new[] { Real.NaN, Real.PositiveInfinity })
                foreach (int key in new[] { 0, 33, 299 })
                {
                    var c = Case(new AttentionSize(1, 1, 1, n, 300, 4, 8), new Plain(), new Everything());
                    for (int i = 0; i < c.Q.Length; i++) c.Q[i] = 1;
                    for (int d = 0; d < 4; d++) c.K[key * 4 + d] = bad;
                    var (o, lse) = c.Run();
                    Assert.All(o, x => Assert.True(Real.IsNaN(x))); Assert.All(lse, x => Assert.True(Real.IsNaN(x)));
                    for (int i = 0; i < c.K.Length; i++) if (i / 4 != key) c.K[i] = Real.NegativeInfinity;
                    (o, _) = c.Run();
                    Assert.All(o, x => Assert.True(Real.IsNaN(x)));
                }
    }

    static void Width<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        var width = new Fixed<TLanes, V>();
        foreach (int n in new[] { 2, 45 })
        {
            var s = new AttentionSize(2, 4, 2, n, 290, 12, 20);
            Case(s, new Plain(), new Everything()).Agrees(width);
            new FlashCase<Plain, Causal, SoftmaxWeights>(s, new(), new()) { Offset = 200 }.Agrees(width);
            new FlashCase<Fading, Stripes, SoftmaxWeights>(s, new(0.1f), new()) { Offset = 200 }.Agrees(width);
            new FlashCase<Capped, Causal, Logistic>(s, new(1), new()) { Offset = 100, Blocks = Blocks(s, 5, 7, 3) }.Agrees(width);
        }
        Case(new AttentionSize(1, 1, 1, 30, 64, 64, 64), new Plain(), new Everything()).Agrees(width);
    }
    [Fact] public void Is_right_in_512_bits() => Width<Lanes512, Vector512<Real>>();
    [Fact] public void Is_right_in_256_bits() => Width<Lanes256, Vector256<Real>>();
    [Fact] public void Is_right_in_128_bits() => Width<Lanes128, Vector128<Real>>();
    [Fact] public void Is_right_one_number_at_a_time() => Width<Lanes1, Real>();

    [Fact]
    public void Long_caches_are_joined_from_ranges()
    {
        var s = new AttentionSize(1, 4, 2, 2, 5000, 16, 20);
        Case(s, new Plain(), new Everything()).Agrees(1e-5);
        new FlashCase<Plain, Sliding, SoftmaxWeights>(s, new(), new(1500)) { Offset = 4000 }.Agrees(1e-5);
        new FlashCase<Fading, Causal, Logistic>(s, new(0.01f), new()) { Offset = 100 }.Agrees(1e-5);
        new FlashCase<Plain, Causal, SoftmaxWeights>(s, new(), new()) { Offset = -1 }.Agrees(1e-5);
    }

    [Fact]
    public void Gives_the_same_bits_on_any_number_of_threads()
    {
        int before = Threads.Max;
        try
        {
            foreach (int n in new[] { 1, 300 })
            {
                var c = new FlashCase<Fading, Causal, SoftmaxWeights>(new AttentionSize(2, 4, 2, n, 3000, 16, 20), new(0.001f), new()) { Offset = 2500 }; Real[]? first = null;
                foreach (int threads in new[] { 1, 2, 3 }) { Threads.Max = threads; var (o, lse) = c.Run(); Real[] all = [.. o, .. lse]; Assert.True((first ??= all).AsSpan().SequenceEqual(all)); }
            }
        }
        finally { Threads.Max = before; }
    }

    [Fact]
    public void Two_halves_of_the_keys_merge_to_the_whole()
    {
        foreach (int n in new[] { 2, 70 })
        {
            var c = Case(new AttentionSize(1, 2, 2, n, 200, 16, 20) { Scale = 3 }, new Plain(), new Sliding(90)); c.Offset = 50;
            var (o, lse) = c.Run(); Real[]? mergedO = null, mergedLse = null;
            foreach (var (from, to) in new[] { (0, 77), (77, 200) })
            {
                var half = new FlashCase<Plain, Sliding, SoftmaxWeights>(c.Size with { Keys = to - from }, new(), c.Pattern) { Offset = 50, Q = c.Q, K = Part(c.K, 16), V = Part(c.V, 20), Positions = [.. Enumerable.Range(from, to - from)] };
                Real[] Part(Real[] x, int d) => [.. Enumerable.Range(0, 2).SelectMany(h => x[((h * 200 + from) * d)..((h * 200 + to) * d)])];
                var (po, pl) = half.Run();
                if (mergedO is null) (mergedO, mergedLse) = (po, pl); else Flash.Merge(2 * n, 20, mergedO, mergedLse!, po, pl);
            }
            c.Near("o", mergedO!, [.. o.Select(x => (double)x)], 2e-6); c.Near("lse", mergedLse!, [.. lse.Select(x => (double)x)], 2e-6);
        }
    }

    [Fact]
    public void Merging_with_an_empty_part_changes_nothing()
    {
        Real[] o = [1, 2, 3, 0, 0, 0], lse = [5, Real.NegativeInfinity];
        Flash.Merge(2, 3, o, lse, [0, 0, 0, 7, 8, 9], [Real.NegativeInfinity, 2]);
        Assert.Equal([1, 2, 3, 7, 8, 9], o); Assert.Equal([5, 2], lse);
    }

    [Fact]
    public void Work_is_linear_in_the_window()
    {
        long Count<T>(int n, T pattern) where T : struct, IPattern { var c = Case(new AttentionSize(1, 1, 1, n, n, 16, 16), new Plain(), pattern); return Work.Count(() => c.Run()); }
        Assert.Equal(1024L * 1024 * 32, Count(1024, new Everything()));
        Assert.InRange(Count(1024, new Causal()), 1024L * 1024 * 16, 1024L * 1024 * 17);
        Assert.InRange(Count(4096, new Sliding(64)) / (double)Count(1024, new Sliding(64)), 3.8, 4.2);
    }

    [Fact]
    public void Arguments_are_checked()
    {
        var s = new AttentionSize(1, 2, 2, 5, 6, 4, 4); Real[] q = new Real[40], k = new Real[48];
        Assert.Throws<ArgumentException>(() => Flash.Forward(s with { Heads = 3 }, new Real[60], k, k, 0, default, new Plain(), new Causal(), new Real[60], new Real[15]));
        Assert.Throws<ArgumentException>(() => Flash.Forward(s, q, k, k, 0, default, new Plain(), new Causal(), q, new Real[9]));
        Assert.Throws<ArgumentException>(() => Flash.Forward(s, q, k.AsSpan(1), k, 0, default, new Plain(), new Causal(), q, new Real[10]));
        Assert.Throws<ArgumentException>(() => Flash.Forward(s, q, k, k, 0, new int[5], new Plain(), new Causal(), q, new Real[10]));
        var blocks = new BlockList { QueryBlock = 5, KeyBlock = 3, Start = [0, 1, 2], Keys = [0, 2] };
        Assert.Throws<ArgumentException>(() => Flash.Forward<Plain, Causal, SoftmaxWeights>(s, q, k, k, 0, default, new(), new(), blocks, q, new Real[10]));
    }
}
