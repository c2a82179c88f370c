using System.Numerics.Tensors;
using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Content-based sparse attention over blocks of keys (arXiv 2502.13189 §2.2): each query sees its own block, causally, and the <paramref name="top"/> − 1 earlier blocks whose mean
/// key has the largest product with it, per query and head; the choice carries no gradient. Blocks are counted from position 0, so pieces give what the whole gives.
/// </summary>
[From("2502.13189", "§2.2")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class BlockTopKAttention(AttentionConfig c, Weights w, int block = 32, int top = 3) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass)
    {
        (h, var kv) = Remember(h, () => new GrowingKv(), pass);
        var (q, k, v) = (h.Q, h.K, h.V); int count = kv?.Count ?? k.Shape[2];
        var call = new Softmax.Call(Start: h.Start, Keys: count, Blocks: Choose(q, k, count, h.Start));
        var o = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern)
            ? Softmax.Plain<Plain, Causal, SoftmaxWeights>(q, k, v, new(), new(), call, pass)
            : Softmax.Fused<Plain, Causal, SoftmaxWeights>(q, k, v, new(), new(), call);
        kv?.Settle();
        return o;
    }

    BlockList Choose(Tensor q, Tensor k, int count, int start)
    {
        var (b, heads, n, d) = q.Shape; int g = k.Shape[1], rows = k.Shape[2], blocks = (count + block - 1) / block;
        var mean = new Real[b * g * blocks * d];
        for (int x = 0; x < b * g; x++)
            for (int j = 0; j < count; j++)
            {
                var m = mean.AsSpan((x * blocks + j / block) * d, d);
                TensorPrimitives.Add(m, k.Span.Slice((x * rows + j) * d, d), m);
            }
        // Only whole blocks compete, so dividing by their size would change no order.
        var begin = new int[b * heads * n + 1]; var keys = new List<int>(b * heads * n * top);
        var buffer = new Real[blocks]; var taken = new int[blocks];
        for (int r = 0; r < b * heads * n; r++)
        {
            int own = (start + r % n) / block, head = r / n % heads, from = (r / n / heads * g + head / (heads / g)) * blocks;
            var query = q.Span.Slice(r * d, d);
            for (int j = 0; j < own; j++) buffer[j] = TensorPrimitives.Dot(query, mean.AsSpan((from + j) * d, d));
            int chosen = Math.Min(top - 1, own);
            for (int t = 0; t < chosen; t++)
            {
                int best = -1;
                for (int j = 0; j < own; j++) if (!taken.AsSpan(0, t).Contains(j) && (best < 0 || buffer[j] > buffer[best])) best = j;
                taken[t] = best;
            }
            Array.Sort(taken, 0, chosen);
            for (int t = 0; t < chosen; t++) keys.Add(taken[t]);
            keys.Add(own);
            begin[r + 1] = keys.Count;
        }
        Work.Add((long)b * heads * n * (start + n / 2) / block * d + (long)b * g * count * d);
        return new BlockList { QueryBlock = 1, KeyBlock = block, Start = begin, Keys = [.. keys] };
    }
}
