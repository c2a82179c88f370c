using System.Numerics.Tensors;
using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>Neighbourhood attention as it was computed before it was fused, for comparison: q, k, v [1,H,N,D] in the order of the grid → [1,H,N,D].</summary>
static class NeighbourhoodKernels
{
    /// <summary>Query by query: gathers its keys, weighs, gathers its values.</summary>
    public static Tensor Naive(Tensor q, Tensor k, Tensor v, int[][] sees)
    {
        var (_, heads, n, d) = q.Shape; var o = Tensor.Zeros(q.Shape); var p = new Real[sees.Max(s => s.Length)]; Real scale = 1 / Real.Sqrt(d);
        for (int row = 0; row < heads * n; row++)
        {
            int[] keys = sees[row % n]; int head = row / n * n; Real max = Real.NegativeInfinity, sum = 0;
            for (int j = 0; j < keys.Length; j++) { p[j] = scale * TensorPrimitives.Dot<Real>(q.Span.Slice(row * d, d), k.Span.Slice((head + keys[j]) * d, d)); max = Real.Max(max, p[j]); }
            for (int j = 0; j < keys.Length; j++) sum += p[j] = Real.Exp(p[j] - max);
            var to = o.Span.Slice(row * d, d);
            for (int j = 0; j < keys.Length; j++) TensorPrimitives.MultiplyAdd(v.Span.Slice((head + keys[j]) * d, d), p[j] / sum, to, to);
        }
        return o;
    }

    /// <summary>Tile by tile of the grid's order, by products of matrices: scores [H,N,Πw] are stored, normalised, and multiplied with the values.</summary>
    public static Tensor Unfused(Tensor q, Tensor k, Tensor v, Neighbourhood grid, int[][] sees, int tile = 64)
    {
        var (_, heads, n, d) = q.Shape; int width = sees.Max(s => s.Length); var scores = Tensor.Full([heads, n, width], Real.NegativeInfinity); var o = Tensor.Zeros(q.Shape); Real scale = 1 / Real.Sqrt(d);
        foreach (bool second in (bool[])[false, true])
        {
            for (int head = 0; head < heads; head++)
                for (int first = 0; first < n; first += tile)
                {
                    int[] queries = grid.Order[first..Math.Min(n, first + tile)], keys = [.. queries.SelectMany(i => sees[i]).Distinct().Order()]; int m = keys.Length;
                    Tensor p = Tensor.Zeros([queries.Length, m]), x = Gathered(second ? v : k, head * n, keys);
                    if (!second) Gemm.AddNT(Gathered(q, head * n, queries).Span, x.Span, p.Span, queries.Length, d, m);
                    for (int r = 0; r < queries.Length; r++)
                    {
                        var row = scores.Span.Slice((head * n + queries[r]) * width, width); int[] own = sees[queries[r]];
                        for (int j = 0, at = 0; j < own.Length; j++)
                        {
                            while (keys[at] != own[j]) at++;
                            if (second) p.Span[r * m + at] = row[j]; else row[j] = scale * p.Span[r * m + at];
                        }
                    }
                    if (!second) continue;
                    var y = Tensor.Zeros([queries.Length, d]);
                    Gemm.AddNN(p.Span, x.Span, y.Span, queries.Length, m, d);
                    for (int r = 0; r < queries.Length; r++) y.Span.Slice(r * d, d).CopyTo(o.Span[((head * n + queries[r]) * d)..]);
                }
            if (!second) scores = scores.Softmax();
        }
        return o;
    }

    static Tensor Gathered(Tensor x, int from, int[] rows)
    {
        int d = x.Shape[-1]; var y = Tensor.Empty([rows.Length, d]);
        for (int r = 0; r < rows.Length; r++) x.Span.Slice((from + rows[r]) * d, d).CopyTo(y.Span[(r * d)..]);
        return y;
    }

    /// <summary>What each token sees, ascending.</summary>
    public static int[][] Lists(Neighbourhood grid) => [.. Enumerable.Range(0, grid.Tokens).Select(i => Enumerable.Range(0, grid.Tokens).Where(j => grid.Sees(i, j)).ToArray())];
}
