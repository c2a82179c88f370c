namespace Fovea.Mechanisms;

/// <summary>How positions enter queries and keys.</summary>
public abstract class Position
{
    /// <summary>x [B,H,N,D] whose token n stands at positions[n] → the same shape, recorded.</summary>
    public abstract Tensor Apply(Tensor x, ReadOnlySpan<int> positions);
    /// <summary>The same for keys, where they are treated otherwise than queries.</summary>
    public virtual Tensor ApplyToKeys(Tensor k, ReadOnlySpan<int> positions) => Apply(k, positions);
    /// <summary>The rule that this pass follows; another one where training draws positions. Layers of one pass get the same.</summary>
    public virtual Position In(Pass pass) => this;
}
