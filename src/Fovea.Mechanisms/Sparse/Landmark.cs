using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Landmark attention: every <paramref name="block"/>-th token is a landmark, which stands for the tokens since the one before it; texts come with them put in. The query of a token in block B has two
/// levels of softmax (§3.1): tokens of B so far and landmarks of earlier blocks share one, p⁰; tokens of an earlier block b share one of their own, pᵇ, and weigh pᵇ_j·p⁰(landmark of b). Landmarks weigh nothing, and
/// nobody sees that of its own block. So a block counts exactly as much as its landmark says, which learns by that to find it. Not here: group dropout and random jumps of positions while training.
/// </summary>
/// <param name="block">Tokens from one landmark to the next, itself included: ℓ + 1.</param>
[From("landmark-attention", "§3.1")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class LandmarkAttention(AttentionConfig c, Weights w, int block = 16) : HeadAttention(c, w)
{
    readonly int block = block > 1 ? block : throw new ArgumentException($"blocks of {block} tokens have no room for a landmark and a token");

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self || !Config.Causal) throw new ArgumentException("landmarks stand in the past of the layer's own input; they need Causal = true and no other context");
        (h, var kv) = Remember(h, () => new GrowingKv(), pass);
        int keys = kv?.Count ?? h.K.Shape[2];
        var o = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern)
            ? GroupedSoftmax.Plain(h.Q, PerHead(h.K.Slice(2, 0, keys)), PerHead(h.V.Slice(2, 0, keys)), block, h.Start, null, pass) : GroupedSoftmax.Fused(h.Q, h.K, h.V, block, h.Start, keys);
        kv?.Attended(h.Q); kv?.Settle();
        return o;
    }
}

/// <summary>All keys and values of the past, without positions, and which blocks of them were fetched last.</summary>
public sealed class LandmarkKv : GrowingKv
{
    /// <summary>For each head and query of the last call [B,H,N] the blocks that it fetched, ascending; earlier regions of the call first.</summary>
    public IReadOnlyList<int[]> Chosen { get; internal set; } = [];
    /// <summary>The most tokens that one of these queries saw.</summary>
    public int Seen { get; internal set; }
}

/// <summary>
/// Random access to a text of any length with a model trained by <see cref="LandmarkAttention"/>, whose parameters these are (§3.2). Text is read in regions of <paramref name="chunk"/> tokens. A query sees its own region, and of
/// all blocks before it the <paramref name="top"/> whose landmarks have the largest products with it, per token and head. Only they are fetched, so a token costs one product per block and the attention of top
/// blocks and a region. Keys are kept without positions: the past has top + 1 slots of a block's length, the last top blocks stand in their own and all older ones in the first, and the region begins
/// behind them. So positions stay inside the trained range if that holds (top + 1)·block + chunk, and distances are true if all blocks are fetched. The choice carries no gradient.
/// </summary>
/// <param name="chunk">Tokens per region, rounded up to whole blocks.</param>
/// <param name="shared">True: all heads fetch the same blocks, by the largest product of any head. Choosing for all tokens of a chunk together is not here: then a token would depend on later ones.</param>
[From("landmark-attention", "§3.2")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class LandmarkRetrievalAttention(AttentionConfig c, Weights w, int block = 16, int top = 2, int chunk = 64, bool shared = false) : HeadAttention(c, w)
{
    readonly int chunk = block > 1 && top > 0 && chunk > 0 ? (chunk + block - 1) / block * block : throw new ArgumentException($"blocks of {block} tokens, {top} of them, and regions of {chunk} tokens");

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self || !Config.Causal) throw new ArgumentException("landmarks stand in the past of the layer's own input; they need Causal = true and no other context");
        var kv = pass.Memory?.Get(this, () => new LandmarkKv()); int n = h.Q.Shape[2], start = h.Start; Tensor k = h.K, v = h.V;
        if (kv is not null) { kv.Append(k, v, start); (k, v, kv.Seen) = (kv.Keys, kv.Values, 0); }
        var parts = new List<Tensor>(); var chosen = new List<int[]>();
        for (int at = start, end; at < start + n; at = end)
        {
            int region = at / chunk * chunk; end = Math.Min(start + n, region + chunk);
            parts.Add(Region(h.Q.Slice(2, at - start, end - start), k, v, region, at, end, chosen, kv, pass));
        }
        if (kv is not null) kv.Chosen = chosen;
        return Tensor.Concat(2, [.. parts]);
    }

    int Slot(int b, int blocks) => Math.Max(0, top + 1 - (blocks - b));
    Tensor Turned(Tensor x, Pass pass, bool key, IEnumerable<int> at) => Config.Position?.In(pass) is not { } p ? x : key ? p.ApplyToKeys(x, [.. at]) : p.Apply(x, [.. at]);

    // Queries at [at, end) of one region; k and v hold rows of the text from its beginning.
    Tensor Region(Tensor q, Tensor k, Tensor v, int region, int at, int end, List<int[]> chosen, LandmarkKv? kv, Pass pass)
    {
        var (b, heads, n, d) = q.Shape; int blocks = region / block, first = (top + 1) * block - region;
        q = Turned(q, pass, false, Enumerable.Range(first + at, n));
        Tensor near = Turned(k.Slice(2, region, end), pass, true, Enumerable.Range(first + region, end - region)), nearV = v.Slice(2, region, end);
        int[][] lists = Choose(q.Detach(), k, blocks, pass); int[] union = [.. lists.SelectMany(l => l).Distinct().Order()];
        var place = new Dictionary<int, int>(); var from = new int[lists.Length + 1]; var keys = new List<int>();
        foreach (int x in union) place[x] = place.Count;
        for (int r = 0; r < lists.Length; r++)
        {
            foreach (int x in lists[r]) keys.Add(place[x]);
            for (int x = 0; x < (at + r % n - region) / block; x++) keys.Add(union.Length + x);
            from[r + 1] = keys.Count;
            if (kv is not null) kv.Seen = Math.Max(kv.Seen, lists[r].Length * block + at + r % n - region + 1);
        }
        chosen.AddRange(lists);
        if (union.Length > 0)
        {
            int[] rows = [.. union.SelectMany(x => Enumerable.Range(x * block, block))];
            near = Tensor.Concat(2, Turned(k.Take(2, rows), pass, true, union.SelectMany(x => Enumerable.Range(Slot(x, blocks) * block, block))), near); nearV = Tensor.Concat(2, v.Take(2, rows), nearV);
        }
        var list = new BlockList { QueryBlock = 1, KeyBlock = block, Start = from, Keys = [.. keys] }; int place0 = union.Length * block + at - region;
        return pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern) ? GroupedSoftmax.Plain(q, PerHead(near), PerHead(nearV), block, place0, list, pass) : GroupedSoftmax.Fused(q, near, nearV, block, place0, lists: list);
    }

    // The blocks [B·H·N] that each query fetches.
    int[][] Choose(Tensor q, Tensor k, int blocks, Pass pass)
    {
        var (b, heads, n, _) = q.Shape; int few = Math.Min(top, blocks), rows = b * heads * n;
        if (few == 0) return [.. Enumerable.Repeat(Array.Empty<int>(), rows)];
        var landmarks = Turned(k.Detach().Take(2, [.. Enumerable.Range(0, blocks).Select(x => x * block + block - 1)]), pass, true, Enumerable.Range(0, blocks).Select(x => Slot(x, blocks) * block + block - 1));
        var scores = q.MatMulT(PerHead(landmarks)); var values = new Real[rows * few]; var indices = new int[rows * few];
        if (shared)
        {
            var most = scores.Span;
            for (int x = 0; x < b; x++) for (int i = 0; i < n * blocks; i++)
            {
                Real best = Real.NegativeInfinity;
                for (int h = 0; h < heads; h++) best = Math.Max(best, most[(x * heads + h) * n * blocks + i]);
                for (int h = 0; h < heads; h++) most[(x * heads + h) * n * blocks + i] = best;
            }
        }
        Select.TopK(scores.Span, rows, blocks, few, values, indices);
        return [.. Enumerable.Range(0, rows).Select(r => indices[(r * few)..((r + 1) * few)].Order().ToArray())];
    }
}
