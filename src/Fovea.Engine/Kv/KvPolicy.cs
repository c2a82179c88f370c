namespace Fovea.Engine;

/// <summary>What a policy looks at: the entries of one key head. Positions are those in the text, ascending.</summary>
public abstract class KvEntries
{
    public abstract int Count { get; }
    public abstract ReadOnlySpan<int> Positions { get; }
    /// <summary>Numbers of a key.</summary>
    public abstract int Dim { get; }
    /// <summary>Keys [first, first + n) into to [n,Dim], as the cache holds them: with their positions turned in, unless the cache turns them at every read.</summary>
    public abstract void Keys(int first, int n, Span<Real> to);
    /// <summary>Weights that each entry has got so far, summed over queries and query heads [Count]; for policies whose <see cref="KvPolicy.Needs"/> ask for mass.</summary>
    public virtual ReadOnlySpan<Real> Mass => throw new NotSupportedException("this cache does not keep the mass of entries");
    /// <summary>Adds to mass [Count] the weights that the latest queries give each entry, summed over them and over query heads; for policies that ask for a window.</summary>
    public virtual void AddWindowMass(Span<Real> mass) => throw new NotSupportedException("this cache does not keep queries");
}

/// <summary>
/// Chooses what stays in a cache that is over its budget. Most policies give a score and nothing else. Keys and values are stored once per key head; the query heads that share them vote together.
/// </summary>
public abstract class KvPolicy : CacheRule
{
    /// <summary>What is to be remembered of queries.</summary>
    public virtual KvNeeds Needs => default;

    /// <summary>Importance of each entry of a head; score [Count] is overwritten; higher stays, and of equal entries the newer one.</summary>
    public abstract void Score(KvEntries head, Span<Real> score);

    /// <summary>The policy of one layer; null where nothing leaves.</summary>
    public virtual KvPolicy? ForLayer(int layer, int layers) => this;

    /// <summary>Entries per key head of one layer, when the cache as a whole may hold budget per head and layer on average.</summary>
    public virtual int Budget(int budget, int layer, int layers) => budget;

    /// <summary>Names the entries of each head that stay; called only where a layer holds more than budget per head. The default keeps the budget entries of each head with the highest scores.</summary>
    public virtual void Keep(IReadOnlyList<KvEntries> heads, int budget, KvChoice choice) => choice.Best(this, heads, budget);
}
