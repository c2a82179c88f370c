using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>How many query heads each key head serves, from the norms of the key heads (§3).</summary>
[From("key-driven-gqa", "§3")]
public static class HeadAllocation
{
    /// <summary>Shares of the scaled norms, rounded, and repaired from the largest or the smallest until they sum to heads. Equal norms give equal groups.</summary>
    public static int[] ByNorm(ReadOnlySpan<double> norms, int heads)
    {
        double min = double.PositiveInfinity, max = 0;
        foreach (double x in norms) { if (!double.IsFinite(x) || x < 0) throw new ArithmeticException($"a key norm is {x}"); (min, max) = (Math.Min(min, x), Math.Max(max, x)); }
        var scaled = new double[norms.Length];
        for (int g = 0; g < norms.Length; g++) scaled[g] = max > min ? (norms[g] - min) / (max - min) : 1;
        return ByShare(scaled, heads);
    }

    /// <summary>Shares of what weights says, rounded, and repaired at heads that the key draws.</summary>
    public static int[] Drawn(ReadOnlySpan<double> weights, int heads, Rng rng)
    {
        int drawn = 0;
        return Rounded(weights.ToArray(), heads, (sizes, less) => { int g; do g = rng.Below(drawn++, sizes.Length); while (less && sizes[g] == 0); return g; });
    }

    /// <summary>Shares, rounded; sizes that sum to heads stay what they are.</summary>
    public static int[] ByShare(double[] shares, int heads) => Rounded(shares, heads, (sizes, less) => Array.IndexOf(sizes, less ? sizes.Max() : sizes.Min()));

    static int[] Rounded(double[] weights, int heads, Func<int[], bool, int> repair)
    {
        double sum = weights.Sum();
        int[] sizes = [.. weights.Select(x => sum > 0 ? (int)Math.Round(x / sum * heads) : heads / weights.Length)];
        while (sizes.Sum() > heads) sizes[repair(sizes, true)]--;
        while (sizes.Sum() < heads) sizes[repair(sizes, false)]++;
        return sizes;
    }

    /// <summary>Σ over the batch of the Frobenius norm of each key head; k [B,G,M,D].</summary>
    public static double[] Norms(Tensor k)
    {
        var (b, groups, m, d) = k.Shape; var norms = new double[groups];
        for (int x = 0; x < b * groups; x++) { double sum = 0; foreach (Real v in k.Span.Slice(x * m * d, m * d)) sum += (double)v * v; norms[x % groups] += Math.Sqrt(sum); }
        return norms;
    }
}

/// <summary>Grouped-query attention whose groups may differ in size: contiguous query heads are dealt to the key heads. Keys and values are repeated by the map.</summary>
public abstract class UnequalGroupsAttention(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    /// <summary>Query heads of each key head, in order; they sum to the heads.</summary>
    protected abstract int[] Sizes(Tensor k, Pass pass);

    protected override Tensor Attend(Heads h, Pass pass)
    {
        int[] sizes = Sizes(h.K, pass);
        (h, var kv) = Remember(h, () => new GrowingKv(), pass);
        int[] map = [.. sizes.SelectMany((size, g) => Enumerable.Repeat(g, size))];
        Tensor k = h.K.Take(1, map), v = h.V.Take(1, map); var call = new Softmax.Call(null, kv is null ? 0 : h.Start, kv?.Positions.ToArray(), kv?.Count);
        bool plain = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern);
        var o = h.Self && Config.Causal ? Run(h.Q, k, v, new Causal(), call, plain, pass) : Run(h.Q, k, v, new Everything(), call, plain, pass);
        kv?.Attended(h.Q); kv?.Settle();
        return o;
    }
    static Tensor Run<T>(Tensor q, Tensor k, Tensor v, T pattern, Softmax.Call call, bool plain, Pass pass) where T : struct, IPattern => plain
        ? Softmax.Plain<Plain, T, SoftmaxWeights>(q, k, v, new(), pattern, call, pass) : Softmax.Fused<Plain, T, SoftmaxWeights>(q, k, v, new(), pattern, call);
}

/// <summary>
/// Key-driven grouped queries (KDGQA, §3.1): while training every call deals the query heads by the norms of its own keys; in evaluation the last deal stays. Groups start equal. The deal is no parameter:
/// rounding lets no gradient through.
/// </summary>
[From("key-driven-gqa", "§3.1")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class KeyDrivenAttention(AttentionConfig c, Weights w) : UnequalGroupsAttention(c, w)
{
    readonly Deal deal = new(w["deal"], c);

    protected override int[] Sizes(Tensor k, Pass pass)
    {
        if (pass.Training) deal.Sizes = HeadAllocation.ByNorm(HeadAllocation.Norms(k), Config.Heads);
        return deal.Sizes;
    }
}

/// <summary>The dynamic form (DGQA, §3.2): heads are dealt anew every so many training calls, from this call's norms and a cache of earlier ones; between deals and in evaluation the map is fixed.</summary>
public abstract class DynamicGroupsAttention(AttentionConfig c, Weights w, int every) : UnequalGroupsAttention(c, w)
{
    readonly int every = every > 0 ? every : throw new ArgumentOutOfRangeException(nameof(every), every, "must be positive");
    readonly Deal deal = new(w["deal"], c);

    /// <summary>What shares are made of, from the norms of this call and the cache.</summary>
    protected abstract double Share(double norm, double cache);

    protected override int[] Sizes(Tensor k, Pass pass)
    {
        if (!pass.Training || ++deal.Calls % every != 0) return deal.Sizes;
        double[] norms = HeadAllocation.Norms(k), cache = deal.Cache;
        deal.Sizes = HeadAllocation.Drawn([.. norms.Zip(cache, Share)], Config.Heads, pass.Rng["deal"]);
        deal.Cache = [.. norms.Zip(cache, (n, old) => (old + n) / every)];
        return deal.Sizes;
    }
}

/// <summary>DGQA with an exponential mean: shares of 0.9·norm + 0.1·cache.</summary>
[From("key-driven-gqa", "§3.2")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class DynamicMeanAttention(AttentionConfig c, Weights w, int? every = null) : DynamicGroupsAttention(c, w, every ?? 300)
{
    protected override double Share(double norm, double cache) => 0.9 * norm + 0.1 * cache;
}

/// <summary>DGQA with differences: shares of |cache − norm|.</summary>
[From("key-driven-gqa", "§3.2")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class DynamicDifferenceAttention(AttentionConfig c, Weights w, int? every = null) : DynamicGroupsAttention(c, w, every ?? 300)
{
    protected override double Share(double norm, double cache) => Math.Abs(cache - norm);
}

/// <summary>Entries of the state dict that are no parameters: sizes of the groups, norms of earlier calls, calls so far.</summary>
sealed class Deal
{
    readonly Tensor sizes, cache, calls; readonly int heads;
    public Deal(Weights w, AttentionConfig c)
    {
        heads = c.Heads;
        sizes = w.Get("sizes", [c.Groups], t => t.Span.Fill(c.Heads / c.Groups)); cache = w.Get("cache", [c.Groups], Init.Zeros); calls = w.Get("calls", [1], Init.Zeros);
        sizes.RequiresGrad = cache.RequiresGrad = calls.RequiresGrad = false;
    }
    public int[] Sizes { get => HeadAllocation.ByShare([.. sizes.Span.ToArray().Select(x => (double)x)], heads); set { for (int g = 0; g < value.Length; g++) sizes.Span[g] = value[g]; } }
    public double[] Cache { get => [.. cache.Span.ToArray().Select(x => (double)x)]; set { for (int g = 0; g < value.Length; g++) cache.Span[g] = (Real)value[g]; } }
    public int Calls { get => (int)calls.Span[0]; set => calls.Span[0] = value; }
}
