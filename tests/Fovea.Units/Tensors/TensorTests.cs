using Fovea.Mechanisms;
using Fovea.Models;

namespace Fovea.Units;

public sealed class TensorTests
{
    [Fact]
    public void A_tensor_dies_with_its_scope_unless_it_is_kept()
    {
        Tensor lost, kept, view;
        using (var scope = Scope.NoGrad())
        {
            lost = Tensor.Full([2, 3], 1);
            kept = scope.Keep(Tensor.Full([2, 3], 2));
            view = scope.Keep(Tensor.Full([2, 3], 3).Reshape([6]));
        }
        Assert.Contains("[2, 3]", Assert.Throws<ObjectDisposedException>(() => lost.Span.Length).Message);
        using (Scope.NoGrad()) { Tensor.Full([2, 3], 9); Tensor.Full([2, 3], 9); Tensor.Full([2, 3], 9); }
        Assert.All(kept.Span.ToArray(), x => Assert.Equal(2, x));
        Assert.All(view.Span.ToArray(), x => Assert.Equal(3, x));
    }

    [Fact]
    public void A_kept_tensor_belongs_to_the_outer_scope()
    {
        Tensor t;
        using (Scope.NoGrad())
        {
            using (var inner = Scope.NoGrad()) t = inner.Keep(Tensor.Full([4], 1));
            Assert.Equal(1, t.Span[3]);
        }
        Assert.Throws<ObjectDisposedException>(() => t.Span.Length);
    }

    [Fact]
    public void Scopes_close_in_the_order_they_opened()
    {
        var outer = Scope.NoGrad(); var inner = Scope.NoGrad();
        bool threw = false;
        try { outer.Dispose(); } catch (InvalidOperationException) { threw = true; }
        Assert.True(threw);
        inner.Dispose(); outer.Dispose();
    }

    [Fact]
    public void Peak_bytes_count_what_lives_at_once()
    {
        long peak = Diagnostics.PeakBytes(() =>
        {
            using var scope = Scope.NoGrad();
            Tensor.Empty([1000]);
            using (Scope.NoGrad()) Tensor.Empty([3000]);
            Tensor.Empty([2000]);
        });
        Assert.Equal(4000 * sizeof(Real), peak);
    }

    [Fact]
    public void Shape_errors_name_what_was_found_and_expected()
    {
        var x = Tensor.Zeros([2, 3, 4]);
        Assert.Contains("[2, 3, 4]", Assert.Throws<ShapeException>(() => x.MatMulT(Tensor.Zeros([5, 3]))).Message);
        Assert.Contains("[7]", Assert.Throws<ShapeException>(() => x + Tensor.Zeros([7])).Message);
        Assert.Contains("[5, 5]", Assert.Throws<ShapeException>(() => x.Reshape([5, 5])).Message);
        Assert.Throws<ShapeException>(() => Tensor.Zeros([1 << 16, 1 << 16]));
        Assert.Throws<ShapeException>(() => x.Slice(1, 2, 5));
        Assert.Throws<ShapeException>(() => Tensor.Concat(1, x, Tensor.Zeros([2, 3, 5])));
        Assert.Throws<ShapeException>(() => Tensor.Zeros([1, 1, 1, 1, 1, 1, 1]));
        var layer = new SoftmaxAttention(new(16, 2), Weights.Random(new Rng(1)));
        Assert.Contains("[1, 4, 15]", Assert.Throws<ShapeException>(() => layer.Forward(Tensor.Zeros([1, 4, 15]), Pass.Eval)).Message);
        Assert.Throws<ArgumentException>(() => new SoftmaxAttention(new(16, 3), Weights.Random(new Rng(1))));
        Assert.Throws<ArgumentException>(() => new SoftmaxAttention(new(16, 4, KvHeads: 3), Weights.Random(new Rng(1))));
    }

    [Fact]
    public void A_number_that_is_not_finite_is_found()
    {
        var x = Tensor.Zeros([2, 3]);
        Assert.Same(x, x.MustBeFinite("x"));
        x.Span[4] = Real.NaN;
        Assert.Contains("element 4", Assert.Throws<ArithmeticException>(() => x.MustBeFinite("x")).Message);
    }

    [Fact]
    public void Einsum_agrees_with_loops()
    {
        Tensor a = Tensor.Normal(new Rng(1), [2, 3, 4, 5]), b = Tensor.Normal(new Rng(2), [2, 3, 6, 5]);
        var y = Tensor.Einsum("bhnd,bhmd->bhnm", a, b);
        for (int x = 0; x < 6; x++) for (int n = 0; n < 4; n++) for (int m = 0; m < 6; m++)
        {
            double s = 0;
            for (int d = 0; d < 5; d++) s += (double)a.Span[(x * 4 + n) * 5 + d] * b.Span[(x * 6 + m) * 5 + d];
            Assert.Equal(s, y.Span[(x * 4 + n) * 6 + m], 1e-5);
        }
        Assert.Throws<ArgumentException>(() => Tensor.Einsum("ab,bc->ad", Tensor.Zeros([2, 3]), Tensor.Zeros([3, 4])));
        Assert.Throws<ShapeException>(() => Tensor.Einsum("ab,bc->ac", Tensor.Zeros([2, 3]), Tensor.Zeros([4, 4])));
    }

    [Fact]
    public void Permute_agrees_with_index_arithmetic()
    {
        var x = Tensor.Normal(new Rng(1), [2, 3, 4, 5]); var y = x.Permute(3, 0, 2, 1);
        Assert.Equal([5, 2, 4, 3], y.Shape.AsSpan.ToArray());
        for (int i = 0; i < 2; i++) for (int j = 0; j < 3; j++) for (int k = 0; k < 4; k++) for (int l = 0; l < 5; l++)
            Assert.Equal(x.Span[((i * 3 + j) * 4 + k) * 5 + l], y.Span[((l * 2 + i) * 4 + k) * 3 + j]);
    }

    [Fact]
    public void Keys_give_the_same_numbers_always_and_other_keys_others()
    {
        var r = new Rng(1);
        Assert.Equal(r["a"].Uniform(3), r["a"].Uniform(3));
        Assert.NotEqual(r["a"].Uniform(3), r["b"].Uniform(3));
        Assert.NotEqual(r[0].Uniform(3), r[1].Uniform(3));
        var x = new Real[20_001]; r.Normal(x, 2);
        Assert.InRange(x.Average(), -0.06, 0.06);
        Assert.InRange(x.Select(v => v * v).Average(), 3.85, 4.15);
        var counts = new int[7];
        for (int i = 0; i < 7000; i++) counts[r.Below(i, 7)]++;
        Assert.All(counts, c => Assert.InRange(c, 880, 1120));
        Assert.Equal(Enumerable.Range(0, 50), r.Order(50).Order());
    }

    [Fact]
    public void Adding_a_layer_changes_no_other_layers_numbers()
    {
        Weights a = Weights.Random(new Rng(1)), b = Weights.Random(new Rng(1));
        _ = new DecoderModel(new(11, 16, 2, 2), a); _ = new DecoderModel(new(11, 16, 3, 2), b);
        foreach (var (name, p) in a.All) Assert.True(p.Span.SequenceEqual(b.All[name].Span), name);
    }

    [Fact]
    public void A_missing_parameter_is_named_with_what_is_near()
    {
        var w = Weights.From(new Dictionary<string, Tensor> { ["blocks.0.attn.q_proj.weight"] = Tensor.Zeros([4, 4]) });
        var e = Assert.Throws<KeyNotFoundException>(() => w["attn"]["q_proj"].Get("weight", [4, 4]));
        Assert.Contains("attn.q_proj.weight", e.Message); Assert.Contains("blocks.0.attn.q_proj.weight", e.Message);
        Assert.Throws<ShapeException>(() => w["blocks"][0]["attn"]["q_proj"].Get("weight", [4, 5]));
    }

    [Fact]
    public void Sites_read_what_they_write_and_refuse_the_rest()
    {
        foreach (Part p in Enum.GetValues<Part>()) { var s = new Site(3, p); Assert.Equal(s, Site.Parse(s.ToString())); }
        Assert.Equal(new Site(-1, Part.Logits), Site.Parse("logits"));
        Assert.Contains("attn.pattern", Assert.Throws<FormatException>(() => Site.Parse("blocks.3.attn.patern")).Message);
        Assert.Throws<FormatException>(() => Site.Parse("blocks.x.attn.q"));
    }

    [Fact]
    public void A_probe_sees_what_it_asked_for_and_says_what_never_came()
    {
        var model = new DecoderModel(new(11, 16, 2, 2), Weights.Random(new Rng(1)));
        var capture = new Capture("blocks.1.attn.pattern", "blocks.0.resid_pre", "logits", "blocks.7.attn.q");
        model.Forward([1, 2, 3], 1, new Pass { Probe = capture });
        var p = capture["blocks.1.attn.pattern"];
        Assert.Equal([1, 2, 3, 3], p.Shape.AsSpan.ToArray());
        Assert.Equal(0, p.Span[1]);
        Assert.Equal(1, p.Span[3] + p.Span[4], 1e-6f);
        Assert.Equal([1, 3, 11], capture["logits"].Shape.AsSpan.ToArray());
        Assert.Contains("did not occur", Assert.Throws<KeyNotFoundException>(() => capture["blocks.7.attn.q"]).Message);
    }

    [Fact]
    public void Released_gradients_come_back_unless_kept()
    {
        var x = Tensor.Full([3], 2); x.RequiresGrad = true;
        using var scope = Scope.Train();
        var y = x * x; var z = (y * 3).RetainGrad();
        z.Sum().Backward();
        Assert.Equal([12, 12, 12], x.Grad.ToArray());
        Assert.True(z.HasGrad); Assert.False(y.HasGrad);
    }
}
