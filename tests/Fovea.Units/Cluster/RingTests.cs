using Fovea.Cluster;
using Fovea.Kernels;
namespace Fovea.Units;

public class RingTests
{
    [Theory]
    [InlineData(1), InlineData(2), InlineData(5)]
    public void After_a_full_turn_every_buffer_is_home(int workers) => LocalRing.Run(workers, ring =>
    {
        Real[] x = [ring.Rank, 7];
        for (int step = 1; step <= workers; step++)
        {
            x = ring.Exchange(x);
            Assert.Equal((ring.Rank - step % workers + workers) % workers, (int)x[0]);
        }
        Assert.Equal(workers == 1 ? 0 : 8L * workers, ring.BytesSent);
    });

    [Fact]
    public void A_worker_that_fails_wakes_those_that_wait_for_it()
    {
        var e = Assert.Throws<InvalidOperationException>(() => LocalRing.Run(3, ring => { if (ring.Rank == 1) throw new InvalidOperationException("broken"); ring.Exchange([1]); ring.Exchange([1]); }));
        Assert.Equal("broken", e.Message);
    }

    [Fact]
    public void Buffers_of_different_lengths_are_refused() =>
        Assert.Contains("one length", Assert.Throws<InvalidOperationException>(() => LocalRing.Run(2, ring => ring.Exchange(new Real[1 + ring.Rank]))).Message);

    [Fact]
    public void Shards_with_other_keys_than_queries_are_refused() => LocalRing.Run(1, ring =>
        Assert.Throws<ArgumentException>(() => RingAttention.Forward(ring, new AttentionSize(1, 1, 1, 2, 3, 4, 4), new Real[8], new Real[12], new Real[12], false, new Real[8], new Real[2])));

    [Fact]
    public void Grouped_heads_and_values_of_another_width_give_the_single_worker_result()
    {
        const int workers = 3, n = 7, b = 2, h = 4, g = 2, d = 5, e = 3; var part = new AttentionSize(b, h, g, n, n, d, e); var whole = new AttentionSize(b, h, g, workers * n, workers * n, d, e);
        Real[] Draw(string name, int heads, int width) { var x = new Real[b * heads * workers * n * width]; new Rng(4)[name].Normal(x, 2); return x; }
        Real[] q = Draw("q", h, d), k = Draw("k", g, d), v = Draw("v", g, e), o = new Real[b * h * workers * n * e], lse = new Real[b * h * workers * n];
        Flash.Forward(whole, q, k, v, 0, default, new Plain(), new Causal(), o, lse);
        static Real[] Cut(Real[] x, int heads, int width, int rank) => [.. Enumerable.Range(0, b * heads).SelectMany(i => x.AsSpan((i * workers + rank) * n * width, n * width).ToArray())];
        LocalRing.Run(workers, ring =>
        {
            var got = new Real[b * h * n * e]; var gotLse = new Real[b * h * n];
            RingAttention.Forward(ring, part, Cut(q, h, d, ring.Rank), Cut(k, g, d, ring.Rank), Cut(v, g, e, ring.Rank), true, got, gotLse);
            Real[] expected = Cut(o, h, e, ring.Rank);
            for (int i = 0; i < got.Length; i++) Assert.Equal(expected[i], got[i], 1e-5);
        });
    }
}
