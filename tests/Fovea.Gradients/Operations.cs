namespace Fovea.GradientTests;

/// <summary>Every differentiable operation of Tensor.</summary>
public sealed class Operations
{
    static Tensor In(ulong seed, params int[] shape) => GradientCheck.Input(seed, Shape.Of(shape));
    // Away from kinks and poles.
    static Tensor Positive(ulong seed, params int[] shape)
    {
        var t = In(seed, shape);
        for (int i = 0; i < t.Span.Length; i++) t.Span[i] = 0.5 + Math.Abs(t.Span[i]);
        return t;
    }

    public static readonly Dictionary<string, (Tensor[] Inputs, Func<Tensor[], Tensor> Of)> All = new()
    {
        ["a + b"] = ([In(1, 2, 3, 5), In(2, 2, 3, 5)], x => x[0] + x[1]),
        ["a + suffix"] = ([In(1, 2, 3, 5), In(2, 5)], x => x[0] + x[1]),
        ["a + repeated"] = ([In(1, 2, 3, 5), In(2, 2, 1, 5)], x => x[0] + x[1]),
        ["suffix - a"] = ([In(1, 5), In(2, 2, 3, 5)], x => x[0] - x[1]),
        ["a - suffix"] = ([In(1, 2, 3, 5), In(2, 3, 5)], x => x[0] - x[1]),
        ["a * b"] = ([In(1, 2, 3, 5), In(2, 2, 3, 5)], x => x[0] * x[1]),
        ["a * suffix"] = ([In(1, 2, 3, 5), In(2, 5)], x => x[0] * x[1]),
        ["a * column"] = ([In(1, 2, 3, 5), In(2, 2, 3, 1)], x => x[0] * x[1]),
        ["a / b"] = ([In(1, 2, 3, 5), Positive(2, 2, 3, 5)], x => x[0] / x[1]),
        ["a / column"] = ([In(1, 2, 3, 5), Positive(2, 2, 3, 1)], x => x[0] / x[1]),
        ["row / a"] = ([In(1, 5), Positive(2, 3, 5)], x => x[0] / x[1]),
        ["scalars"] = ([In(1, 2, 5)], x => 3 - (x[0] * 2 + 1) / 4 - x[0]),
        ["x used twice"] = ([In(1, 2, 5)], x => x[0] * x[0] + x[0]),
        ["Sum"] = ([In(1, 2, 5)], x => x[0].Sum()),
        ["Sum(axis)"] = ([In(1, 2, 5, 3)], x => x[0].Sum(1)),
        ["Mean(axis)"] = ([In(1, 2, 5, 3)], x => x[0].Mean(-1)),
        ["MatMulT"] = ([In(1, 2, 3, 5), In(2, 7, 5)], x => x[0].MatMulT(x[1])),
        ["MatMul"] = ([In(1, 2, 3, 5), In(2, 5, 7)], x => x[0].MatMul(x[1])),
        ["MatMul batched"] = ([In(1, 2, 4, 3, 5), In(2, 2, 4, 5, 7)], x => x[0].MatMul(x[1])),
        ["MatMulT batched"] = ([In(1, 2, 4, 3, 5), In(2, 2, 4, 7, 5)], x => x[0].MatMulT(x[1])),
        ["Reshape"] = ([In(1, 2, 6)], x => x[0].Reshape([3, -1]) * x[0].Reshape([3, 4])),
        ["Permute"] = ([In(1, 2, 3, 4, 5)], x => x[0].Permute(3, 1, 0, 2)),
        ["Transpose"] = ([In(1, 2, 3, 4)], x => x[0].Transpose()),
        ["SplitHeads"] = ([In(1, 2, 3, 8)], x => x[0].SplitHeads(2)),
        ["MergeHeads"] = ([In(1, 2, 3, 4, 5)], x => x[0].MergeHeads()),
        ["Slice"] = ([In(1, 2, 5, 3)], x => x[0].Slice(1, 1, 4)),
        ["Concat"] = ([In(1, 2, 3), In(2, 2, 4)], x => Tensor.Concat(-1, x[0], x[1])),
        ["Stack"] = ([In(1, 2, 3), In(2, 2, 3)], x => Tensor.Stack(x[0], x[1])),
        ["Expand"] = ([In(1, 2, 1, 3)], x => x[0].Expand([4, 2, 5, 3])),
        ["Softmax"] = ([In(1, 3, 7)], x => x[0].Softmax()),
        ["LogSumExp"] = ([In(1, 3, 7)], x => x[0].LogSumExp()),
        ["LayerNorm"] = ([In(1, 3, 7), In(2, 7), In(3, 7)], x => x[0].LayerNorm(x[1], x[2], 1e-5)),
        ["LayerNorm bare"] = ([In(1, 3, 7)], x => x[0].LayerNorm(null, null, 1e-5)),
        ["RmsNorm"] = ([In(1, 3, 7), In(2, 7)], x => x[0].RmsNorm(x[1], 1e-6)),
        ["RmsNorm bare"] = ([In(1, 3, 7)], x => x[0].RmsNorm(null, 1e-6)),
        ["L2Normalise"] = ([In(1, 3, 7)], x => x[0].L2Normalise(1e-6)),
        ["GroupNorm"] = ([In(1, 2, 6, 5), In(2, 6), In(3, 6)], x => x[0].GroupNorm(x[1], x[2], 3, 1e-5)),
        ["CrossEntropy"] = ([In(1, 5, 7)], x => x[0].CrossEntropy([3, 0, -1, 6, 6])),
        ["Gather"] = ([In(1, 5, 3)], x => x[0].Gather([4, 0, 4, 2])),
        ["Take"] = ([In(1, 3, 5, 2)], x => x[0].Take(1, [4, 0, 4])),
        ["CumSum"] = ([In(1, 3, 7)], x => x[0].CumSum()),
        ["Dropout"] = ([In(1, 3, 7)], x => x[0].Dropout(new Rng(3), 0.4)),
        ["SwiGlu"] = ([In(1, 3, 7), In(2, 3, 7)], x => Tensor.SwiGlu(x[0], x[1])),
        ["Einsum product"] = ([In(1, 2, 3, 4, 5), In(2, 2, 3, 6, 5)], x => Tensor.Einsum("bhnd,bhmd->bhnm", x[0], x[1])),
        ["Einsum sums"] = ([In(1, 2, 3, 4), In(2, 3, 5)], x => Tensor.Einsum("abc,bd->da", x[0], x[1])),
        ["Einsum one"] = ([In(1, 2, 3, 4)], x => Tensor.Einsum("abc->ca", x[0])),
        ["Sigmoid"] = ([In(1, 3, 7)], x => x[0].Sigmoid()),
        ["Tanh"] = ([In(1, 3, 7)], x => x[0].Tanh()),
        ["Silu"] = ([In(1, 3, 7)], x => x[0].Silu()),
        ["Gelu"] = ([In(1, 3, 7)], x => x[0].Gelu()),
        ["GeluErf"] = ([In(1, 3, 7)], x => x[0].GeluErf()),
        ["Relu"] = ([Positive(1, 3, 7)], x => (x[0] - 3).Relu() + x[0].Relu()),
        ["Softplus"] = ([In(1, 3, 7)], x => x[0].Softplus()),
        ["Exp"] = ([In(1, 3, 7)], x => x[0].Exp()),
        ["Log"] = ([Positive(1, 3, 7)], x => x[0].Log()),
        ["Sqrt"] = ([Positive(1, 3, 7)], x => x[0].Sqrt()),
        ["Square"] = ([In(1, 3, 7)], x => x[0].Square()),
        ["Abs"] = ([Positive(1, 3, 7)], x => (-x[0]).Abs()),
        ["Sin"] = ([In(1, 3, 7)], x => x[0].Sin()),
        ["Cos"] = ([In(1, 3, 7)], x => x[0].Cos()),
        ["EluPlusOne"] = ([Positive(1, 3, 7)], x => x[0].EluPlusOne() + (-x[0]).EluPlusOne()),
    };

    public static TheoryData<string> Names => [.. All.Keys];

    [Theory, MemberData(nameof(Names))]
    public void Gradients_are_right(string name)
    {
        var (inputs, of) = All[name];
        GradientCheck.Holds(inputs.Select((x, i) => new KeyValuePair<string, Tensor>($"input {i}", x)), () => GradientCheck.Weighted(of(inputs)));
    }

    [Fact]
    public void Every_public_operation_is_in_the_list()
    {
        string[] notDifferentiated = ["Record", "Backward", "Detach", "RetainGrad", "Exactly", "ZeroGrad", "MustBeFinite", "ToString", "Apply", "SwapMiddle", "Rows", "CrossEntropyRows", "Mean", "Equals", "GetHashCode", "GetType"];
        var methods = typeof(Tensor).GetMethods().Where(m => m.ReturnType == typeof(Tensor) && !m.IsSpecialName && (!m.IsStatic || m.GetParameters().Any(p => p.ParameterType == typeof(Tensor) || p.Name is "parts" or "xs"))).Select(m => m.Name).Distinct();
        Assert.Equal("", string.Join(", ", methods.Except(notDifferentiated).Where(m => !All.Keys.Any(k => k.StartsWith(m, StringComparison.Ordinal)))));
    }
}
