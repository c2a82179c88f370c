using Fovea.Mechanisms;
using Fovea.Testing;

namespace Fovea.LawTests;

/// <summary>Every law on every discovered mechanism.</summary>
public sealed class EveryMechanism
{
    public static TheoryData<string> Names => [.. Mechanism.All.Select(m => m.Name)];

    [Theory, MemberData(nameof(Names))]
    public void Keeps_the_laws(string name)
    {
        var subject = Subject.Of(Mechanism.Find(name));
        var results = Laws.Run(subject).ToList();
        Assert.True(results.Count >= 12, $"only {results.Count} laws applied");
        var failed = results.Where(r => !r.Holds).ToList();
        Assert.True(failed.Count == 0, string.Join(Environment.NewLine, failed));
    }

    [Theory, MemberData(nameof(Names))]
    public void Declares_no_less_than_it_can(string name) => Assert.Empty(Laws.Undeclared(Subject.Of(Mechanism.Find(name))));

    [Fact]
    public void At_least_a_dozen_are_found() => Assert.True(Mechanism.All.Count >= 12, string.Join(", ", Mechanism.All.Select(m => m.Name)));

    [Fact]
    public void Each_has_a_source_and_traits() => Assert.All(Mechanism.All, m => { Assert.NotEmpty(m.Papers); Assert.NotEqual(Traits.None, m.Traits); });
}
