using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Units;

/// <summary>The model that comes with the library, and what cache rules leave of what it can.</summary>
[Trait("Category", "Slow")]
public class SmallModelTests
{
    static double[] Needles(string rule, int budget, int length, int trials, int chunk, params double[] depths)
    {
        using var loaded = LoadedModel.Small(); var parsed = CacheRule.Parse(rule);
        var grid = NeedleGrid.Measure(loaded, [length], depths, trials, new() { Chunk = chunk, Budget = parsed is null ? null : new(parsed, budget) }, new Rng(3), null, TestContext.Current.CancellationToken);
        return [.. depths.Select((_, d) => grid.Share[0, d])];
    }

    [Fact] public void It_finds_facts_4096_tokens_back() => Assert.InRange(Needles("full", 0, 4096, 4, 512, 0, 0.25, 0.5, 0.75, 1).Average(), 0.95, 1);

    [Fact]
    public void A_window_forgets_what_is_far_and_knows_what_is_near()
    {
        double[] found = Needles("recentwindow", 256, 2048, 6, 512, 0, 0.5, 1);
        Assert.InRange(found[0], 0, 0.2); Assert.InRange(found[1], 0, 0.2); Assert.InRange(found[2], 0.8, 1);
    }

    [Theory]
    [InlineData("quest")]
    [InlineData("topk")]
    public void Rules_that_let_nothing_go_find_what_a_window_of_the_same_size_has_lost(string rule) => Assert.InRange(Needles(rule, 256, 2048, 6, 512, 0, 0.5).Average(), 0.8, 1);

    [Fact] public void SnapKV_that_has_not_yet_seen_the_question_loses_most() => Assert.InRange(Needles("snapkv", 256, 4096, 4, 512, 0, 0.25, 0.5, 0.75).Average(), 0, 0.5);

    [Fact]
    public void It_answers_about_a_person_and_a_box()
    {
        using var loaded = LoadedModel.Small(); using var batcher = new Batcher(loaded.Model, loaded.Tokenizer);
        string Answer(string text)
        {
            string answer = "";
            batcher.Add(new(loaded.Tokenizer.Encode(text, special: true, boundaries: true)) { MaxTokens = 8, Sampling = Sampling.Greedy, Stop = ["\n"] }, w => answer += w.Text);
            while (batcher.Step()) { }
            return answer.Trim();
        }
        const string more = "The green towers follow the iron wheel.\nThe calm drum praises the bold horns by the sea.\n";
        Assert.Equal("The amber lamp.", Answer("Lusa keeps the amber lamp.\n" + more + "What does Lusa keep?")); Assert.Equal("The small bell.", Answer("Box 417 holds the small bell.\n" + more + "What does box 417 hold?"));
    }
}
