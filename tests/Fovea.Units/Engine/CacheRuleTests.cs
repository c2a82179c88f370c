using Fovea.Engine;
using Fovea.Kernels;
namespace Fovea.Units;

public class CacheRuleTests
{
    sealed class Entries(int n, float[]? mass = null, float[]? window = null, float[]? keys = null, int dim = 1) : KvEntries
    {
        readonly int[] positions = [.. Enumerable.Range(0, n)];
        public override int Count => n;
        public override ReadOnlySpan<int> Positions => positions;
        public override int Dim => dim;
        public override void Keys(int first, int count, Span<float> to) => keys.AsSpan(first * dim, count * dim).CopyTo(to);
        public override ReadOnlySpan<float> Mass => mass;
        public override void AddWindowMass(Span<float> to) { for (int i = 0; i < to.Length; i++) to[i] += window![i]; }
    }
    static int[] One(KvPolicy p, int budget, Entries e) => Kept(p, budget, e)[0];
    static int[][] Kept(KvPolicy p, int budget, params Entries[] heads)
    {
        var c = new KvChoice();
        c.Ask(p, heads, budget);
        return [.. heads.Select((_, h) => c[h].ToArray())];
    }

    [Fact] public void Heavy_hitters_are_half_of_the_budget_and_the_recent_ones_the_other() => Assert.Equal([1, 3, 6, 7], One(new H2o(), 4, new(8, mass: [1, 9, 2, 8, 3, 4, 0, 0])));
    [Fact] public void Key_norms_keep_the_small_ones() => Assert.Equal([0, 2, 3], One(new KeyNorm(), 3, new(4, keys: [0, 1, 3, 4, 1, 0, -1, -1], dim: 2)));
    [Fact]
    public void SnapKv_pools_over_neighbours_and_keeps_its_window() =>
        // Means over three: 0, 3, 3, 3, 0, 0 of the first six; the window is the last two.
        Assert.Equal([1, 2, 3, 6, 7], One(new SnapKv(2, 3), 5, new(8, window: [0, 0, 9, 0, 0, 0, 5, 5])));
    [Fact] public void SnapKv_without_pooling_keeps_the_weights() => Assert.Equal([2, 4, 6, 7], One(new SnapKv(2, 1), 4, new(8, window: [0, 0, 9, 0, 1, 0, 5, 5])));
    [Fact] public void Tova_keeps_the_same_in_all_heads() { var kept = Kept(new Tova(), 2, new(4, window: [0.7f, 0.1f, 0.1f, 0.1f]), new(4, window: [0, 0.2f, 0.5f, 0.3f])); Assert.Equal([0, 2], kept[0]); Assert.Equal([0, 2], kept[1]); }
    [Fact]
    public void AdaKv_gives_the_budget_to_the_heads_that_need_it()
    {
        var kept = Kept(new AdaKv(new SnapKv(1, 1), 0.25), 4, new(6, window: [9, 8, 7, 6, 5, 0]), new(6, window: [1, 2, 1, 1, 1, 0]));
        Assert.Equal([0, 1, 2, 3, 4, 5], kept[0]); Assert.Equal([1, 5], kept[1]);           // 8 in all: the windows, the five of the first head, and one
    }
    [Fact] public void ChunkKv_keeps_neighbours_together() => Assert.Equal([2, 3, 6, 7], One(new ChunkKv(new H2o(0), 2), 4, new(8, mass: [4, 0, 3, 3, 0, 0, 0, 9])));
    [Fact]
    public void PyramidKv_falls_evenly_and_keeps_the_mean()
    {
        var p = new PyramidKv(new SnapKv(), 20, 32); int[] budgets = [.. Enumerable.Range(0, 32).Select(l => p.Budget(512, l, 32))];
        Assert.Equal((32 + 960 - 24, 32 + 24), (budgets[0], budgets[31])); Assert.InRange(budgets.Average(), 511, 512); Assert.All(budgets.Zip(budgets.Skip(1)), x => Assert.InRange(x.First - x.Second, 29, 30));
    }

    [Theory, InlineData("chunkkv(fromlayer(h2o,layer=1))"), InlineData("pyramidkv(fromlayer(snapkv(window=4),layer=1),window=4)"), InlineData("adakv(fromlayer(snapkv(window=4),layer=1))"), InlineData("chunkkv(pyramidkv(fromlayer(keynorm,layer=1),window=4))")]
    public void Wrappers_leave_the_layers_alone_that_a_policy_inside_leaves_alone(string rule)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var s = model.Start(null, new(CacheRule.Parse(rule)!, 20, 0));
        s.Read(EngineModels.Text(100)); s.Tighten();
        Assert.All(s.Cache[0].Heads, h => Assert.Equal(100, h.Count)); Assert.InRange(s.Cache[1].Heads.Sum(h => h.Count), 2, 40);
    }
    [Fact]
    public void Wrappers_of_wrappers_keep_what_each_of_them_says()
    {
        var p = new ChunkKv(new PyramidKv(new FromLayer(new H2o(0), 1), 20, 4), 2);
        Assert.Null(p.ForLayer(0, 4)); Assert.IsType<ChunkKv>(p.ForLayer(2, 4)); Assert.True(p.Needs.Mass);
        Assert.Equal(new PyramidKv(new H2o(), 20, 4).Budget(64, 2, 4), p.ForLayer(2, 4)!.Budget(64, 2, 4));
        Assert.Equal([2, 3, 6, 7], One(p.ForLayer(2, 4)!, 4, new(8, mass: [4, 0, 3, 3, 0, 0, 0, 9])));
        var plain = new ChunkKv(new H2o()); Assert.Same(plain, plain.ForLayer(3, 4));
    }

    [Theory, InlineData("recentwindow"), InlineData("streamingllm"), InlineData("h2o"), InlineData("tova"), InlineData("snap-kv(window=8)"), InlineData("pyramidkv(snapkv(window=8),window=8)"), InlineData("adakv(snapkv)"), InlineData("keynorm"), InlineData("chunkkv(h2o)"), InlineData("fromlayer(keynorm,layer=1)"), InlineData("quest"), InlineData("topk")]
    public void A_budget_that_is_never_reached_changes_no_bit(string rule)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(150);
        using Sequence full = model.Start(), some = model.Start(null, new(CacheRule.Parse(rule)!, rule.StartsWith("pyramid", StringComparison.Ordinal) ? 1600 : 160));
        Assert.Equal(EngineModels.Read(full, tokens[..100], 30), EngineModels.Read(some, tokens[..100], 30));
        Assert.Equal(EngineModels.Read(full, tokens[100..], 1), EngineModels.Read(some, tokens[100..], 1));
    }

    [Theory, InlineData("recentwindow"), InlineData("streamingllm"), InlineData("h2o"), InlineData("tova"), InlineData("snapkv(window=8)"), InlineData("pyramidkv(snapkv(window=8),window=8,beta=2)"), InlineData("adakv(snapkv(window=8))"), InlineData("keynorm"), InlineData("chunkkv(h2o)")]
    public void A_budget_is_kept_in_entries_and_in_bytes(string rule)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var s = model.Start(null, new(CacheRule.Parse(rule)!, 40, 16));
        var y = EngineModels.Read(s, EngineModels.Text(200), 25);
        foreach (float v in y) Assert.True(float.IsFinite(v));
        Assert.InRange(s.Cache.Entries, 2 * 2 * 30, 2 * 2 * (40 + 16));
        s.Tighten();
        Assert.InRange(s.Cache.Entries, 2 * 2 * 39, 2 * 2 * 40);
        for (int l = 0; l < 2; l++)
            foreach (var h in s.Cache[l].Heads)
            {
                int[] at = h.Positions.ToArray(); Assert.Equal(at.Distinct().Order(), at);
                Assert.InRange(h.Bytes, 1, ((h.Count + 63) / 64) * 2L * PagedRows.PageBytes(NumberFormat.For<Float32>(), 16) + h.Count * 4L);
            }
    }

    [Theory, InlineData("1024", 1024, KvUnit.Entries), InlineData("25%", 0.25, KvUnit.Share), InlineData("2.5%", 0.025, KvUnit.Share), InlineData("100%", 1, KvUnit.Share), InlineData("64MB", 64e6, KvUnit.Bytes), InlineData("1.5KiB", 1536, KvUnit.Bytes), InlineData("2gb", 2e9, KvUnit.Bytes)]
    public void Sizes_are_entries_a_share_or_bytes(string text, double amount, KvUnit unit) { var s = KvSize.Parse(text); Assert.Equal((amount, unit), (s.Amount, s.Unit)); }
    [Theory, InlineData("0"), InlineData("-3"), InlineData("1.5"), InlineData("0%"), InlineData("101%"), InlineData("MB"), InlineData("0.1KiB%"), InlineData(""), InlineData("99999999999"), InlineData("NaN"), InlineData("1e3"), InlineData("0MB"), InlineData("64 XB")]
    public void Sizes_that_are_none_are_refused(string text) => Assert.Throws<ArgumentException>(() => KvSize.Parse(text));

    [Fact]
    public void A_share_grows_with_the_text()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var s = model.Start(null, new(new StreamingLlm(2), KvSize.Parse("25%"), 0));
        foreach (int n in (int[])[40, 80, 163])
        {
            s.Read(EngineModels.Text(n - s.Length), 20);
            Assert.All(s.Cache[1].Heads, h => Assert.Equal((n + 3) / 4, h.Count));
        }
        // Of blocks of 16, a quarter of 163 entries are two: another bit pattern than looking at all.
        using Sequence quest = model.Start(null, new(CacheRule.Parse("quest")!, KvSize.Parse("25%"))), all = model.Start(null, new(CacheRule.Parse("quest")!, KvSize.Parse("100%"))), full = model.Start();
        Assert.Equal(EngineModels.Read(full, EngineModels.Text(163), 1), EngineModels.Read(all, EngineModels.Text(163), 1)); Assert.NotEqual(EngineModels.Read(full, EngineModels.Text(20), 1), EngineModels.Read(quest, EngineModels.Text(183), 1)[^(20 * EngineModels.Vocabulary)..]);
    }

    [Fact]
    public void Bytes_are_what_the_cache_takes()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var s = model.Start(null, new(new StreamingLlm(2), KvSize.Parse("140KiB"), 30));
        long entry = 2 * 2 * (2 * 16 * 4 + 4); Assert.Equal(entry, s.Cache.EntryBytes);
        for (int i = 0; i < 20; i++) { s.Read(EngineModels.Text(37, i), 37); Assert.InRange(s.Cache.Bytes, 1, 140 << 10); }
        Assert.InRange(s.Cache[0].Heads[0].Count, 4 * 64 - 30, 4 * 64);
        Assert.Contains("expected at least 33792 bytes", Assert.Throws<ArgumentException>(() => model.Start(null, new(new StreamingLlm(2), KvSize.Parse("16KiB"), 30))).Message);
        Assert.Contains("lets nothing leave", Assert.Throws<ArgumentException>(() => new KvBudget(CacheRule.Parse("quest")!, KvSize.Parse("1MB"))).Message);
    }

    [Fact]
    public void A_window_with_sinks_is_the_same_as_a_mask()
    {
        // What stays after each token is known, so the logits are those of a full cache whose other entries are cut away by hand.
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(60);
        using Sequence s = model.Start(null, new(new StreamingLlm(3), 12, 0)), byHand = model.Start();
        for (int i = 0; i < tokens.Length; i++)
        {
            float[] a = s.Read(tokens.AsMemory(i, 1)), b = byHand.Read(tokens.AsMemory(i, 1));
            Assert.Equal(a, b);
            if (i < 12) continue;
            for (int l = 0; l < 2; l++) for (int h = 0; h < 2; h++) byHand.Cache[l].Keep(h, [0, 1, 2, .. Enumerable.Range(4, 9)]);
            Assert.Equal([0, 1, 2, .. Enumerable.Range(i - 8, 9)], s.Cache[1].Heads[0].Positions.ToArray());
        }
    }

    [Fact]
    public void The_weights_that_policies_see_are_those_of_attention()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(50);
        using Sequence mass = model.Start(null, new(new H2o(), 500)), window = model.Start(null, new(new SnapKv(10), 500));
        EngineModels.Read(mass, tokens, 17); EngineModels.Read(window, tokens, 17);
        // Every query's weights are 1 together: two query heads share a key head.
        Assert.InRange(mass.Cache[1].Entries(0).Mass.ToArray().Sum(), 2 * 50 - 1e-3, 2 * 50 + 1e-3);
        var w = new float[50]; window.Cache[1].Entries(1).AddWindowMass(w);
        Assert.InRange(w.Sum(), 2 * 10 - 1e-3, 2 * 10 + 1e-3); Assert.All(w[..30], x => Assert.True(x > 0));
        // By hand, from the keys and the queries of the project's own layer: the last query of the first layer.
        using var one = model.Start(null, new(new Tova(), 500)); EngineModels.Read(one, tokens, 50);
        var last = new float[50]; one.Cache[0].Entries(0).AddWindowMass(last);
        Assert.Equal(Own(files, tokens), last.Select(x => Math.Round(x, 4)));
    }
    // The weights of the last query in the first layer, summed over the two heads of the first key head.
    static double[] Own(EngineModels files, int[] tokens)
    {
        using var scope = Scope.NoGrad(); var probe = new Seen(); files.Own.Forward(tokens, 1, new Pass { Probe = probe }); var p = probe.Pattern!; int n = tokens.Length;
        return [.. Enumerable.Range(0, n).Select(j => Math.Round((double)p[(0 * n + n - 1) * n + j] + p[(1 * n + n - 1) * n + j], 4))];
    }
    sealed class Seen : IProbe
    {
        public float[]? Pattern;
        public bool Wants(Site site) => site is { Layer: 0, Part: Part.Pattern };
        public Tensor Visit(Site site, Tensor value) { if (Wants(site)) Pattern = value.Span.ToArray(); return value; }
    }

    [Fact]
    public void Exact_selection_looks_at_the_keys_with_the_largest_scores()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace());
        var pool = model.Pools.For(64 * 4 * 2); using var head = new KvHead(new PagedRows(NumberFormat.For<Float32>(), 2, pool), new PagedRows(NumberFormat.For<Float32>(), 2, pool));
        head.Append([1, 0, 0, 1, 3, 3, -1, 0], new float[8], 0);
        var score = new float[4]; new TopK().AddScore(head, new(1, 2), [2, 1], score);
        Assert.Equal((float[])[2, 1, 9, -2], score);
        var bounds = new KeyBounds(2, 2); bounds.Update(head); score = new float[2]; new Quest(2).AddScore(head, bounds, [2, -1], score);
        Assert.Equal((float[])[0, 0, -1, 0], bounds.Low[..4].ToArray()); Assert.Equal((float[])[1, 1, 3, 3], bounds.High[..4].ToArray());
        Assert.Equal((float[])[2 * 1 - 0, 2 * 3 - 0], score);
    }

    [Theory, InlineData("snapkw", "did you mean 'snapkv'"), InlineData("adakv", "needs inner"), InlineData("snapkv(depth=3)", "no parameter 'depth'"), InlineData("adakv(quest)", "lets nothing leave"), InlineData("snapkv(kernel=4)", "must be odd"), InlineData("snapkv(window=x)", "expected int"), InlineData("h2o(recent=0.5,recent=1)", "set twice"), InlineData("h2o(", "expected ')'")]
    public void What_is_wrong_with_a_rule_is_told(string rule, string message) => Assert.Contains(message, Assert.Throws<ArgumentException>(() => CacheRule.Parse(rule)).Message);

    [Fact] public void Full_is_no_rule_and_all_others_are_listed() { Assert.Null(CacheRule.Parse("full")); Assert.Contains("snapkv(window=32, kernel=5)", CacheRule.All); Assert.Contains("adakv(inner, floor=0.2)", CacheRule.All); }
}
