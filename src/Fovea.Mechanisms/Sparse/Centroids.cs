using System.Numerics.Tensors;
using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Centres of clusters on the sphere of normalised queries, one set per head, that follow the queries without gradients: μ ← λμ + (1 − λ)·mean of the tokens nearest to it, back to the sphere
/// (Routing Transformer, §4.1). The first training pass draws them from its tokens and improves them by ten rounds of Lloyd. They are entries of the state dict and no parameters. A training pass changes them when the next one
/// begins, which is known by its key.
/// </summary>
[From("routing-transformer", "§4.1")]
public sealed class Centroids
{
    readonly Tensor centres, begun; readonly int heads, clusters, dim; readonly double momentum;
    (ulong Key, double[] Sum, int[] Count)? pending;

    public Centroids(Weights w, int heads, int clusters, int dim, double momentum)
    {
        (this.heads, this.clusters, this.dim, this.momentum) = (heads, clusters, dim, momentum);
        centres = w.Get("centroids", [heads, clusters, dim], t => { w.Rng["centroids"].Normal(t.Span); for (int i = 0; i < heads * clusters; i++) Onto(t.Span.Slice(i * dim, dim)); });
        begun = w.Get("begun", [1], Init.Zeros);
        centres.RequiresGrad = begun.RequiresGrad = false;
    }

    // The sphere of layer-normalised vectors has radius √D.
    void Onto(Span<Real> x)
    {
        Real norm = TensorPrimitives.Norm<Real>(x);
        if (norm > 0) TensorPrimitives.Multiply(x, Real.Sqrt(dim) / norm, x);
    }

    /// <summary>x [B,H,N,D] → products with the centres [B,H,N,K]; no gradient.</summary>
    public Tensor Scores(Tensor x) { int b = x.Shape[0]; return x.Detach().MatMulT(centres.Detach().Reshape([1, heads, clusters, dim]).Expand([b, heads, clusters, dim])); }

    /// <summary>The nearest centre of each token [B·H·N].</summary>
    public int[] Nearest(Tensor x)
    {
        var s = Scores(x); var nearest = new int[s.Shape.Size / clusters];
        for (int i = 0; i < nearest.Length; i++) nearest[i] = TensorPrimitives.IndexOfMax<Real>(s.Span.Slice(i * clusters, clusters));
        return nearest;
    }

    /// <summary>Learns from the tokens x [B,H,N,D] of a training pass.</summary>
    public void Learn(Tensor x, Pass pass)
    {
        if (begun.Span[0] == 0) Begin(x, pass.Rng["centroids"]);
        else if (pending is { } p && p.Key != pass.Rng.Key) Move(p.Sum, p.Count, momentum);
        var (sum, count) = Means(x);
        pending = (pass.Rng.Key, sum, count);
    }

    void Begin(Tensor x, Rng rng)
    {
        var (b, _, n, _) = x.Shape; begun.Span[0] = 1;
        for (int h = 0; h < heads; h++)
            for (int c = 0; c < clusters; c++)
            {
                int token = rng[h].Below(c, b * n);
                x.Span.Slice(((token / n * heads + h) * n + token % n) * dim, dim).CopyTo(centres.Span[((h * clusters + c) * dim)..]);
            }
        for (int round = 0; round < 10; round++) { var (sum, count) = Means(x); Move(sum, count, 0); }
    }

    (double[] Sum, int[] Count) Means(Tensor x)
    {
        int n = x.Shape[2]; int[] nearest = Nearest(x), count = new int[heads * clusters]; var sum = new double[heads * clusters * dim];
        for (int i = 0; i < nearest.Length; i++)
        {
            int c = i / n % heads * clusters + nearest[i]; count[c]++;
            for (int d = 0; d < dim; d++) sum[c * dim + d] += x.Span[i * dim + d];
        }
        return (sum, count);
    }

    // A centre that no token is nearest to stays.
    void Move(double[] sum, int[] count, double keep)
    {
        for (int c = 0; c < count.Length; c++)
        {
            if (count[c] == 0) continue;
            var centre = centres.Span.Slice(c * dim, dim);
            for (int d = 0; d < dim; d++) centre[d] = (Real)(keep * centre[d] + (1 - keep) * sum[c * dim + d] / count[c]);
            Onto(centre);
        }
    }
}
