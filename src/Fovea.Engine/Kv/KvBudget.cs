namespace Fovea.Engine;

/// <summary>
/// Keeps a sequence's cache within a budget: after each pass, a layer that holds more than the policy allows it, plus a little so that one token does not move all others, is cut down to it.
/// </summary>
/// <param name="Rule">Who chooses: a policy what stays, a selector what is looked at.</param>
/// <param name="Entries">Entries per key head and layer, on average; at least 1.</param>
/// <param name="Slack">Entries beyond the budget that may gather before the policy is asked.</param>
public sealed record KvBudget(CacheRule Rule, int Entries, int Slack = 64)
{
    public KvPolicy? Policy => Rule as KvPolicy;
    public int Entries { get; } = Entries > 0 ? Entries : throw new ArgumentOutOfRangeException(nameof(Entries), Entries, "a cache keeps at least one entry");
    public int Slack { get; } = Slack >= 0 ? Slack : throw new ArgumentOutOfRangeException(nameof(Slack), Slack, "must not be negative");

    /// <summary>Lets go of what is too much in one layer.</summary>
    public void Settle(KvCache cache, int layer) => Settle(cache, layer, Slack);
    /// <summary>Brings all layers down to the budget, without slack, as after a prompt.</summary>
    public void Tighten(KvCache cache) { for (int l = 0; l < cache.Layers; l++) Settle(cache, l, 0); }

    void Settle(KvCache cache, int index, int slack)
    {
        if (Policy?.ForLayer(index, cache.Layers) is not { } policy) return;
        var layer = cache[index]; int most = Math.Max(1, policy.Budget(Entries, index, cache.Layers)); long held = 0;
        foreach (var h in layer.Heads) held += h.Count;
        if (held <= (long)(most + slack) * layer.Heads.Length) return;
        var heads = new KvEntries[layer.Heads.Length];
        for (int h = 0; h < heads.Length; h++) heads[h] = layer.Entries(h);
        cache.Choice.Ask(policy, heads, most);
        for (int h = 0; h < heads.Length; h++) if (cache.Choice[h].Length < layer.Heads[h].Count) layer.Keep(h, cache.Choice[h]);
    }
}

/// <summary>One head of a layer of a paged cache, as policies see it.</summary>
sealed class PagedEntries(KvLayer layer, int head) : KvEntries
{
    readonly KvHead entries = layer.Heads[head];
    public override int Count => entries.Count;
    public override ReadOnlySpan<int> Positions => entries.Positions;
    public override int Dim => entries.Keys.Dim;
    public override void Keys(int first, int n, Span<float> to) => entries.DecodeKeys(first, n, to);
    public override ReadOnlySpan<float> Mass => Watch.Mass(head, Count);
    public override void AddWindowMass(Span<float> mass) => Watch.AddWindow(entries, head, mass);
    QueryWatch Watch => layer.Watch ?? throw new InvalidOperationException("the policy has asked for nothing about queries");
}
