using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Testing;

namespace Fovea.LawTests;

/// <summary>Laws of patterns, scores and normalisers.</summary>
public sealed class EveryPart
{
    static readonly object loaded = Mechanism.All;      // their assembly must be loaded to be searched

    [Fact]
    public void No_cover_lies()
    {
        Assert.NotNull(loaded);
        var patterns = PartLaws.Samples<IPattern>().ToList();
        Assert.True(patterns.Count > 6);
        Assert.All(patterns, p => Assert.True(PartLaws.LyingCovers(p) == 0, $"{p}: {PartLaws.LyingCovers(p)} tiles"));
        Assert.True(patterns.Count(p => p is IRangePattern) > 4);
        Assert.All(patterns, p => Assert.True(PartLaws.LyingRows(p) == 0, $"{p}: {PartLaws.LyingRows(p)} rows"));
    }

    [Fact]
    public void Row_forms_of_scores_agree_with_their_definition()
    {
        var scores = PartLaws.Samples<IScore>().ToList();
        Assert.True(scores.Count > 3);
        Assert.All(scores, s => Assert.True(PartLaws.RowsDisagree(s) <= 2e-3, $"{s}: {PartLaws.RowsDisagree(s)}"));
    }

    [Fact]
    public void Normalisers_give_nothing_to_what_is_masked() =>
        Assert.All(Discover.All(typeof(INormaliser)).Where(t => t.IsPublic && t != typeof(SoftmaxWeights)), t => Assert.True(PartLaws.NormaliserErrs(t) <= 1e-3, $"{t.Name}: {PartLaws.NormaliserErrs(t)}"));
}
