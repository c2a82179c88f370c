using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>h_t = a_t ∘ h_{t−1} + b_t as a recorded operation, with the state of a layer.</summary>
public static class ElementwiseRecurrence
{
    /// <summary>a, b [B,N,C] → h [B,N,C], going on from what the layer has seen.</summary>
    public static Tensor Run(object layer, Tensor a, Tensor b, Pass pass)
    {
        var (rows, n, c) = a.Shape; Check.Shape(b, a.Shape); var size = new ScanSize(rows, n, c, 1, 0);
        if (pass.Reference && pass.Memory is null) return Plain(a, b);
        var state = Recurrence.State(layer, pass, size); var before = Tensor.Empty([rows, c]); state.CopyTo(before.Span);
        var h = Tensor.Empty(a.Shape);
        ElementScan.Forward(rows, n, c, a.Span, b.Span, state, h.Span);
        return Tensor.Record(h, [a, b], h => ElementScan.Backward(rows, n, c, a.Span, h.Span, before.Span, h.Grad, a.Grad, b.Grad));
    }

    static Tensor Plain(Tensor a, Tensor b)
    {
        var all = new List<Tensor> { b.Rows(0, 1) };
        for (int t = 1; t < a.Shape[1]; t++) all.Add(a.Rows(t, t + 1) * all[^1] + b.Rows(t, t + 1));
        return Tensor.Concat(1, [.. all]);
    }
}
