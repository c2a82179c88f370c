using Fovea.Models;
namespace Fovea.Units;

public class SourceTests
{
    [Fact]
    public void Shapes_lie_where_they_say_and_stand_out()
    {
        var images = new Shapes().Batch(new(1), 0, 60);
        Assert.Equal(Shapes.Most, images.Labels.Distinct().Count());
        for (int i = 0; i < images.Size; i++)
        {
            var s = images.Shows[i]; var pixels = images.Pixels.AsSpan(i * 3 * 32 * 32, 32 * 32); double outside = -1, bright = -1;
            for (int y = 0; y < 32; y++) for (int x = 0; x < 32; x++)
            {
                if (Math.Max(Math.Abs(x + 0.5 - s.X), Math.Abs(y + 0.5 - s.Y)) > s.Radius + 1) outside = Math.Max(outside, pixels[y * 32 + x]); else bright = Math.Max(bright, pixels[y * 32 + x]);
            }
            Assert.True(outside <= -0.19 && bright >= -0.01, $"{s}: {outside} outside, {bright} inside");
        }
    }

    [Fact]
    public void Patches_hold_every_pixel_once()
    {
        var images = new Shapes(4, 3).Batch(new(2), 1, 2);
        Assert.Equal(images.Pixels.Order(), images.Patches(4).Span.ToArray().Order());
        Assert.Equal(images.Pixels[32], images.Patches(2).Span[2]);
        Assert.Throws<ArgumentException>(() => images.Patches(5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Shapes(13));
    }

    [Fact]
    public void Hidden_inputs_leave_targets_alone()
    {
        var text = new GrammarText(40); var source = new MaskedInputs(text, 0.2); Batch a = text.Batch(new(1), 0, 8), b = source.Batch(new(1), 0, 8);
        Assert.Equal(a.Targets, b.Targets);
        for (int r = 0; r < 8; r++) { Assert.Equal(8, b.Input(r).ToArray().Count(t => t == source.Mask)); Assert.NotEqual(source.Mask, b.Input(r)[^1]); }
        Assert.Throws<ArgumentOutOfRangeException>(() => new MaskedInputs(text, 1));
    }

    [Fact]
    public void Questions_ask_for_what_the_items_say()
    {
        var b = new CopyOrMajority(90, 0.3).Batch(new(1), 0, 20);
        for (int r = 0; r < 20; r++)
        {
            int[] items = [.. b.Input(r)[..^8].ToArray().Where(t => t < CopyOrMajority.Keys * CopyOrMajority.Classes)];
            for (int q = 82; q < 90; q++)
            {
                int asked = b.Input(r)[q], target = b.Target(r)[q];
                if (asked == CopyOrMajority.Majority) Assert.Equal(items.CountBy(t => t % 4).Max(c => c.Value), items.Count(t => t % 4 == target));
                else Assert.Equal(target, Assert.Single(items, t => t / 4 == asked - 96) % 4);
            }
        }
    }

    [Fact]
    public void Passages_keep_to_what_their_heading_favours()
    {
        var text = new TopicText(4000, 24, 5, 3); var b = text.Batch(new(1), 0, 2); var favoured = new HashSet<int>[2];
        for (int row = 0; row < 2; row++)
        {
            int[] tokens = b.Input(row).ToArray(), headings = [.. Enumerable.Range(0, tokens.Length).Where(i => tokens[i] >= text.Symbols)];
            Assert.Equal(tokens[1..], b.Target(row)[..^1].ToArray());
            Assert.Equal(0, headings[0]);
            Assert.All(headings.Zip(headings.Skip(1)), h => Assert.InRange(h.Second - h.First - 1, 8, 23));
            var under = headings.Zip(headings.Skip(1)).GroupBy(h => tokens[h.First], h => tokens[(h.First + 1)..h.Second]).ToDictionary(g => g.Key, g => g.SelectMany(x => x).CountBy(x => x).OrderByDescending(x => x.Value).ToList());
            Assert.Equal(5, under.Count);
            foreach (var counts in under.Values) Assert.InRange(counts.Take(3).Sum(x => x.Value) / (double)counts.Sum(x => x.Value), 0.85, 0.98);
            favoured[row] = [.. under[text.Symbols].Take(3).Select(x => x.Key)];
        }
        Assert.False(favoured[0].SetEquals(favoured[1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TopicText(favoured: 33));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TopicText(topics: 0));
    }
}
