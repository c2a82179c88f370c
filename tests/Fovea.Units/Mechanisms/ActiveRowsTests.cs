using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Units;

public class ActiveRowsTests
{
    static Tensor Draw(ulong seed, params int[] shape) { var t = Tensor.Normal(new Rng(seed), Shape.Of(shape)); t.RequiresGrad = true; return t; }

    [Theory, InlineData(3, true), InlineData(7, true), InlineData(70, true), InlineData(70, false)]
    public void Chosen_rows_are_dense_attention_and_the_rest_zero(int n, bool causal)
    {
        foreach (double share in new[] { 0, 0.05, 0.5, 1 })
        {
            Tensor q = Draw(1, 2, 4, n, 6), k = Draw(2, 2, 2, n, 6), v = Draw(3, 2, 2, n, 5), g = Tensor.Normal(new Rng(4), [2, 4, n, 5]); var active = new bool[8 * n];
            for (int i = 0; i < active.Length; i++) active[i] = new Rng(5).Uniform(i) < share;
            var mask = Tensor.From([.. active.Select(a => a ? 1f : 0)], [2, 4, n, 1]);
            (float[] O, float[][] Grads) Of(Func<Tensor> attend)
            {
                foreach (var t in new[] { q, k, v }) t.ZeroGrad();
                using var scope = Scope.Train();
                var o = attend(); float[] y = o.Span.ToArray();
                (o * g).Sum().Backward();
                return (y, [q.Grad.ToArray(), k.Grad.ToArray(), v.Grad.ToArray()]);
            }
            var rows = Of(() => ActiveRows.Attend(q, k, v, active, causal));
            var dense = Of(() => (causal ? Softmax.Plain<Plain, Causal, SoftmaxWeights>(q, k, v, new(), new(), new(), Pass.Eval) : Softmax.Plain<Plain, Everything, SoftmaxWeights>(q, k, v, new(), new(), new(), Pass.Eval)) * mask);
            Assert.All(rows.O.Zip(dense.O), p => Assert.Equal(p.Second, p.First, 1e-5f));
            for (int i = 0; i < 3; i++) Assert.All(rows.Grads[i].Zip(dense.Grads[i]), p => Assert.Equal(p.Second, p.First, 2e-5f));
        }
    }

    [Fact]
    public void Work_is_that_of_the_chosen_rows()
    {
        Tensor q = Draw(1, 1, 4, 256, 16), k = Draw(2, 1, 4, 256, 16), v = Draw(3, 1, 4, 256, 16); var half = new bool[4 * 256]; half.AsSpan(512).Fill(true);
        long all = Work.Count(() => ActiveRows.Attend(q, k, v, [.. half.Select(_ => true)], true)), some = Work.Count(() => ActiveRows.Attend(q, k, v, half, true));
        Assert.Equal(all, 2 * some);
    }

    [Fact]
    public void Heads_that_do_not_add_up_are_refused()
    {
        var c = new AttentionConfig(32, 4);
        Assert.Throws<ArgumentException>(() => new MohAttention(c, Weights.Random(new Rng(1)), shared: 3, top: 2));
        Assert.Throws<ArgumentException>(() => new MohTunedAttention(c, Weights.Random(new Rng(1)), shared: 3, top: 2));
    }

    [Fact]
    public void Balanced_choices_cost_beta()
    {
        var w = Weights.Random(new Rng(1)); var a = new MohAttention(new(32, 4), w, shared: 2, top: 1, balance: 0.5);
        w.All["router.weight"].Span.Clear();
        using var scope = Scope.Train(); var pass = new Pass { Training = true };
        a.Forward(Tensor.Normal(new Rng(2), [2, 9, 32]), pass);
        // P = ½ each whatever is chosen, Σ f = K = 1: β·R·½·1 = β.
        Assert.Equal(0.5f, Assert.Single(pass.Penalties).Item, 1e-6f);
    }
}
