using Fovea.Models;
namespace Fovea.Units;

public class WorldTests
{
    [Fact]
    public void Landmarks_close_every_block_and_move_nothing_else()
    {
        var inner = new Recall(20, 4, 16); var text = new WithLandmarks(inner, 6); var b = text.Batch(new(1), 3, 5); var plain = inner.Batch(new(1), 3, 5);
        Assert.Equal((24, 17, 16), (text.Length, text.Vocabulary, text.Landmark));
        for (int r = 0; r < 5; r++)
        {
            for (int i = 5; i < 24; i += 6) { Assert.Equal(16, b.Input(r)[i]); Assert.Equal(-1, b.Target(r)[i]); }
            int row = r; int[] kept = [.. Enumerable.Range(0, 24).Where(i => i % 6 != 5)];
            Assert.Equal(plain.Input(r).ToArray(), kept.Select(i => b.Input(row)[i])); Assert.Equal(plain.Target(r).ToArray(), kept.Select(i => b.Target(row)[i]));
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new WithLandmarks(inner, 1));
    }

    [Fact]
    public void Children_follow_their_parents_and_carriers_copy_one_way_and_then_another()
    {
        var worlds = new SparseWorlds(new(3), noise: 0); var seen = new Dictionary<(int, int, int), int>(); int copied = 0, all = 0, after = 0;
        for (int step = 0; step < 20; step++)
        {
            var b = worlds.Batch(new(4), step, 40); var flipped = worlds.Batch(new(4), step, 40, flipped: true);
            for (int r = 0; r < 40; r++)
            {
                var w = b.Values.AsSpan(r * 24, 24); var f = flipped.Values.AsSpan(r * 24, 24); Assert.Equal(w[b.Asked[r]], b.Answer(r)); Assert.InRange(b.Asked[r], 6, 17); Assert.Equal(w[..18].ToArray(), f[..18].ToArray());
                for (int c = 6; c < 18; c++) { var p = worlds.Parents(c); Assert.True(p.Count == 2 && p.All(x => x < c)); int entry = w[p[0]] * 5 + w[p[1]]; if (!seen.TryAdd((c, entry, 0), w[c])) Assert.Equal(seen[(c, entry, 0)], w[c]); }
                for (int s = 0; s < 6; s++, all++) { if (w[18 + s] == (w[6 + s] + 1) % 5) copied++; if (f[18 + s] == (f[6 + s] + 2) % 5) after++; }
            }
        }
        Assert.InRange(copied / (double)all, 0.89, 0.95); Assert.InRange(after / (double)all, 0.89, 0.95);
        Assert.Throws<ArgumentException>(() => new SparseWorlds(new(3), roots: 1));
    }
}
