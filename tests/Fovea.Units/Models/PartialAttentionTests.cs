using Fovea.Models;
namespace Fovea.Units;

public class PartialAttentionTests
{
    [Fact]
    public void Translations_exchange_neighbours_and_agree_with_the_first_word()
    {
        var text = new Translations(new Rng(1), 8, 6, repeat: 2); var (source, t) = text.Batch(new Rng(2), 0, 3); var words = new Dictionary<int, int>();
        Assert.Equal(16, t.Length);
        for (int b = 0; b < 3; b++)
            for (int i = 0; i < 16; i++)
            {
                int from = source[b * 8 + (i % 8 ^ 1)], target = t.Target(b)[i] - text.Words;
                Assert.Equal(i % 4 == 3 ? source[b * 8] % 2 : 0, target % 2);
                Assert.Equal(words.TryGetValue(from, out int word) ? word : words[from] = target / 2, target / 2);
                Assert.Equal(i == 0 ? text.Begin : t.Target(b)[i - 1], t.Input(b)[i]);
            }
        Assert.Equal(words.Count, words.Values.Distinct().Count());
    }

    [Fact]
    public void Two_ways_to_read_the_source_are_refused() => Assert.Throws<ArgumentException>(() => new PartialAttentionModel(new(5, 8, 1, 1), Weights.Random(new Rng(1)), new(SeparateCross: true, Partial: true)));

    [Fact]
    public void The_source_loss_counts_the_next_tokens_of_the_source()
    {
        var text = new Translations(new Rng(1), 8, 6); var (source, t) = text.Batch(new Rng(2), 0, 2); var config = new ModelConfig(text.Vocabulary, 16, 1, 2) { Tied = false }; var w = Weights.Random(new Rng(3)); var model = new PartialAttentionModel(config, w, new());
        int[] next = [.. Enumerable.Range(0, 16).Select(i => i % 8 == 7 ? -1 : source[i + 1])];
        double expected = model.Loss(source, t, Pass.Eval).Item + 0.5 * new DecoderModel(config, w).Loss(source, next, 2, Pass.Eval).Item;
        Assert.Equal(expected, model.Loss(source, t, Pass.Eval, 0.5).Item, 1e-5);
    }

    [Fact]
    public void Unknown_layers_and_missing_texts_are_refused()
    {
        var config = new ModelConfig(5, 8, 2, 1);
        Assert.Contains("layout", Assert.Throws<ArgumentException>(() => new DeconstructedModel(config, Weights.Random(new Rng(1)), "x")).Message);
        Assert.Contains("text", Assert.Throws<ArgumentException>(() => new DeconstructedModel(config, Weights.Random(new Rng(1)), "f")).Message);
    }
}
