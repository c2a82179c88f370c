using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>
/// Keeps a sequence's cache within a budget: in each pass, behind its own attention, a layer that holds more than the policy allows it, plus a little so that one token does not move all others, is cut down to it.
/// </summary>
/// <param name="Rule">Who chooses: a policy what stays, a selector what is looked at.</param>
/// <param name="Size">What the cache may hold on average over key heads and layers; policies may spread it unevenly. Bytes are those of pages and positions, without a policy's statistics, for policies that treat heads alike; the layer that is at work holds a chunk more.</param>
/// <param name="Slack">Entries beyond the budget that may gather before the policy is asked.</param>
public sealed record KvBudget(CacheRule Rule, KvSize Size, int Slack = 64)
{
    public KvPolicy? Policy => Rule as KvPolicy;
    public KvSize Size { get; } = Rule is KvSelector && Size.Unit == KvUnit.Bytes ? throw new ArgumentException($"{Rule.GetType().Name} lets nothing leave, so {Size} cannot be kept: expected entries or a share that is looked at") : Size.Checked();
    public int Slack { get; } = Slack >= 0 ? Slack : throw new ArgumentOutOfRangeException(nameof(Slack), Slack, "must not be negative");

    /// <summary>Entries per key head and layer for a text of so many tokens, if an entry of all of them together takes so many bytes.</summary>
    public int Entries(int tokens, long bytes)
    {
        const int page = PagedRows.PageRows;
        switch (Size.Unit)
        {
            case KvUnit.Entries: return (int)Size.Amount;
            case KvUnit.Share: return (int)Math.Max(1, Math.Ceiling(Size.Amount * tokens));
            default:
                double pages = Math.Floor(Size.Amount / (bytes * page));
                if (pages * page <= Slack) throw new ArgumentException($"{Size} are {Size.Amount / bytes:0} entries per key head and layer, of which {Slack} may gather beyond the budget: expected at least {(Slack / page + 1) * page * bytes} bytes");
                return (int)Math.Min(pages * page - Slack, int.MaxValue);
        }
    }

    /// <summary>Lets go of what is too much in one layer of the cache of a text of so many tokens.</summary>
    public void Settle(KvCache cache, int layer, int tokens) => Settle(cache, layer, tokens, Slack);
    /// <summary>Brings all layers down to the budget, without slack, as after a prompt.</summary>
    public void Tighten(KvCache cache, int tokens) { for (int l = 0; l < cache.Layers; l++) Settle(cache, l, tokens, 0); }

    void Settle(KvCache cache, int index, int tokens, int slack)
    {
        if (Policy?.ForLayer(index, cache.Layers) is not { } policy) return;
        var layer = cache[index]; int most = Math.Max(1, policy.Budget(Entries(tokens, cache.EntryBytes), index, cache.Layers)); long held = 0;
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
