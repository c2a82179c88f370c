using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The two ways to compute attention with any score, pattern and normaliser, side by side: fused, and plain as the definition.</summary>
public static class Softmax
{
    /// <summary>What one call looks like apart from the tensors: scale of q·k (1/√D if null), position of query 0, key positions (0, 1, 2 … if null), how many key rows count (all if null), key blocks (all if null).</summary>
    public sealed record Call(Real? Scale = null, int Start = 0, int[]? Positions = null, int? Keys = null, BlockList? Blocks = null);

    static AttentionSize Size(Tensor q, Tensor k, Tensor v, Call call)
    {
        var (b, h, n, d) = q.Shape; var (_, g, rows, _) = k.Shape;
        Check.Shape(k, [b, g, rows, d]); Check.Shape(v, [b, g, rows, -1]);
        var size = new AttentionSize(b, h, g, n, call.Keys ?? rows, d, v.Shape[3]) { KeyRows = rows };
        return call.Scale is { } s ? size with { Scale = s } : size;
    }

    /// <summary>q [B,H,N,D], k [B,G,M,D], v [B,G,M,E] → o [B,H,N,E] by the fused kernel.</summary>
    public static Tensor Fused<TScore, TPattern, TWeights>(Tensor q, Tensor k, Tensor v, TScore score, TPattern pattern, Call call)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
        => FusedWithLse<TScore, TPattern, TWeights>(q, k, v, score, pattern, call).O;

    /// <summary>As above, with the log-sum-exp [B,H,N] of each row (softmax only), through which gradients flow too.</summary>
    public static (Tensor O, Tensor Lse) FusedWithLse<TScore, TPattern, TWeights>(Tensor q, Tensor k, Tensor v, TScore score, TPattern pattern, Call call)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
    {
        var size = Size(q, k, v, call);
        var o = Tensor.Empty([size.Batch, size.Heads, size.Queries, size.ValueDim]); var lse = Tensor.Zeros([size.Batch, size.Heads, size.Queries]).Exactly();
        Flash.Forward<TScore, TPattern, TWeights>(size, q.Span, k.Span, v.Span, call.Start, call.Positions, score, pattern, call.Blocks, o.Span, lse.Span);
        Tensor.Record(o, [q, k, v], o =>
            Flash.Backward<TScore, TPattern, TWeights>(size, q.Span, k.Span, v.Span, call.Start, call.Positions, score, pattern, call.Blocks,
                o.Span, lse.Span, lse.HasGrad ? lse.Grad : default, o.Grad, q.Grad, k.Grad, v.Grad));
        // Recorded after o, so run before it: o's step must run even when only lse was used, and still find lse's gradient.
        Tensor.Record(lse.RetainGrad(), [q, k], lse => { _ = o.Grad; });
        return (o, lse);
    }

    /// <summary>Ordinary softmax attention, for models that project by themselves: over all keys, or causal with query 0 at place start among them. Fused, unless a probe wants the weights or the pass is plain.</summary>
    public static Tensor Attend(Tensor q, Tensor k, Tensor v, bool causal, int start, Pass pass) => causal ? Attend(q, k, v, new Causal(), start, pass) : Attend(q, k, v, new Everything(), start, pass);
    static Tensor Attend<T>(Tensor q, Tensor k, Tensor v, T pattern, int start, Pass pass) where T : struct, IPattern => pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern)
        ? Plain<Plain, T, SoftmaxWeights>(q, k, v, new(), pattern, new(Start: start), pass) : Fused<Plain, T, SoftmaxWeights>(q, k, v, new(), pattern, new(Start: start));

    /// <summary>Materialises [B,H,N,M] with ordinary tensor operations; the definition, and the path for probes.</summary>
    public static Tensor Plain<TScore, TPattern, TWeights>(Tensor q, Tensor k, Tensor v, TScore score, TPattern pattern, Call call, Pass pass)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
    {
        var size = Size(q, k, v, call);
        var (b, h, n, m) = (size.Batch, size.Heads, size.Queries, size.Keys);
        if (k.Shape[2] != m) (k, v) = (k.Slice(2, 0, m), v.Slice(2, 0, m));
        var raw = q.MatMulT(Repeat(k, h)) * size.Scale;
        var logits = pass.At(Part.Scores, Logits(raw, score, pattern, call));
        var p = pass.At(Part.Pattern, typeof(TWeights) == typeof(SoftmaxWeights) ? logits.Softmax() : Weights<TWeights>(logits));
        return p.MatMul(Repeat(v, h));
    }

    // raw [B,H,N,M] → logits, −∞ where the pattern or the block list forbids.
    static Tensor Logits<TScore, TPattern>(Tensor raw, TScore score, TPattern pattern, Call call) where TScore : struct, IScore where TPattern : struct, IPattern
    {
        var (b, h, n, m) = raw.Shape;
        var seen = new bool[raw.Shape.Size];
        var y = Tensor.Empty(raw.Shape);
        for (int r = 0; r < b * h * n; r++)
        {
            int i = r % n, query = call.Start + i, list = call.Blocks is { } bl ? r / n * ((n + bl.QueryBlock - 1) / bl.QueryBlock) + i / bl.QueryBlock : 0;
            for (int j = 0; j < m; j++)
            {
                int key = call.Positions is { } at ? at[j] : j;
                bool listed = call.Blocks is not { } blocks || blocks.Keys.AsSpan(blocks.Start[list], blocks.Start[list + 1] - blocks.Start[list]).Contains(j / blocks.KeyBlock);
                seen[r * m + j] = listed && pattern.Allows(query, key);
                y.Span[r * m + j] = seen[r * m + j] ? score.Of(raw.Span[r * m + j], r / n % h, query, key) : Real.NegativeInfinity;
            }
        }
        return Tensor.Record(y, [raw], y =>
        {
            object boxed = score;
            for (int x = 0; x < seen.Length; x++)
            {
                if (!seen[x]) continue;
                int j = x % m, r = x / m, query = call.Start + r % n, key = call.Positions is { } at ? at[j] : j;
                (boxed as ILearnedScore)?.GradRow(raw.Span.Slice(x, 1), y.Grad.Slice(x, 1), r / n / h, r / n % h, query, key);
                raw.Grad[x] += y.Grad[x] * score.Slope(raw.Span[x], r / n % h, query, key);
            }
        });
    }

    static Tensor Weights<TWeights>(Tensor logits) where TWeights : struct, INormaliser
    {
        var y = Tensor.From(logits.Span, logits.Shape);
        int m = logits.Shape[-1];
        for (int r = 0; r < y.Shape.Size; r += m) TWeights.Weights(y.Span.Slice(r, m));
        return Tensor.Record(y, [logits], y =>
        {
            var g = Tensor.From(y.Grad, y.Shape);
            for (int r = 0; r < y.Shape.Size; r += m) TWeights.Slope(y.Span.Slice(r, m), g.Span.Slice(r, m));
            Map.AddTo(g.Span, logits.Grad);
        });
    }

    static Tensor Repeat(Tensor x, int heads)
    {
        var (b, g, m, d) = x.Shape;
        return g == heads ? x : x.Reshape([b, g, 1, m, d]).Expand([b, g, heads / g, m, d]).Reshape([b, heads, m, d]);
    }
}
