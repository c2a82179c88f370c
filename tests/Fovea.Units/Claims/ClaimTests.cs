using Fovea.Claims;
namespace Fovea.Units;

[From("hedgehog", "Eq. 6")] sealed class SomeCode;
[From("2402.04347")] sealed class SomeCodeByNumber;

[Paper("hedgehog")]
static class HedgehogClaims
{
    [Claim("error is small", Quick = true)]
    static Evidence Small(ClaimRun run) => Evidence.AtMost(run.Ablated ? 1 : 0.01, 0.1, "nats");
    [Claim("two things at once")]
    static Evidence Two(ClaimRun run) => Evidence.All(Evidence.AtLeast(run.Seed, 1, note: "seed"), Evidence.AtMost(run.Fixture("n", () => new int[3]).Length, 3));
}

[Paper("based")]
static class BasedClaims
{
    [Claim("throws", Quick = true)]
    static Evidence Throws(ClaimRun run) => throw new InvalidOperationException("no luck");
    [Claim("is not a number", Quick = true)]
    static Evidence Nan(ClaimRun run) => Evidence.AtMost(double.NaN, 1);
}

public class ClaimTests
{
    static readonly PaperIndex index = new(Catalogue.Open(), typeof(ClaimTests).Assembly);
    static PaperRun Run(string id, int seed, bool ablated = false, bool quick = false) => new ClaimRunner(new Fixtures(null)).Run(index[id], seed, ablated, quick);

    [Fact]
    public void Code_and_claims_are_found_by_what_they_carry()
    {
        var hedgehog = index["hedgehog"];
        Assert.Equal([typeof(SomeCode), typeof(SomeCodeByNumber)], hedgehog.Code.Select(c => c.Type));
        Assert.Equal("Eq. 6", hedgehog.Code[0].Where);
        Assert.Equal(["Small", "Two"], hedgehog.Claims.Select(c => c.Name)); Assert.True(hedgehog.Claims[0].Quick); Assert.False(hedgehog.Claims[1].Quick);
        Assert.Empty(index["titans"].Code);
    }

    [Fact]
    public void A_run_holds_if_all_its_measurements_do()
    {
        var run = Run("hedgehog", 1);
        Assert.True(run.Holds); Assert.Equal(3, run.Claims.Count);
        Assert.Equal(("Small", 0.01, "≤", 0.1, "nats", true), (run.Claims[0].Claim, run.Claims[0].Value!.Value, run.Claims[0].Relation, run.Claims[0].Bound!.Value, run.Claims[0].Unit, run.Claims[0].Holds));
        Assert.False(Run("hedgehog", 1, ablated: true).Holds); Assert.False(Run("hedgehog", 0).Holds);
        Assert.Single(Run("hedgehog", 0, quick: true).Claims);
    }

    [Fact]
    public void A_claim_that_throws_or_measures_nothing_does_not_hold()
    {
        var run = Run("based", 1);
        Assert.False(run.Holds); Assert.Equal("InvalidOperationException: no luck", run.Claims[0].Error);
        Assert.False(run.Claims[1].Holds); Assert.Null(run.Claims[1].Value); Assert.Null(run.Claims[1].Error);
        Assert.False(Run("titans", 1).Holds);
        Assert.Throws<OperationCanceledException>(() => new ClaimRunner(new(null)).Run(index["based"], 1, cancel: new CancellationToken(true)));
    }

    [Fact]
    public void Evidence_is_read_back_as_it_was_written_and_a_run_replaces_its_like()
    {
        string folder = Directory.CreateTempSubdirectory("fovea-units-").FullName; var store = new EvidenceStore(folder);
        Assert.Empty(store.Read("hedgehog").Runs); Assert.NotEmpty(EvidenceStore.Over(folder).Read("flashattention").Runs);
        foreach (var run in (PaperRun[])[Run("hedgehog", 2), Run("hedgehog", 1), Run("hedgehog", 2, ablated: true), Run("hedgehog", 2)]) store.Add(run);
        var runs = store.Read("hedgehog").Runs;
        Assert.Equal([(1, false), (2, false), (2, true)], runs.Select(r => (r.Seed, r.Ablated)));
        Assert.Equal(Run("hedgehog", 1).Claims.Select(c => c with { Seconds = 0 }), runs[0].Claims.Select(c => c with { Seconds = 0 }));
        store.Add(Run("based", 1)); Assert.Null(store.Read("based").Runs[0].Claims[1].Value);
        File.WriteAllText(Path.Combine(folder, "titans.json"), "{"); Assert.Contains("titans.json", Assert.Throws<InvalidDataException>(() => store.Read("titans")).Message);
    }

    [Fact]
    public void Status_follows_from_code_and_runs()
    {
        string[] names = ["Small", "Two"];
        EvidenceFile Runs(params PaperRun[] runs) => new("hedgehog", runs);
        PaperRun[] Seeds(bool ablated, params int[] seeds) => [.. seeds.Select(s => Run("hedgehog", s, ablated))];
        Assert.Equal(Status.Missing, Statuses.Of(false, [], Runs()));
        Assert.Equal(Status.Built, Statuses.Of(true, [], Runs()));
        Assert.Equal(Status.Built, Statuses.Of(true, names, Runs()));
        Assert.Equal(Status.Unproven, Statuses.Of(true, names, Runs(Seeds(false, 1, 2, 3))));
        Assert.Equal(Status.Unproven, Statuses.Of(true, names, Runs([.. Seeds(false, 1, 2), .. Seeds(true, 1, 2)])));
        Assert.Equal(Status.Unproven, Statuses.Of(true, names, Runs([.. Seeds(false, 1, 2, 3), .. Seeds(true, 1, 2)])));
        Assert.Equal(Status.Proven, Statuses.Of(true, names, Runs([.. Seeds(false, 1, 2, 3), .. Seeds(true, 1, 2, 3)])));
        Assert.Equal(Status.Failed, Statuses.Of(true, names, Runs([.. Seeds(false, 0, 1, 2, 3), .. Seeds(true, 1, 2, 3)])));
        // a claim added later has not been run: nothing is proven any more
        Assert.Equal(Status.Unproven, Statuses.Of(true, ["Small", "Two", "New"], Runs([.. Seeds(false, 1, 2, 3), .. Seeds(true, 1, 2, 3)])));
        // a control that holds
        Assert.Equal(Status.Unproven, Statuses.Of(true, names, Runs([.. Seeds(false, 1, 2, 3), .. Seeds(false, 1, 2, 3).Select(r => r with { Ablated = true })])));
    }

    [Fact]
    public void Trained_weights_are_built_once_and_read_from_the_cache_after()
    {
        string folder = Directory.CreateTempSubdirectory("fovea-units-").FullName; int built = 0;
        Weights Build() { built++; var w = Weights.Random(new Rng(1)); w["a"].Get("weight", [2, 3]); return w; }
        var first = new ClaimRun(7, fixtures: new Fixtures(folder)).Trained("tiny", Build);
        var run = new ClaimRun(7, fixtures: new Fixtures(folder)); var again = run.Trained("tiny", Build);
        Assert.Same(again, run.Trained("tiny", Build));
        Assert.Equal(1, built);
        Assert.Equal(first["a"].Get("weight", [2, 3]).Span.ToArray(), again["a"].Get("weight", [2, 3]).Span.ToArray());
        new ClaimRun(8, fixtures: new Fixtures(folder)).Trained("tiny", Build); Assert.Equal(2, built);
        File.WriteAllText(Directory.GetFiles(folder, "tiny-7*", SearchOption.AllDirectories).Single(), "broken");
        new ClaimRun(7, fixtures: new Fixtures(folder)).Trained("tiny", Build); Assert.Equal(3, built);
    }
}
