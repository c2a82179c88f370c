using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Attention whose normaliser sees whole rows (<see cref="IRowNormaliser"/>): fused unless someone wants to see the scores.</summary>
public abstract class RowAttention<TWeights>(AttentionConfig c, Weights w, TWeights weights, Real? scale = null) : HeadAttention(c, w) where TWeights : struct, IRowNormaliser
{
    readonly TWeights weights = weights; readonly Real? scale = scale;

    protected override Tensor Attend(Heads h, Pass pass)
    {
        (h, var kv) = Remember(h, () => new GrowingKv(), pass);
        if (!h.Self || !Config.Causal) return Run(h, new Everything(), null, null, pass);
        var o = Run(h, new Causal(), kv?.Positions.ToArray(), kv?.Count, pass);
        kv?.Attended(h.Q); kv?.Settle();
        return o;
    }

    Tensor Run<T>(Heads h, T pattern, int[]? positions, int? keys, Pass pass) where T : struct, IPattern
    {
        var (q, k, v) = (h.Q, h.K, h.V); var (b, heads, n, d) = q.Shape; int start = positions is null ? 0 : h.Start, m = keys ?? k.Shape[2];
        var size = new AttentionSize(b, heads, k.Shape[1], n, m, d, v.Shape[3]) { KeyRows = k.Shape[2], Scale = scale ?? 1 / Real.Sqrt(d) };
        if (pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern)) return Plain(size, q, k, v, start, positions, pattern, pass);
        var o = Tensor.Empty([b, heads, n, v.Shape[3]]); var rule = weights;
        RowFlash.Forward(size, q.Span, k.Span, v.Span, start, positions, pattern, rule, o.Span);
        return Tensor.Record(o, [q, k, v], o => RowFlash.Backward(size, q.Span, k.Span, v.Span, start, positions, pattern, rule, o.Grad, q.Grad, k.Grad, v.Grad));
    }

    // Materialises [B,H,N,M]: the definition, and the path for probes.
    Tensor Plain<T>(AttentionSize size, Tensor q, Tensor k, Tensor v, int start, int[]? positions, T pattern, Pass pass) where T : struct, IPattern
    {
        var (n, m) = (size.Queries, size.Keys); var rule = weights;
        if (k.Shape[2] != m) (k, v) = (k.Slice(2, 0, m), v.Slice(2, 0, m));
        var mask = Tensor.Zeros([n, m]);
        for (int i = 0; i < n; i++) for (int j = 0; j < m; j++) if (!pattern.Allows(start + i, positions?[j] ?? j)) mask.Span[i * m + j] = Real.NegativeInfinity;
        var logits = pass.At(Part.Scores, q.MatMulT(PerHead(k)) * size.Scale + mask); var p = Tensor.From(logits.Span, logits.Shape);
        for (int r = 0; r < p.Shape.Size; r += m) { var row = p.Span.Slice(r, m); Real factor = rule.Weights(row, RowFlash.Seen(row)); foreach (ref Real x in row) x *= factor; }
        Tensor.Record(p, [logits], p =>
        {
            Tensor raw = Tensor.From(logits.Span, logits.Shape), g = Tensor.From(p.Grad, p.Shape);
            for (int r = 0; r < p.Shape.Size; r += m) { var row = raw.Span.Slice(r, m); rule.Backward(row, g.Span.Slice(r, m), RowFlash.Seen(row)); }
            Map.AddTo(g.Span, logits.Grad);
        });
        return pass.At(Part.Pattern, p).MatMul(PerHead(v));
    }
}
