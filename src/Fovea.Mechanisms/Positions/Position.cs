namespace Fovea.Mechanisms;

/// <summary>How positions enter queries and keys.</summary>
public abstract class Position
{
    /// <summary>x [B,H,N,D] whose token n stands at positions[n] → the same shape, recorded.</summary>
    public abstract Tensor Apply(Tensor x, ReadOnlySpan<int> positions);
}
