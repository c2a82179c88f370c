using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>
/// Chooses, for each token that is written, the blocks of entries that attention looks at; nothing leaves the cache. Query heads that share a key head vote together. Prompts are read with full attention, as the methods do.
/// </summary>
public abstract class KvSelector : CacheRule
{
    /// <summary>Entries per block.</summary>
    public abstract int Block { get; }
    /// <summary>Layers from the first on that look at everything.</summary>
    public virtual int FullLayers => 0;
    /// <summary>Promise of each block for one query q [D]: added to score [blocks]; the blocks with the highest sums over the group are looked at, and the newest in any case.</summary>
    public abstract void AddScore(KvHead head, KeyBounds bounds, ReadOnlySpan<float> q, Span<float> score);
    /// <summary>Whether <see cref="AddScore"/> reads the bounds.</summary>
    public virtual bool NeedsBounds => false;
}

/// <summary>The smallest and largest value of every channel in each block of keys [blocks,D], brought up to date when it is asked for.</summary>
public sealed class KeyBounds(int block, int dim)
{
    float[] low = [], high = [], row = []; int covered;
    public ReadOnlySpan<float> Low => low;
    public ReadOnlySpan<float> High => high;
    public long Bytes => (low.Length + high.Length) * (long)sizeof(float);

    /// <summary>Takes in the entries that have come since.</summary>
    public void Update(KvHead head)
    {
        int n = head.Count, blocks = (n + block - 1) / block;
        if (low.Length < blocks * dim) { int size = Math.Max(blocks * dim, 2 * low.Length); Array.Resize(ref low, size); Array.Resize(ref high, size); }
        if (row.Length < dim) row = new float[dim];
        for (; covered < n; covered++)
        {
            head.DecodeKeys(covered, 1, row);
            Span<float> l = low.AsSpan(covered / block * dim, dim), h = high.AsSpan(covered / block * dim, dim);
            if (covered % block == 0) { row.AsSpan(0, dim).CopyTo(l); row.AsSpan(0, dim).CopyTo(h); continue; }
            for (int c = 0; c < dim; c++) { l[c] = Math.Min(l[c], row[c]); h[c] = Math.Max(h[c], row[c]); }
        }
    }
    /// <summary>Forgets blocks that hold entries from count on.</summary>
    internal void Cut(int count) => covered = Math.Min(covered, count / block * block);
    internal KeyBounds Fork() => new(block, dim) { low = (float[])low.Clone(), high = (float[])high.Clone(), covered = covered };
}

/// <summary>A selector at work in one layer of one sequence; its lists are overwritten with every token.</summary>
public sealed class KvSelection
{
    readonly KvSelector selector; readonly KvBudget budget; readonly KeyBounds[] bounds; readonly BlockList?[] lists; readonly float[][] scores; readonly int[][] chosen;
    KvSelection(KvSelector selector, KvBudget budget, KeyBounds[] bounds) => (this.selector, this.budget, this.bounds, lists, scores, chosen) =
        (selector, budget, bounds, new BlockList?[bounds.Length], [.. bounds.Select(_ => Array.Empty<float>())], [.. bounds.Select(_ => Array.Empty<int>())]);

    internal static KvSelection? For(KvBudget? budget, AttentionParts a, int layer, int layers) => budget?.Rule is KvSelector s && layer >= s.FullLayers
        ? new(s, budget, [.. Enumerable.Range(0, a.KvHeads).Select(_ => new KeyBounds(s.Block, a.Dim))]) : null;

    public long Bytes => bounds.Sum(b => b.Bytes);

    // The list of one key head for the group's queries q [Group,D]; null where everything is looked at.
    internal BlockList? Of(int head, KvHead kv, int group, ReadOnlySpan<float> q)
    {
        int block = selector.Block, blocks = (kv.Count + block - 1) / block, most = Math.Max(1, budget.Entries(kv.Count, 1) / block), d = q.Length / group;
        if (selector.NeedsBounds) bounds[head].Update(kv);
        if (blocks <= most) return null;
        if (scores[head].Length < blocks) (scores[head], chosen[head]) = (new float[2 * blocks], new int[2 * blocks]);
        var score = scores[head].AsSpan(0, blocks); var order = chosen[head].AsSpan(0, blocks);
        score.Clear();
        for (int r = 0; r < group; r++) selector.AddScore(kv, bounds[head], q.Slice(r * d, d), score);
        score[^1] = float.PositiveInfinity;
        for (int i = 0; i < blocks; i++) { order[i] = i; score[i] = -score[i]; }
        MemoryExtensions.Sort(score, order);
        order[..most].Sort();
        if (lists[head] is not { } list || list.Start.Length != group + 1 || list.Keys.Length != group * most)
            lists[head] = list = new BlockList { QueryBlock = 1, KeyBlock = block, Start = [.. Enumerable.Range(0, group + 1).Select(r => r * most)], Keys = new int[group * most] };
        for (int r = 0; r < group; r++) order[..most].CopyTo(list.Keys.AsSpan(r * most));
        return list;
    }
    internal void Cut(int head, int count) => bounds[head].Cut(count);
    internal KvSelection Fork() => new(selector, budget, [.. bounds.Select(b => b.Fork())]);
}
