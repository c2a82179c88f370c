using Fovea.Mechanisms;
using Fovea.Testing;
namespace Fovea.Units;

public class EfficientAttentionTests
{
    static Tensor Run(string name, Tensor x, bool causal, params (string, object)[] knobs) =>
        Mechanism.Find(name).New(new(16, 2, Causal: causal), Weights.Random(new Rng(4)), knobs.ToDictionary(k => k.Item1, k => k.Item2)).Forward(x, Pass.Eval);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Many_random_features_come_near_softmax(bool causal)
    {
        // Their number grows with the exponent of the scores, so the scores are small here.
        var x = Tensor.Normal(new(2), [2, 70, 16], (Real)0.3); var exact = Run("softmax", x, causal);
        double few = Draws.Difference(exact, Run("performer", x, causal, ("features", 8))), many = Draws.Difference(exact, Run("performer", x, causal, ("features", 4096)));
        Assert.True(many < 0.05, $"{many}"); Assert.True(many < few / 3, $"{many} of {few}");
    }

    [Fact]
    public void As_many_landmarks_as_tokens_are_softmax_attention()
    {
        // Six steps invert what is not too far from singular.
        var x = Tensor.Normal(new(2), [2, 5, 16], 2); var exact = Run("softmax", x, false);
        double all = Draws.Difference(exact, Run("nystrom", x, false, ("landmarks", 5))), few = Draws.Difference(exact, Run("nystrom", x, false, ("landmarks", 1)));
        Assert.True(all < 0.3 * few, $"{all} of {few}");
        Assert.Contains("both ways", Assert.Throws<ArgumentException>(() => new NystromAttention(new(16, 2), Weights.Random(new Rng(1)))).Message);
    }

    [Fact]
    public void The_cosine_falls_with_the_distance_and_ends_at_the_horizon()
    {
        // Alike tokens: only the distance tells them apart, so the last of them reads the mean of the values, weighted with cosines.
        var w = Weights.Random(new Rng(4)); var layer = new CosFormerAttention(new(16, 1), w, horizon: 40); const int n = 30;
        var x = Tensor.Zeros([1, n, 16]); for (int i = 0; i < n; i++) for (int c = 0; c < 16; c++) x.Span[i * 16 + c] = 1 + (c == 0 && i == 3 ? 0.001f : 0);
        var y = layer.Forward(x, Pass.Eval); Assert.All(y.Span.ToArray(), v => Assert.True(float.IsFinite(v)));
        Assert.Contains("horizon of 40", Assert.Throws<ArgumentException>(() => layer.Forward(Tensor.Zeros([1, 41, 16]), Pass.Eval)).Message);
        double Weight(int query, int key) => Math.Cos(Math.PI / 2 * (query - key) / 40);
        // The response of the last output to a small change of the value of token j, against that of the first output to its own.
        double Response(int j, int at)
        {
            var changed = Tensor.From(x.Span, x.Shape); for (int c = 8; c < 16; c++) changed.Span[j * 16 + c] += 1e-3f;
            return Math.Sqrt(layer.Forward(changed, Pass.Eval).Span.Slice(at * 16, 16).ToArray().Zip(y.Span.Slice(at * 16, 16).ToArray()).Sum(p => Math.Pow(p.First - p.Second, 2)));
        }
        double near = Response(n - 2, n - 1), far = Response(0, n - 1);
        Assert.InRange(far / near, 0.6 * Weight(n - 1, 0) / Weight(n - 1, n - 2), 1.6 * Weight(n - 1, 0) / Weight(n - 1, n - 2));

    }

    [Fact]
    public void Slots_of_bounded_memory_are_weighted_means_of_the_past()
    {
        const int n = 25, slots = 3, d = 16;
        var w = Weights.Random(new Rng(4)); var layer = new AbcAttention(new(d, 1), w, slots); var x = Tensor.Normal(new(2), [1, n, d]); var y = layer.Forward(x, Pass.Eval);
        Tensor Through(string name, Tensor from) => from.Reshape([n, d]).MatMulT(w.All.Single(p => p.Key == $"{name}.weight").Value);
        Real[] q = Through("q_proj", x).Span.ToArray(), k = Through("k_proj", x).Span.ToArray(), v = Through("v_proj", x).Span.ToArray(), map = w.All.Single(p => p.Key == "control.weight").Value.Span.ToArray();
        var expected = Tensor.Zeros([n, d]);
        for (int t = 0; t < n; t++)
        {
            var keys = new double[slots, d]; var values = new double[slots, d]; var mass = new double[slots];
            for (int s = 0; s <= t; s++)
                for (int i = 0; i < slots; i++)
                {
                    double logit = 0; for (int c = 0; c < d; c++) logit += (double)map[i * d + c] * k[s * d + c];
                    double phi = Math.Exp(8 * Math.Tanh(logit / 8)); mass[i] += phi;
                    for (int c = 0; c < d; c++) { keys[i, c] += phi * k[s * d + c]; values[i, c] += phi * v[s * d + c]; }
                }
            double[] p = [.. Enumerable.Range(0, slots).Select(i => Math.Exp(Enumerable.Range(0, d).Sum(c => q[t * d + c] * keys[i, c]) / mass[i] / Math.Sqrt(d)))]; double total = p.Sum();
            for (int c = 0; c < d; c++) expected.Span[t * d + c] = (Real)Enumerable.Range(0, slots).Sum(i => p[i] / total * values[i, c] / mass[i]);
        }
        Assert.True(Draws.Difference(Through("o_proj", expected), y.Reshape([n, d])) < 1e-4);
    }
}
