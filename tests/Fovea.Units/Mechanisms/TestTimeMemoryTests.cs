using Fovea.Mechanisms;
using Fovea.Testing;
namespace Fovea.Units;

public sealed class TestTimeMemoryTests
{
    static Tensor Draw(ulong seed, params int[] shape) { var t = Tensor.Over(Tensor.Normal(new Rng(seed), Shape.Of(shape)).Span.ToArray(), Shape.Of(shape)); t.RequiresGrad = true; return t; }
    static MemoryGates Gates(Tensor keep, Tensor? momentum, Tensor rate) => new(-(-keep).Softplus(), momentum is null ? null : -(-momentum).Softplus(), rate, Tensor.Full(rate.Shape, 1));

    public static TheoryData<string> Kinds => ["titans", "one matrix", "huber", "power", "softmax", "residual"];
    static (TestTimeMemory Memory, MemoryNet Net, bool Momentum) Of(string kind, int chunk) => kind switch
    {
        "titans" => (new(new BoundedSteps(new DeepMemory(2, 2), 1), new SquaredError(), new Mechanisms.Fading(), chunk), new DeepMemory(2, 2), true),
        "one matrix" => (new(new DeepMemory(1, 1), new SquaredError(), new Mechanisms.Fading(), chunk), new DeepMemory(1, 1), true),
        "huber" => (new(new DeepMemory(1, 1), new HuberError(), new Mechanisms.Fading(), chunk), new DeepMemory(1, 1), false),
        "power" => (new(new DeepMemory(1, 1), new PowerError(3), new NormRetention(4), chunk), new DeepMemory(1, 1), true),
        "softmax" => (new(new DeepMemory(1, 1), new SquaredError(), new SoftmaxRetention(), chunk), new DeepMemory(1, 1), false),
        _ => (new(new ResidualMemory(2), new SquaredError(), new Mechanisms.Fading(), chunk), new ResidualMemory(2), true),
    };

    [Theory, MemberData(nameof(Kinds))]
    public void Pieces_with_their_state_are_the_whole_with_its_gradients_and_the_loop(string kind)
    {
        const int n = 70, d = 8; var (memory, net, momentum) = Of(kind, 16);
        Tensor q = Draw(1, 3, n, d), k = Draw(2, 3, n, d), v = Draw(3, 3, n, d), keep = Draw(4, 3, n), eta = Draw(5, 3, n), g = Tensor.Normal(new Rng(7), [3, n, d]); Tensor[] first = [.. net.Sizes(d, d).Select((s, i) => Draw(8 + (ulong)i, 3, s.Out, s.In))], all = [q, k, v, keep, .. first];
        (float[] Y, float[] D) Run(int[] ends, bool plain)
        {
            foreach (var t in all) t.ZeroGrad();
            using var scope = Scope.Train(); var s = MemoryState.Start(first, momentum); var parts = new List<Tensor>(); int at = 0; var unit = k.L2Normalise(1e-6f);
            foreach (int end in ends)
            {
                Tensor Cut(Tensor x) => x.Slice(1, at, end);
                var (part, after) = memory.Run(Cut(q.L2Normalise(1e-6f)), Cut(unit), Cut(v), Gates(Cut(keep), momentum ? Cut(eta) : null, Tensor.Full([3, end - at, 1], 0.03f)), s, plain);
                parts.Add(part); (s, at) = (after, end);
            }
            var y = Tensor.Concat(1, [.. parts]); float[] kept = y.Span.ToArray(); y.Backward(g.Span);
            return (kept, [.. all.SelectMany(t => t.Grad.ToArray())]);
        }
        var whole = Run([n], false);
        foreach (var other in new[] { Run([1, 15, 16, 40, 41, n], false), Run([n], true), Run([.. Enumerable.Range(1, n)], false) })
        {
            Assert.All(whole.Y.Zip(other.Y), p => Assert.Equal(p.First, p.Second, 2e-5f));
            Assert.All(whole.D.Zip(other.D), p => Assert.Equal(p.First, p.Second, 2e-4f));
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void The_strongest_decay_leaves_everything_finite(string kind)
    {
        const int n = 2000, d = 4; var (memory, net, momentum) = Of(kind, 64);
        foreach (float logit in new[] { -18.4f, -1000f, 0, 100f })
        {
            Tensor k = Draw(2, 1, n, d).L2Normalise(1e-6f), v = Draw(3, 1, n, d), keep = Tensor.Full([1, n], logit); k = Tensor.Over(k.Span.ToArray(), k.Shape); k.RequiresGrad = true; keep.RequiresGrad = true;
            using var scope = Scope.Train();
            var y = memory.Run(k, k, v, Gates(keep, momentum ? keep : null, Tensor.Full([1, n, 1], 0.01f)), MemoryState.Start([.. net.Sizes(d, d).Select((s, i) => Draw(8 + (ulong)i, 1, s.Out, s.In))], momentum)).Y; y.MustBeFinite("y");
            y.Sum().Backward();
            Assert.All(k.Grad.ToArray().Concat(keep.Grad.ToArray()), x => Assert.True(float.IsFinite(x)));
        }
    }

    [Fact]
    public void A_state_that_does_not_fit_the_gates_is_refused()
    {
        var (memory, _, _) = Of("one matrix", 4); Tensor k = Draw(1, 1, 3, 2), log = Tensor.Zeros([1, 3]), rate = Tensor.Full([1, 3, 1], 0.1f); var state = MemoryState.Start([Draw(2, 1, 2, 2)], momentum: false);
        Assert.Contains("no momentum", Assert.Throws<ArgumentException>(() => memory.Run(k, k, k, new(log, log, rate), state)).Message);
        Assert.Throws<ShapeException>(() => memory.Run(k, k, k, new(Tensor.Zeros([1, 2]), null, rate), state));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TestTimeMemory(new DeepMemory(1, 1), new SquaredError(), new Mechanisms.Fading(), 0));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(30)]
    public void Memory_as_context_decodes_across_segments(int first)
    {
        var layer = new MacAttention(new(32, 2), Weights.Random(new Rng(1)), segment: 32); using var scope = Scope.NoGrad();
        var x = Tensor.Normal(new Rng(2), [1, 70, 32]); var whole = layer.Forward(x, Pass.Eval); var pass = new Pass { Memory = new() };
        layer.Forward(x.Rows(0, first), pass);
        for (int t = first; t < 70; t++) Assert.True(Draws.Difference(layer.Forward(x.Rows(t, t + 1), pass), whole.Rows(t, t + 1)) < 1e-4, $"token {t}");
    }
}
