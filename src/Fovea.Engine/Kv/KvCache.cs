using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>One layer of a sequence's cache: a ragged list of entries per key head, or a state of another kind.</summary>
public sealed class KvLayer(KvFormat format, KvHead[] heads, int? window, QueryWatch? watch, KvSelection? selection, Memory? state = null) : IDisposable
{
    // Entries that no later token sees go in whole pages: moving a few rows at every token would cost more than they weigh.
    const int Slack = PagedRows.PageRows;
    public KvFormat Format => format;
    public KvHead[] Heads => heads;
    /// <summary>What a policy that asks for it is told about queries.</summary>
    public QueryWatch? Watch => watch;
    /// <summary>What a layer without entries keeps of the past; null for others.</summary>
    public Memory? State => state;
    public long Bytes => heads.Sum(h => h.Bytes) + (state?.Bytes ?? 0) + (watch?.Bytes ?? 0) + (selection?.Bytes ?? 0);

    internal BlockList? Select(int head, int group, ReadOnlySpan<float> q) => selection?.Of(head, heads[head], group, q);

    /// <summary>What a policy looks at: one head with what is known of its queries.</summary>
    public KvEntries Entries(int head) => new PagedEntries(this, head);

    /// <summary>Lets go of all entries of a head but those with these indices, ascending.</summary>
    public void Keep(int head, ReadOnlySpan<int> indices) { heads[head].Keep(indices); watch?.Keep(head, indices); selection?.Cut(head, 0); }

    // Packs keys and lets go of what the window has passed; next is the position of the next token.
    internal void Slide(int next)
    {
        foreach (var h in heads) h.Keys.Pack();
        if (window is not { } width) return;
        for (int h = 0; h < heads.Length; h++)
        {
            int gone = 0, count = heads[h].Count;
            while (gone < count && heads[h].Positions[gone] <= next - width) gone++;
            gone -= gone % Slack;
            if (gone > 0) Keep(h, [.. Enumerable.Range(gone, count - gone)]);
        }
    }

    // Tokens from the position next on until the last of them makes something leave.
    internal int Steady(int next) => state is not null ? 0 : Math.Min(heads[0].Keys.Steady, window is { } width ? (heads[0].Count > 0 ? heads[0].Positions[0] : next) + Slack - 1 + width - next : int.MaxValue);

    internal void Cut(int position) { for (int h = 0; h < heads.Length; h++) { heads[h].Cut(position); selection?.Cut(h, heads[h].Count); } }
    internal KvLayer Fork() => new(format, [.. heads.Select(h => h.Fork())], window, watch?.Fork(), selection?.Fork(), state?.Fork());
    public void Dispose() { foreach (var h in heads) h.Dispose(); }
}

/// <summary>The keys and values, or states, of one sequence, layer by layer.</summary>
public sealed class KvCache : IDisposable
{
    readonly KvLayer[] layers;
    internal KvChoice Choice { get; } = new();
    KvCache(KvLayer[] layers) => (this.layers, EntryBytes) = (layers, layers.Sum(l => l.Heads.Sum(h => h.Keys.RowBytes + h.Values.RowBytes + sizeof(int))));

    /// <summary>An empty cache for a model, with pages from its pools.</summary>
    internal KvCache(LanguageModel model, KvFormat format, KvBudget? budget) : this([.. model.Layers.Select(l => l.Attention.Cache(model, format, budget))])
    {
        // A budget that is too small for anything is refused here and not in the middle of a text.
        budget?.Entries(1, EntryBytes);
    }

    /// <summary>Whether some layer has a state instead of entries, which can be forked and not cut.</summary>
    public bool HasStates => Array.Exists(layers, l => l.State is not null);
    public KvLayer this[int layer] => layers[layer];
    public int Layers => layers.Length;
    /// <summary>Bytes of one entry in every key head of every layer, with its position.</summary>
    public long EntryBytes { get; }
    /// <summary>Bytes of all pages, positions and statistics.</summary>
    public long Bytes => layers.Sum(l => l.Bytes);
    /// <summary>Entries of all heads of all layers.</summary>
    public long Entries => layers.Sum(l => l.Heads.Sum(h => (long)h.Count));

    /// <summary>The same entries for another sequence; pages are shared until one of the two writes into them.</summary>
    public KvCache Fork() => new([.. layers.Select(l => l.Fork())]);
    internal void Cut(int position) { foreach (var l in layers) l.Cut(position); }
    public void Dispose() { foreach (var l in layers) l.Dispose(); }
}

/// <summary>Pools of pages by size, which sequences of a model share.</summary>
public sealed class PagePools : IDisposable
{
    readonly Dictionary<int, PagePool> pools = []; readonly Lock gate = new();
    public PagePool For(int pageBytes) { lock (gate) return pools.TryGetValue(pageBytes, out var p) ? p : pools[pageBytes] = new(pageBytes); }
    /// <summary>Bytes of the pages in use.</summary>
    public long UsedBytes { get { lock (gate) return pools.Values.Sum(p => (long)p.Used * p.PageBytes); } }
    public void Dispose() { lock (gate) foreach (var p in pools.Values) p.Dispose(); }
}
