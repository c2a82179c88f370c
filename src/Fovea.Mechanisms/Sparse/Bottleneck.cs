using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Reading a few of many slots: the bottleneck between an unconscious state and a conscious one.</summary>
[From("consciousness-prior", "§2.1")]
public static class Bottleneck
{
    /// <summary>
    /// scores [B,M], values [B,M,C] → [B,C], a softmax over the k largest scores of each row (of equal ones the first) times their values, and which they were [B·k], ascending. Gradients reach the scores of all slots as if
    /// the softmax had been over all of them (straight through); with k = M that is plain attention.
    /// </summary>
    public static (Tensor Read, int[] Chosen) Read(Tensor scores, Tensor values, int k)
    {
        var (b, m) = scores.Shape; int c = values.Shape[2]; Check.Shape(values, [b, m, c]);
        if (k < 1 || k > m) throw new ArgumentOutOfRangeException(nameof(k), k, $"between 1 and {m} slots");
        if (k == m) return (Weighted(scores.Softmax()), [.. Enumerable.Range(0, b * m).Select(i => i % m)]);
        var best = new Real[b * k]; var chosen = new int[b * k]; Select.TopK(scores.Span, b, m, k, best, chosen);
        var mask = Tensor.Full([b, m], Real.NegativeInfinity);
        for (int i = 0; i < chosen.Length; i++) mask.Span[i / k * m + chosen[i]] = 0;
        for (int x = 0; x < b; x++) Array.Sort(chosen, x * k, k);
        Tensor all = scores.Softmax(), some = (scores + mask).Softmax().Detach();
        // In the value the difference is nothing at all; it carries the gradient.
        return (Weighted(Through(some, all)), chosen);
        Tensor Weighted(Tensor p) => p.Reshape([b, 1, m]).MatMul(values).Reshape([b, c]);
    }

    /// <summary>value's numbers with the gradient of path.</summary>
    static Tensor Through(Tensor value, Tensor path)
    {
        var y = Tensor.From(value.Span, value.Shape);
        return Tensor.Record(y, [path], y => Map.AddTo(y.Grad, path.Grad));
    }
}
