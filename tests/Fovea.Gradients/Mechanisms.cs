using Fovea.Mechanisms;

namespace Fovea.GradientTests;

/// <summary>Every discovered mechanism: parameters and input, causal and not, grouped, short and over several tiles.</summary>
public sealed class Mechanisms
{
    public static TheoryData<string> Names => [.. Mechanism.All.Select(m => m.Name)];

    [Theory, MemberData(nameof(Names))]
    public void Gradients_are_right(string name)
    {
        var m = Mechanism.Find(name);
        bool causal = m.Traits.HasFlag(Traits.Causal) || !m.Traits.HasFlag(Traits.Bidirectional);
        foreach (int n in new[] { 1, 9, 75 })
            Check(m, new(16, 2, Causal: causal, Position: new Rope(), Length: 80), n, reference: false);
        if (m.Traits.HasFlag(Traits.Grouped)) Check(m, new(16, 4, KvHeads: 2, Causal: causal), 9, reference: false);
        if (m.Traits.HasFlag(Traits.Bidirectional)) Check(m, new(16, 2, Causal: false), 9, reference: false);
        if (m.Traits.HasFlag(Traits.Exact)) Check(m, new(16, 2, Causal: causal, Position: new Rope()), 9, reference: true);
    }

    [Theory, MemberData(nameof(Names))]
    public void Gradients_of_a_context_are_right(string name)
    {
        var m = Mechanism.Find(name);
        if (!m.Traits.HasFlag(Traits.Cross)) return;
        var w = Weights.Random(new Rng(7)); var a = m.New(new(16, 2, Causal: false), w);
        var x = GradientCheck.Input(5, [2, 4, 16]); var context = GradientCheck.Input(6, [2, 7, 16]);
        GradientCheck.Holds(w.All.Append(new("input", x)).Append(new("context", context)), () => GradientCheck.Weighted(a.Forward(x, context, new Pass { Training = true, Rng = new(3) })));
    }

    static void Check(Mechanism m, AttentionConfig c, int n, bool reference)
    {
        var w = Weights.Random(new Rng(7)); var a = m.New(c, w); var x = GradientCheck.Input(5, [2, n, 16]);
        void Holds(double step) => GradientCheck.Holds(w.All.Append(new("input", x)), () => GradientCheck.Weighted(a.Forward(x, new Pass { Training = true, Rng = new(3), Reference = reference })), step);
        // A kink (of a ReLU) between the points of a difference is no wrong gradient: points that are nearer to each other must then agree.
        try { Holds(1e-4); } catch (Xunit.Sdk.XunitException) { Holds(1e-6); }
    }

    [Fact]
    public void A_gradient_off_by_a_thousandth_is_seen()
    {
        var x = GradientCheck.Input(5, [3, 4]);
        Tensor Planted(Tensor x)
        {
            var y = Tensor.From(x.Span, x.Shape);
            for (int i = 0; i < y.Span.Length; i++) y.Span[i] *= x.Span[i];
            return Tensor.Record(y, [x], y => { for (int i = 0; i < x.Span.Length; i++) x.Grad[i] += 2.002 * x.Span[i] * y.Grad[i]; });
        }
        Assert.True(GradientCheck.Worst([new("x", x)], () => GradientCheck.Weighted(x.Square())).Error <= GradientCheck.Bound);
        Assert.True(GradientCheck.Worst([new("x", x)], () => GradientCheck.Weighted(Planted(x))).Error > 1e-4);
    }
}
