using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Testing;

namespace Fovea.LawTests;

/// <summary>The laws bite: mechanisms with one planted fault each, and the law that must see it.</summary>
public sealed class Planted
{
    static void Caught<T>(string law) where T : Attention
    {
        var failed = Laws.Run(Subject.Of<T>()).Where(r => !r.Holds).ToList();
        Assert.True(failed.Any(r => r.Law == law), $"'{law}' did not see it; seen by: {string.Join("; ", failed.Select(r => r.Law))}");
    }

    [Fact] public void The_twin_without_a_fault_passes() => Assert.All(Laws.Run(Subject.Of<Faultless>()), r => Assert.True(r.Holds, r.ToString()));
    [Fact] public void A_window_that_forgets_one_token_early() => Caught<ForgetsEarly>("decodes as it trains");
    [Fact] public void A_window_one_wider_than_it_says() => Caught<WindowOffByOne>("fused equals plain");
    [Fact] public void A_mask_after_the_softmax() => Caught<MaskAfterSoftmax>("does not see the future");
    [Fact] public void A_causal_mask_off_by_one() => Caught<SeesOneAhead>("does not see the future");
    [Fact] public void A_running_sum_that_is_not_rescaled() => Caught<UnscaledSum>("fused equals plain");
    [Fact] public void State_left_over_from_the_last_call() => Caught<StaleState>("remembers nothing between calls");
    [Fact] public void State_shared_by_two_conversations() => Caught<SharedState>("keeps two conversations apart");
    [Fact] public void A_cover_that_lies() => Caught<LyingCover>("fused equals plain");
    [Fact] public void A_cover_that_lies_is_seen_by_the_law_of_patterns() => Assert.NotEqual(0, PartLaws.LyingCovers(new Liar(3)));
    [Fact] public void Output_that_is_not_written() => Caught<Unwritten>("keeps its shape and stays finite");
    [Fact] public void Keys_of_another_row_of_the_batch() => Caught<BatchMixUp>("batches do not mix");
    [Fact] public void Heads_that_share_the_wrong_keys() => Caught<WrongGroups>("grouped heads are repeated heads");
    [Fact] public void A_sum_split_by_the_number_of_threads() => Caught<SplitByThreads>("same result on any number of threads");
    [Fact] public void A_parameter_that_does_nothing() => Caught<IdleParameter>("learns, and every parameter takes part");
    [Fact] public void A_gradient_that_misses_the_keys() => Caught<NoKeyGradient>("its gradients, fused and plain, agree");
    [Fact] public void Quadratic_work_that_claims_to_be_linear() => Caught<NotLinear>("work grows in proportion to the length");
    [Fact] public void A_slope_that_is_not_the_derivative() => Assert.True(PartLaws.RowsDisagree(new WrongSlope()) > 2e-3);
    [Fact] public void An_undeclared_trait_is_reported() => Assert.Contains(Traits.Grouped, Laws.Undeclared(Subject.Of<Modest>()));
}

[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact)]
sealed class Faultless(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new());

[Traits(Traits.Causal | Traits.Incremental)]
sealed class Modest(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new());

[Traits(Traits.Causal | Traits.Incremental)]
sealed class ForgetsEarly(AttentionConfig c, Weights w) : SoftmaxAttention<Plain, Window>(c, w, new(), new(8))
{
    protected override KvState StartKv() => new WindowKv(7);
}

[Traits(Traits.Causal | Traits.Exact)]
sealed class WindowOffByOne(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass) => pass.Reference
        ? Softmax.Plain<Plain, Window, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(8), new(), pass)
        : Softmax.Fused<Plain, Window, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(9), new());
}

[Traits(Traits.Causal)]
sealed class MaskAfterSoftmax(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass)
    {
        var p = (h.Q.MatMulT(h.K) * (1 / Real.Sqrt(h.Q.Shape[3]))).Softmax(); int n = p.Shape[3];
        var mask = Tensor.Zeros([n, n]);
        for (int i = 0; i < n; i++) mask.Span.Slice(i * n, i + 1).Fill(1);
        return (p * mask).MatMul(h.V);
    }
}

readonly record struct OneAhead : IPattern
{
    public bool Allows(int query, int key) => key <= query + 1;
    public Cover Tile(int q0, int q1, int k0, int k1) => Cover.Mixed;
}
[Traits(Traits.Causal)]
sealed class SeesOneAhead(AttentionConfig c, Weights w) : SoftmaxAttention<Plain, OneAhead>(c, w, new(), new());

[Traits(Traits.Causal | Traits.Exact)]
sealed class UnscaledSum(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass)
    {
        var (q, k, v) = (h.Q, h.K, h.V); var (b, heads, n, d) = q.Shape;
        if (pass.Reference) return Softmax.Plain<Plain, Causal, SoftmaxWeights>(q, k, v, new(), new(), new(), pass);
        var o = Tensor.Zeros(q.Shape); const int tile = 16;
        for (int r = 0; r < b * heads * n; r++)
        {
            Real max = Real.NegativeInfinity, sum = 0; var acc = o.Span.Slice(r * d, d);
            for (int j0 = 0; j0 <= r % n; j0 += tile)
            {
                Real before = max;
                var s = new Real[Math.Min(tile, r % n + 1 - j0)];
                for (int j = 0; j < s.Length; j++)
                {
                    for (int x = 0; x < d; x++) s[j] += q.Span[r * d + x] * k.Span[(r / n * n + j0 + j) * d + x] / Real.Sqrt(d);
                    max = Real.Max(max, s[j]);
                }
                for (int x = 0; x < d; x++) acc[x] *= Real.Exp(before - max);       // and the sum is forgotten
                for (int j = 0; j < s.Length; j++)
                {
                    Real p = Real.Exp(s[j] - max); sum += p;
                    for (int x = 0; x < d; x++) acc[x] += p * v.Span[(r / n * n + j0 + j) * d + x];
                }
            }
            for (int x = 0; x < d; x++) acc[x] /= sum;
        }
        return o;
    }
}

[Traits(Traits.Causal)]
sealed class StaleState(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    Real last;
    protected override Tensor Attend(Heads h, Pass pass)
    {
        var o = Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), new()) + last * (Real)0.01;
        last = h.V.Span[0];
        return o;
    }
}

[Traits(Traits.Causal | Traits.Incremental)]
sealed class SharedState(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    readonly GrowingKv kv = new();
    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (pass.Memory is null) return Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), new());
        kv.Append(h.K, h.V, kv.Count);
        return Softmax.Fused<Plain, Everything, SoftmaxWeights>(h.Q, kv.Keys, kv.Values, new(), new(), new(Keys: kv.Count));
    }
}

readonly record struct Liar(int Width) : IPattern
{
    public bool Allows(int query, int key) => key <= query && query - key < Width;
    public Cover Tile(int q0, int q1, int k0, int k1) => k0 > q1 || q0 - k1 >= Width - 1 ? Cover.None : Cover.Mixed;
}
// A width whose last key is the last one of a tile for the first query of a group, with every register width.
[Traits(Traits.Causal | Traits.Exact)]
sealed class LyingCover(AttentionConfig c, Weights w) : SoftmaxAttention<Plain, Liar>(c, w, new(), new(42));

[Traits(Traits.Causal)]
sealed class Unwritten(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass)
    {
        var o = Tensor.Empty(h.Q.Shape);
        Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), new()).Span[..^1].CopyTo(o.Span);
        return o;
    }
}

[Traits(Traits.Causal)]
sealed class BatchMixUp(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass)
    {
        var k = Tensor.From(h.K.Span, h.K.Shape);
        int row = k.Shape.Size / k.Shape[0];
        for (int b = 1; b < k.Shape[0]; b++) h.K.Span.Slice((b - 1) * row, row).CopyTo(k.Span[(b * row)..]);
        return Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, k, h.V, new(), new(), new());
    }
}

[Traits(Traits.Causal | Traits.Grouped)]
sealed class WrongGroups(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    Tensor Cycle(Tensor x)
    {
        var (b, g, n, d) = x.Shape; int group = Config.Heads / g;
        return x.Reshape([b, 1, g, n, d]).Expand([b, group, g, n, d]).Reshape([b, Config.Heads, n, d]);     // heads 0 1 0 1 instead of 0 0 1 1
    }
    protected override Tensor Attend(Heads h, Pass pass) => Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, Cycle(h.K), Cycle(h.V), new(), new(), new());
}

[Traits(Traits.Causal)]
sealed class SplitByThreads(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass)
    {
        var o = Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), new());
        Real part = 1 / (Real)Threads.Max;
        return o * part * Threads.Max * (1 + Threads.Max * (Real)1e-6);
    }
}

[Traits(Traits.Causal)]
sealed class IdleParameter(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    readonly Tensor idle = w.Get("idle", [3]);
    protected override Tensor Attend(Heads h, Pass pass) => idle.Shape.Size == 3 ? Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), new()) : h.Q;
}

[Traits(Traits.Causal | Traits.Exact)]
sealed class NoKeyGradient(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass) => pass.Reference
        ? Softmax.Plain<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), new(), pass)
        : Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K.Detach(), h.V, new(), new(), new());
}

[Traits(Traits.Causal | Traits.Linear)]
sealed class NotLinear(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new());

readonly record struct WrongSlope : IScore
{
    public Real Of(Real raw, int head, int query, int key) => 2 * raw;
    public Real Slope(Real raw, int head, int query, int key) => 1;
    public void Row(Span<Real> raw, int head, int query, int firstKey) => Scores.Row(this, raw, head, query, firstKey);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) => Scores.SlopeRow(this, raw, gradient, head, query, firstKey);
}
