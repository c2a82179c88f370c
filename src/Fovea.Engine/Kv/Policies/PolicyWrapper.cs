namespace Fovea.Engine;

/// <summary>A policy around another: everything that it does not say itself is the other's, in every layer.</summary>
/// <param name="inner">Who is asked.</param>
public abstract class PolicyWrapper(KvPolicy inner) : KvPolicy
{
    protected KvPolicy Inner => inner;
    /// <summary>The same wrapper around another policy, as a layer has it.</summary>
    protected abstract KvPolicy Around(KvPolicy other);

    public override KvNeeds Needs => inner.Needs;
    public override void Score(KvEntries head, Span<Real> score) => inner.Score(head, score);
    public override int Budget(int budget, int layer, int layers) => inner.Budget(budget, layer, layers);
    public override void Keep(IReadOnlyList<KvEntries> heads, int budget, KvChoice choice) => inner.Keep(heads, budget, choice);
    public override KvPolicy? ForLayer(int layer, int layers) => inner.ForLayer(layer, layers) is not { } p ? null : ReferenceEquals(p, inner) ? this : Around(p);
}
