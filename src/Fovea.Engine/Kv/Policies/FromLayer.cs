namespace Fovea.Engine;

/// <summary>The first layers keep everything, which the others' budget does not pay for; above them another policy chooses.</summary>
/// <param name="inner">Who chooses above.</param>
/// <param name="layer">Layers that keep everything.</param>
public sealed class FromLayer(KvPolicy inner, int layer = 2) : KvPolicy
{
    readonly int first = layer >= 0 ? layer : throw new ArgumentOutOfRangeException(nameof(layer), layer, "must not be negative");
    public override KvNeeds Needs => inner.Needs;
    public override void Score(KvEntries head, Span<Real> score) => inner.Score(head, score);
    public override KvPolicy? ForLayer(int layer, int layers) => layer < first ? null : inner.ForLayer(layer, layers);
}
