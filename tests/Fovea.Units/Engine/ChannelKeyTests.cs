using Fovea.Engine;
using Fovea.Kernels;
namespace Fovea.Units;

public class ChannelKeyTests
{
    // Keys with two channels far larger than the others.
    static float[] Outliers(int rows, int dim, int seed = 1)
    {
        var k = new float[rows * dim]; new Rng((ulong)seed).Normal(k);
        for (int i = 0; i < rows; i++) { k[i * dim + 3] = 40 + k[i * dim + 3]; k[i * dim + dim - 2] *= 20; }
        return k;
    }
    static ChannelRows Rows(string format, int dim, PagePool pool, float[] k, int piece)
    {
        var r = new ChannelRows(NumberFormat.Named(format), dim, pool);
        for (int at = 0; at < k.Length; at += piece * dim) { r.Append(k.AsSpan(at, Math.Min(piece * dim, k.Length - at))); r.Pack(); }
        return r;
    }
    static float[] All(CachedRows r) { var y = new float[r.Count * r.Dim]; r.Decode(0, r.Count, y); return y; }
    static double Error(float[] a, float[] b) => Math.Sqrt(a.Zip(b, (x, y) => (double)(x - y) * (x - y)).Sum() / a.Length);

    [Theory, InlineData("q8_0", 4), InlineData("q4_1", 4), InlineData("q2", 4)]
    public void Outlier_channels_cost_the_others_nothing(string format, double better)
    {
        const int d = 64; using var pool = new PagePool(ChannelRows.PageBytes(NumberFormat.Named(format), d)); using var other = new PagePool(PagedRows.PageBytes(NumberFormat.Named(format), d)); float[] k = Outliers(256, d);
        using var channels = Rows(format, d, pool, k, 256); using var tokens = new PagedRows(NumberFormat.Named(format), d, other); tokens.Append(k);
        // The error of the ordinary channels, which scores are made of when queries have none of the large ones.
        float[] Ordinary(float[] x) => [.. x.Where((_, i) => i % d is not (3 or d - 2))];
        double own = Error(Ordinary(All(channels)), Ordinary(k)), per = Error(Ordinary(All(tokens)), Ordinary(k));
        Assert.True(per > better * own, $"{format}: {per} by token, {own} by channel");
        Assert.Equal(tokens.Bytes, channels.Bytes);
    }

    [Theory, InlineData("q8_0", 1), InlineData("q4_1", 7), InlineData("q2", 70), InlineData("f32", 33)]
    public void Whole_groups_are_rounded_by_channel_and_what_is_behind_them_is_not(string format, int piece)
    {
        const int d = 24, n = 200; var f = NumberFormat.Named(format); using var pool = new PagePool(ChannelRows.PageBytes(f, d)); float[] k = Outliers(n, d);
        using var r = Rows(format, d, pool, k, piece); float[] y = All(r); Span<float> group = new float[32], back = new float[32]; var bytes = new byte[f.RowBytes(32)];
        for (int g = 0; g < n / 32; g++)
            for (int c = 0; c < d; c++)
            {
                for (int j = 0; j < 32; j++) group[j] = k[(g * 32 + j) * d + c];
                f.Encode(group, 32, bytes); f.Decode(bytes, 32, back);
                for (int j = 0; j < 32; j++) Assert.Equal(back[j], y[(g * 32 + j) * d + c]);
            }
        Assert.Equal(k[(n / 32 * 32 * d)..], y[(n / 32 * 32 * d)..]);
        Assert.Equal(n / 32 * ((ChannelRows.PageBytes(f, d) + 63) / 64 * 64) + n % 32 * d * 4L, r.Bytes);
        var part = new float[50 * d]; r.Decode(29, 50, part); Assert.Equal(y[(29 * d)..(79 * d)], part);
    }

    [Fact]
    public void Attention_over_them_is_attention_over_the_numbers_that_they_stand_for()
    {
        const int d = 40, e = 24, group = 3; using var pool = new PagePool(ChannelRows.PageBytes(NumberFormat.Named("q4_1"), d)); using var values = new PagePool(PagedRows.PageBytes(NumberFormat.For<Float32>(), e));
        foreach (int m in (int[])[1, 31, 32, 70, 700, 2500])
            foreach (int n in (int[])[1, 3, 8, 20])
            {
                if (n > m) continue;
                float[] k = Outliers(m, d, m), v = new float[m * e], q = new float[group * n * d]; new Rng(5).Normal(v); new Rng(6).Normal(q);
                using var keys = Rows("q4_1", d, pool, k, 100); using var rows = new PagedRows(NumberFormat.For<Float32>(), e, values); rows.Append(v); float[] o = new float[group * n * e], lse = new float[group * n], stored = All(keys);
                PagedAttention.Forward(group, n, 0.1f, q, keys, rows, m - n, default, new Plain(), new Causal(), null, o, lse);
                for (int r = 0; r < group * n; r++)
                {
                    int sees = m - n + r % n + 1; double max = double.NegativeInfinity, sum = 0; var s = new double[sees]; var expected = new double[e];
                    for (int j = 0; j < sees; j++) { for (int c = 0; c < d; c++) s[j] += 0.1 * q[r * d + c] * stored[j * d + c]; max = Math.Max(max, s[j]); }
                    for (int j = 0; j < sees; j++) { double w = Math.Exp(s[j] - max); sum += w; for (int c = 0; c < e; c++) expected[c] += w * v[j * e + c]; }
                    for (int c = 0; c < e; c++) Assert.Equal(expected[c] / sum, o[r * e + c], 3e-4);
                }
            }
    }

    [Fact]
    public void Forks_cuts_and_groups_that_leave()
    {
        const int d = 16; using var pool = new PagePool(ChannelRows.PageBytes(NumberFormat.Named("q4_1"), d)); float[] k = Outliers(150, d); using var r = Rows("q4_1", d, pool, k, 150); float[] before = All(r);
        Assert.Equal(4, pool.Used);
        using (var fork = r.Fork())
        {
            fork.Cut(75); Assert.Equal(before[..(75 * d)], All(fork)); fork.Append(k.AsSpan(0, 21 * d)); fork.Pack();
            Assert.Equal((96, 96 * d * 20 / 32L), (fork.Count, fork.Bytes)); Assert.Equal(before[..(64 * d)], All(fork)[..(64 * d)]); Assert.Equal(before, All(r));
        }
        Assert.Equal(4, pool.Used);
        r.Keep([.. Enumerable.Range(64, 86)]); Assert.Equal(before[(64 * d)..], All(r)); Assert.Equal(2, pool.Used);
        Assert.Contains("leave by whole groups", Assert.Throws<InvalidOperationException>(() => r.Keep([0, 1, 5])).Message);
        r.Cut(0); Assert.Equal((0, 0L, 0), (pool.Used, r.Bytes, r.Count));
        Assert.Throws<ArgumentException>(() => r.Append([.. Enumerable.Repeat(float.NaN, d)]));
    }

    [Theory, InlineData("kivi8", 0.05), InlineData("kivi4", 0.6), InlineData("kivi2/q8", 2), InlineData("kivi8+unrotated", 0.05), InlineData("kivi4+rotate", 0.6)]
    public void A_model_reads_and_writes_over_them(string format, double most)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(150), more = EngineModels.Text(7, 4); var f = KvFormat.Parse(format);
        Assert.Equal(format, f.ToString().Replace("q8_0", "q8"));
        using var s = model.Start(f); Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, 30), files.Expected(tokens)), 1e-6, most);
        // A fork, and tokens that are taken back, change nothing: up to where the next group is packed.
        using Sequence one = s.Fork(), many = s.Fork(); Assert.Equal(10, many.Steady); var z = new float[7 * model.Vocabulary];
        model.Forward([new(many, more, All: true, Tentative: true)], z); Assert.Equal(EngineModels.Read(one, more, 1), z);
        many.Accept(152); one.Cut(152); Assert.Equal(EngineModels.Read(one, tokens[..40], 1), EngineModels.Read(many, tokens[..40], 1));
        s.Dispose(); one.Dispose(); many.Dispose(); Assert.Equal(0, model.Pools.UsedBytes);
    }

    [Fact]
    public void Windows_let_groups_go_and_policies_are_refused()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace(",\"sliding_window\":20")); int[] tokens = EngineModels.Text(200);
        using Sequence s = model.Start(KvFormat.Parse("kivi8")), full = model.Start(); Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, 9), EngineModels.Read(full, tokens, 9)), 0, 0.05);
        Assert.All(s.Cache[1].Heads, h => Assert.InRange(h.Count, 19, 19 + 64 + 9));
        Assert.Contains("do not leave one by one, as H2o asks", Assert.Throws<ArgumentException>(() => model.Start(KvFormat.Parse("kivi4"), new(new H2o(), 20))).Message);
        using var quest = model.Start(KvFormat.Parse("kivi8"), new(new Quest(4, 0), 24)); EngineModels.Read(quest, tokens[..60], 7);
        Assert.All(EngineModels.Read(quest, tokens[..9], 1), x => Assert.True(float.IsFinite(x)));
    }
}
