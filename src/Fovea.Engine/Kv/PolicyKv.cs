using Fovea.Mechanisms;
namespace Fovea.Engine;

/// <summary>
/// A cache in which a policy decides what stays. Keys are stored without positions and get, at every read, the position of their place inside the cache (StreamingLLM §3.2):
/// distances never exceed the cache however long the text is. Until the first entry leaves, this is the ordinary cache. The budget is kept between calls; during a call the
/// tokens of that call are there too. All heads keep the same tokens: the policy sees the keys of all heads as one. Give it to a model by <c>new Memory(_ => new PolicyKv(policy, budget))</c>.
/// </summary>
/// <param name="budget">Entries per layer that stay after each call, at least 1.</param>
[From("streamingllm", "§3.2")]
public sealed class PolicyKv(KvPolicy policy, int budget) : GrowingKv
{
    readonly int budget = budget > 0 ? budget : throw new ArgumentOutOfRangeException(nameof(budget), budget, "a cache keeps at least one entry");
    readonly KvChoice choice = new(); int[] places = [];

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
        choice.Ask(policy, [new AllHeads(this)], budget);
        Retain(choice[0]);
    }

    sealed class AllHeads(PolicyKv kv) : KvEntries
    {
        public override int Count => kv.Count;
        public override ReadOnlySpan<int> Positions => kv.Tokens;
        public override int Dim { get { var (b, g, _, d) = kv.Keys.Shape; return b * g * d; } }
        public override void Keys(int first, int n, Span<Real> to)
        {
            var (b, g, r, d) = kv.Keys.Shape;
            for (int i = 0; i < n; i++) for (int h = 0; h < b * g; h++) kv.Keys.Span.Slice((h * r + first + i) * d, d).CopyTo(to[((i * b * g + h) * d)..]);
        }
    }
}
