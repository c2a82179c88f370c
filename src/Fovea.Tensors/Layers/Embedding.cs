namespace Fovea;

/// <summary>A table of vectors: indices [B·N] → [B,N,C]. Parameter weight [V,C].</summary>
public sealed class Embedding(Weights w, int vocabulary, int dim)
{
    /// <summary>The table; ask for it to tie an output layer.</summary>
    public Tensor Weight { get; } = w.Get("weight", [vocabulary, dim], Init.Normal02);

    /// <summary>Rows of the table; throws if an index is outside 0 … V − 1.</summary>
    public Tensor Forward(ReadOnlySpan<int> indices, int batch)
    {
        if (batch < 1 || indices.Length % batch != 0) throw new ShapeException($"{indices.Length} indices do not form {batch} rows");
        return Weight.Gather(indices).Reshape([batch, indices.Length / batch, dim]);
    }
}
