using Fovea.Kernels;
namespace Fovea;

// Operations along the last axis, and look-ups by row.
public sealed partial class Tensor
{
    int RowCount => Shape[-1] == 0 ? 0 : Shape.Size / Shape[-1];

    /// <summary>Softmax over the last axis; a row of −∞ gives zeros.</summary>
    public Tensor Softmax()
    {
        var x = this; var y = Empty(Shape); int cols = Shape[-1], rows = RowCount;
        Kernels.Rows.Softmax(Span, y.Span, rows, cols);
        return Record(y, [x], y => Kernels.Rows.SoftmaxBackward(y.Span, y.Grad, x.Grad, rows, cols));
    }

    /// <summary>log Σ exp over the last axis, which is dropped.</summary>
    public Tensor LogSumExp()
    {
        var x = this; int cols = Shape[-1], rows = RowCount;
        var y = Empty(Shape.Of(Shape.AsSpan[..^1]));
        Kernels.Rows.LogSumExp(Span, y.Span, rows, cols);
        return Record(y, [x], y =>
        {
            for (int r = 0; r < rows; r++)
                if (!Real.IsNegativeInfinity(y.Span[r]))
                    for (int j = r * cols; j < (r + 1) * cols; j++) x.Grad[j] += y.Grad[r] * Real.Exp(x.Span[j] - y.Span[r]);
        });
    }

    /// <summary>(x − mean)/√(var + ε) · gain + bias over the last axis; gain and bias [C] or null.</summary>
    public Tensor LayerNorm(Tensor? gain, Tensor? bias, Real eps)
    {
        var x = this; int cols = Shape[-1], rows = RowCount;
        if (gain is not null) Check.Shape(gain, [cols]);
        if (bias is not null) Check.Shape(bias, [cols]);
        var y = Empty(Shape); var mean = Empty([rows]).Exactly(); var rstd = Empty([rows]).Exactly();
        Kernels.Rows.LayerNorm(Span, gain is null ? default : gain.Span, bias is null ? default : bias.Span, y.Span, mean.Span, rstd.Span, rows, cols, eps);
        return Record(y, [x, gain ?? x, bias ?? x], y => Kernels.Rows.LayerNormBackward(x.Span, gain is null ? default : gain.Span, mean.Span, rstd.Span, y.Grad,
            x.Grad, gain is null ? default : gain.Grad, bias is null ? default : bias.Grad, rows, cols));
    }

    /// <summary>x/√(mean x² + ε) · gain over the last axis; gain [C] or null.</summary>
    public Tensor RmsNorm(Tensor? gain, Real eps)
    {
        var x = this; int cols = Shape[-1], rows = RowCount;
        if (gain is not null) Check.Shape(gain, [cols]);
        var y = Empty(Shape); var rstd = Empty([rows]).Exactly();
        Kernels.Rows.RmsNorm(Span, gain is null ? default : gain.Span, y.Span, rstd.Span, rows, cols, eps);
        return Record(y, [x, gain ?? x], y => Kernels.Rows.RmsNormBackward(x.Span, gain is null ? default : gain.Span, rstd.Span, y.Grad,
            x.Grad, gain is null ? default : gain.Grad, rows, cols));
    }

    /// <summary>x/max(‖x‖, ε) over the last axis.</summary>
    public Tensor L2Normalise(Real eps)
    {
        var x = this; int cols = Shape[-1], rows = RowCount;
        var y = Empty(Shape); var norm = Empty([rows]).Exactly();
        Kernels.Rows.L2Normalise(Span, y.Span, norm.Span, rows, cols, eps);
        return Record(y, [x], y => Kernels.Rows.L2NormaliseBackward(y.Span, norm.Span, y.Grad, x.Grad, rows, cols, eps));
    }

    /// <summary>Group normalisation of [B,C,…]: statistics over groups of channels and all positions; gain and bias [C].</summary>
    public Tensor GroupNorm(Tensor gain, Tensor bias, int groups, Real eps)
    {
        var x = this; int b = Shape[0], c = Shape[1], s = Shape.Size / (b * c);
        Check.Shape(gain, [c]); Check.Shape(bias, [c]);
        if (groups < 1 || c % groups != 0) throw new ShapeException($"{c} channels do not split into {groups} groups");
        var y = Empty(Shape); var mean = Empty([b, groups]).Exactly(); var rstd = Empty([b, groups]).Exactly();
        Kernels.Rows.GroupNorm(Span, gain.Span, bias.Span, y.Span, mean.Span, rstd.Span, b, c, s, groups, eps);
        return Record(y, [x, gain, bias], y => Kernels.Rows.GroupNormBackward(x.Span, gain.Span, mean.Span, rstd.Span, y.Grad, x.Grad, gain.Grad, bias.Grad, b, c, s, groups));
    }

    /// <summary>Cross-entropy of logits [..., V] against one target per row, in nats, per row; targets below 0 count 0.</summary>
    public Tensor CrossEntropyRows(ReadOnlySpan<int> targets)
    {
        var x = this; int cols = Shape[-1], rows = RowCount;
        if (targets.Length != rows) throw new ShapeException($"{targets.Length} targets for logits {Shape}");
        var loss = Empty([rows]); var lse = Empty([rows]).Exactly();
        int[] kept = targets.ToArray();
        Kernels.Rows.CrossEntropy(Span, kept, loss.Span, lse.Span, rows, cols);
        return Record(loss, [x], loss => Kernels.Rows.CrossEntropyBackward(x.Span, kept, lse.Span, loss.Grad, x.Grad, rows, cols));
    }

    /// <summary>Mean cross-entropy in nats over the rows whose target is not negative.</summary>
    public Tensor CrossEntropy(ReadOnlySpan<int> targets)
    {
        int counted = 0;
        foreach (int t in targets) if (t >= 0) counted++;
        return CrossEntropyRows(targets).Sum() * (1 / (Real)Math.Max(1, counted));
    }

    /// <summary>Rows of this table [V,C] by index → [n,C].</summary>
    public Tensor Gather(ReadOnlySpan<int> indices)
    {
        var (v, c) = Shape; var table = this;
        foreach (int i in indices) if ((uint)i >= (uint)v) throw new ArgumentOutOfRangeException(nameof(indices), i, $"row {i} of a table of {v} rows");
        int[] kept = indices.ToArray();
        var y = Empty([indices.Length, c]);
        Select.Gather(Span, v, c, kept, y.Span);
        return Record(y, [table], y => Select.ScatterAdd(y.Grad, kept, table.Grad, v, c));
    }

    /// <summary>Places of an axis by index, in the order asked for and as often: [..., n, ...] → [..., indices, ...].</summary>
    public Tensor Take(int axis, ReadOnlySpan<int> indices)
    {
        if (axis < 0) axis += Shape.Rank;
        int outer = 1, inner = 1, n = Shape[axis], some = indices.Length;
        for (int a = 0; a < axis; a++) outer *= Shape[a];
        for (int a = axis + 1; a < Shape.Rank; a++) inner *= Shape[a];
        var rows = new int[outer * some];
        for (int i = 0; i < rows.Length; i++) rows[i] = (uint)indices[i % some] < (uint)n ? i / some * n + indices[i % some] : throw new ArgumentOutOfRangeException(nameof(indices), indices[i % some], $"axis {axis} of {Shape} has {n} places");
        return Reshape([outer * n, inner]).Gather(rows).Reshape(Shape.With(axis, some));
    }

    /// <summary>Running sum along the last axis, this element included.</summary>
    public Tensor CumSum()
    {
        var x = this; int cols = Shape[-1], rows = RowCount;
        var y = Empty(Shape);
        Select.CumSum(Span, y.Span, rows, cols);
        return Record(y, [x], y => { var g = Empty(x.Shape); Select.CumSum(y.Grad, g.Span, rows, cols, reverse: true); Map.AddTo(g.Span, x.Grad); });
    }
}
