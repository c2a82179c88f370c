namespace Fovea.Engine;

/// <summary>What a policy looks at: one layer's cache. Keys [B,G,R,D] before positions and values [B,G,R,E], of whose rows the first Count hold entries; Tokens are their positions in the text, ascending.</summary>
public readonly ref struct KvView(Tensor keys, Tensor values, ReadOnlySpan<int> tokens)
{
    public Tensor Keys => keys;
    public Tensor Values => values;
    public ReadOnlySpan<int> Tokens { get; } = tokens;
    public int Count => Tokens.Length;
}

/// <summary>Chooses what stays in a cache that is over its budget. Most policies give a score and nothing else.</summary>
public abstract class KvPolicy
{
    /// <summary>Importance of each entry; score [Count] is overwritten; higher stays, and of equal entries the newer one.</summary>
    public abstract void Score(in KvView cache, Span<Real> score);

    /// <summary>Indices of the entries that stay, ascending; called only with Count above budget. The default keeps the budget entries with the highest scores.</summary>
    public virtual int[] Keep(in KvView cache, int budget)
    {
        var score = new Real[cache.Count];
        Score(cache, score);
        return [.. Enumerable.Range(0, score.Length).OrderByDescending(i => score[i]).ThenByDescending(i => i).Take(budget).Order()];
    }
}
