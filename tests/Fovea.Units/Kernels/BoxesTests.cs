using System.Runtime.Intrinsics;
using Fovea.Kernels;
namespace Fovea.Units;

[Collection("threads")]
public sealed class BoxesTests
{
    // Tokens anywhere on a grid, each with a box of its own; some boxes are empty.
    static BoxPattern Drawn(int axes, int tokens, int seed)
    {
        var random = new Random(seed); int[][] Axis(Func<int, int> of) => [.. Enumerable.Range(0, axes).Select(_ => Enumerable.Range(0, tokens).Select(of).ToArray())];
        var place = Axis(i => i * 12 / tokens + random.Next(4)); var low = Axis(i => i * 12 / tokens - random.Next(6));
        return new(new Boxes(place, low, [.. low.Select(axis => axis.Select(x => x + random.Next(9)).ToArray())]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Attention_within_boxes_equals_the_definition(int axes)
    {
        foreach (int n in new[] { 3, 70, 200, 530 })
        {
            var s = new AttentionSize(1, 4, 2, n, n, 20, 12); var boxes = Drawn(axes, n, n);
            new FlashCase<Plain, BoxPattern, SoftmaxWeights>(s, new(), boxes).Agrees();
            new FlashCase<Fading, BoxPattern, Logistic>(s, new(0.1f), boxes).Agrees();
            new FlashCase<Plain, BoxPattern, SoftmaxWeights>(s, new(), boxes) { DLse = GemmTests.Numbers(4 * n, 9) }.AgreesInGradients();
            new FlashCase<Capped, BoxPattern, Logistic>(s, new(1), boxes) { Blocks = FlashTests.Blocks(s, 7, 33, 4) }.AgreesInGradients(2e-5);
        }
    }

    // Tokens line by line along the last axis. Separate: what a token sees of an axis depends on its place there alone, as in a neighbourhood; else each has a box of its own.
    static BoxPattern ByLines(int[] lengths, int window, bool separate, int seed, bool shuffled = false)
    {
        int tokens = lengths.Aggregate((a, b) => a * b); var random = new Random(seed); int[] shift = [.. Enumerable.Range(0, 600).Select(_ => random.Next(3))]; int[][] place = new int[lengths.Length][], low = new int[lengths.Length][], high = new int[lengths.Length][];
        for (int a = lengths.Length - 1, step = 1; a >= 0; step *= lengths[a--])
        {
            // Shuffled: lines do not follow each other as their places do.
            int[] order = [.. Enumerable.Range(0, lengths[a])];
            if (shuffled && a < lengths.Length - 1) random.Shuffle(order);
            place[a] = [.. Enumerable.Range(0, tokens).Select(i => order[i / step % lengths[a]])];
            low[a] = [.. place[a].Select((x, i) => separate ? Math.Clamp(x - window / 2, 0, Math.Max(0, lengths[a] - window)) : x - random.Next(window + 1))];
            high[a] = [.. low[a].Select((x, i) => x + window + (separate ? 0 : shift[i % 600] - 1))];
        }
        return new(new Boxes(place, low, high));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Attention_line_by_line_equals_the_definition(bool separate)
    {
        foreach (var (lengths, window) in new (int[], int)[] { ([1, 7], 3), ([7, 10], 5), ([10, 20], 7), ([23, 23], 9), ([40, 5], 4), ([4, 70], 13), ([2, 300], 40), ([3, 4, 17], 3), ([2, 3, 1], 1), ([90, 9], 6) })
        {
            int n = lengths.Aggregate((a, b) => a * b); var s = new AttentionSize(1, 4, 2, n, n, 20, 12); var boxes = ByLines(lengths, window, separate, n);
            Assert.NotNull(boxes.Boxes.Lines);
            new FlashCase<Plain, BoxPattern, SoftmaxWeights>(s, new(), boxes).Agrees();
            new FlashCase<Fading, BoxPattern, Logistic>(s, new(0.1f), boxes).Agrees();
            new FlashCase<Plain, BoxPattern, SoftmaxWeights>(s, new(), boxes) { DLse = GemmTests.Numbers(4 * n, 9) }.AgreesInGradients();
            new FlashCase<Capped, BoxPattern, Logistic>(s, new(1), boxes).AgreesInGradients(2e-5);
        }
    }

    [Fact]
    public void Lines_may_stand_in_any_order()
    {
        foreach (bool separate in new[] { true, false })
            foreach (var (lengths, window) in new (int[], int)[] { ([20, 20], 7), ([120, 5], 4), ([3, 11, 9], 3) })
            {
                int n = lengths.Aggregate((a, b) => a * b); var s = new AttentionSize(1, 4, 2, n, n, 20, 12); var boxes = ByLines(lengths, window, separate, n, true);
                Assert.NotNull(boxes.Boxes.Lines);
                new FlashCase<Fading, BoxPattern, SoftmaxWeights>(s, new(0.1f), boxes).Agrees();
                new FlashCase<Capped, BoxPattern, Logistic>(s, new(1), boxes).AgreesInGradients(2e-5);
            }
    }

    [Fact]
    public void What_a_query_sees_may_be_longer_than_one_step_of_the_softmax()
    {
        var boxes = ByLines([48, 60], 46, true, 1); var s = new AttentionSize(1, 1, 1, 2880, 2880, 8, 8);
        new FlashCase<Plain, BoxPattern, SoftmaxWeights>(s, new(), boxes).Agrees();
        new FlashCase<Plain, BoxPattern, SoftmaxWeights>(s, new(), boxes).AgreesInGradients();
    }

    static void Width<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        var s = new AttentionSize(1, 2, 1, 290, 290, 16, 16); var c = new FlashCase<Fading, BoxPattern, SoftmaxWeights>(s, new(0.1f), Drawn(2, 290, 1));
        c.Agrees(new Fixed<TLanes, V>()); c.AgreesInGradients(new Fixed<TLanes, V>());
        c = new(s with { Queries = 323, Keys = 323 }, new(0.1f), ByLines([19, 17], 6, false, 1));
        c.Agrees(new Fixed<TLanes, V>()); c.AgreesInGradients(new Fixed<TLanes, V>());
    }
    [Fact] public void Is_right_in_512_bits() => Width<Lanes512, Vector512<Real>>();
    [Fact] public void Is_right_in_256_bits() => Width<Lanes256, Vector256<Real>>();
    [Fact] public void Is_right_in_128_bits() => Width<Lanes128, Vector128<Real>>();
    [Fact] public void Is_right_one_number_at_a_time() => Width<Lanes1, Real>();

    [Fact]
    public void A_nan_key_is_not_seen_from_other_boxes()
    {
        var s = new AttentionSize(1, 1, 1, 100, 100, 8, 8); int[] place = [.. Enumerable.Range(0, 100)];
        var c = new FlashCase<Plain, BoxPattern, SoftmaxWeights>(s, new(), new(new Boxes([place], [[.. place.Select(i => i / 10 * 10)]], [[.. place.Select(i => i / 10 * 10 + 10)]])));
        var (o, _) = c.Run();
        for (int i = 55 * 8; i < 56 * 8; i++) c.K[i] = Real.NaN;
        var (other, _) = c.Run();
        for (int i = 0; i < o.Length; i++) if (i / 80 == 5) Assert.True(Real.IsNaN(other[i])); else Assert.Equal(o[i], other[i]);
    }

    [Fact]
    public void Work_follows_the_boxes()
    {
        // Windows of 16 × 16 of 64 × 64 tokens, in tiles of 16 × 16: a sixteenth.
        int[] row = [.. Enumerable.Range(0, 4096).Select(i => i / 1024 * 16 + i / 16 % 16)], column = [.. Enumerable.Range(0, 4096).Select(i => i / 256 % 4 * 16 + i % 16)];
        int[] Low(int[] x) => [.. x.Select(i => i / 16 * 16)]; int[] High(int[] x) => [.. x.Select(i => i / 16 * 16 + 16)];
        var s = new AttentionSize(1, 1, 1, 4096, 4096, 8, 8); var x = GemmTests.Numbers(4096 * 8, 1); Real[] o = new Real[x.Length], lse = new Real[4096];
        long work = Work.Count(() => Flash.Forward(s, x, x, x, 0, default, new Plain(), new BoxPattern(new Boxes([row, column], [Low(row), Low(column)], [High(row), High(column)])), o, lse));
        Assert.InRange(work, 4096L * 256 * 16, 4096L * 256 * 16 * 11 / 10);
    }

    [Fact]
    public void Arrays_that_do_not_fit_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new Boxes([], [], []));
        Assert.Throws<ArgumentException>(() => new Boxes([[1, 2]], [[1]], [[1, 2]]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new BoxPattern(new Boxes([[0, 1]], [[0, 0]], [[2, 2]])).Tile(0, 1, 0, 2));
    }
}
