namespace Fovea.Engine;

/// <summary>The first layers keep everything, which the others' budget does not pay for; above them another policy chooses.</summary>
/// <param name="inner">Who chooses above.</param>
/// <param name="layer">Layers that keep everything.</param>
public sealed class FromLayer(KvPolicy inner, int layer = 2) : PolicyWrapper(inner)
{
    readonly int first = layer >= 0 ? layer : throw new ArgumentOutOfRangeException(nameof(layer), layer, "must not be negative");
    protected override KvPolicy Around(KvPolicy other) => other;
    public override KvPolicy? ForLayer(int layer, int layers) => layer < first ? null : Inner.ForLayer(layer, layers);
}
