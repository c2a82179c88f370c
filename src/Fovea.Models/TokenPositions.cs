namespace Fovea.Models;

/// <summary>Positions added to token embeddings.</summary>
public abstract class TokenPositions
{
    /// <summary>x [B,N,C] whose first token stands at start → x plus its positions.</summary>
    public abstract Tensor Apply(Tensor x, int start);
}

/// <summary>One learned vector per position. Throws beyond the length it was made for.</summary>
public sealed class LearnedPositions(Weights w, int length, int dim) : TokenPositions
{
    readonly Tensor table = w.Get("positions", [length, dim], Init.Normal02);
    public override Tensor Apply(Tensor x, int start)
    {
        int n = x.Shape[1];
        if (start + n > length) throw new ShapeException($"positions {start}..{start + n - 1} are beyond the learned length {length}");
        return x + table.Slice(0, start, start + n);
    }
}

/// <summary>sin(p θ^(−2c/C)) and cos of the same in turns (arXiv 1706.03762, §3.5).</summary>
public sealed class SinusoidalPositions(int dim, double theta = 10000) : TokenPositions
{
    public override Tensor Apply(Tensor x, int start)
    {
        int n = x.Shape[1];
        var p = Tensor.Empty([n, dim]);
        for (int i = 0; i < n; i++)
            for (int c = 0; c < dim; c++)
            {
                double angle = (start + i) * Math.Pow(theta, -2.0 * (c / 2) / dim);
                p.Span[i * dim + c] = (Real)(c % 2 == 0 ? Math.Sin(angle) : Math.Cos(angle));
            }
        return x + p;
    }
}
