using Fovea.Mechanisms;
namespace Fovea.Engine;

/// <summary>
/// A cache in which a policy decides what stays. Keys are stored without positions and get, at every read, the position of their place inside the cache (StreamingLLM §3.2):
/// distances never exceed the cache however long the text is. Until the first entry leaves, this is the ordinary cache. The budget is kept between calls; during a call the
/// tokens of that call are there too. Give it to a model by <c>new Memory(_ => new PolicyKv(policy, budget))</c>.
/// </summary>
/// <param name="budget">Entries per layer that stay after each call, at least 1.</param>
[From("streamingllm", "§3.2")]
public sealed class PolicyKv(KvPolicy policy, int budget) : GrowingKv
{
    readonly int budget = budget > 0 ? budget : throw new ArgumentOutOfRangeException(nameof(budget), budget, "a cache keeps at least one entry");
    int[] places = [];

    public override bool PositionsAtRead => true;
    public override ReadOnlySpan<int> Positions
    {
        get
        {
            if (places.Length < Count) places = [.. Enumerable.Range(0, Math.Max(Count, 2 * places.Length))];
            return places.AsSpan(0, Count);
        }
    }

    /// <summary>Asks the policy, if there are more entries than the budget. Throws if it keeps more than the budget or what is not there.</summary>
    public override void Settle()
    {
        if (Count <= budget) return;
        int[] keep = policy.Keep(new(Keys, Values, Tokens), budget);
        for (int i = 0; i < keep.Length; i++)
            if (keep[i] < 0 || keep[i] >= Count || i > 0 && keep[i] <= keep[i - 1]) throw new InvalidOperationException($"{policy.GetType().Name} keeps [{string.Join(", ", keep)}] of {Count} entries; expected ascending indices");
        if (keep.Length > budget) throw new InvalidOperationException($"{policy.GetType().Name} keeps {keep.Length} entries, the budget is {budget}");
        Retain(keep);
    }
}
