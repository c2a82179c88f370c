namespace Fovea.Engine;

/// <summary>Heavy hitters (2306.14048, §4): half of the budget for the entries with the largest weight summed over all queries so far, half for the most recent ones.</summary>
/// <param name="recent">Share of the budget for the most recent entries.</param>
[From("h2o", "§4")]
public sealed class H2o(double recent = 0.5) : KvPolicy
{
    readonly double recent = recent is >= 0 and <= 1 ? recent : throw new ArgumentOutOfRangeException(nameof(recent), recent, "must be 0 to 1");
    public override KvNeeds Needs => new(Mass: true);
    public override void Score(KvEntries head, Span<Real> score) => head.Mass.CopyTo(score);

    public override void Keep(IReadOnlyList<KvEntries> heads, int budget, KvChoice choice)
    {
        for (int h = 0; h < heads.Count; h++)
        {
            var score = choice.Scores(this, heads[h]);
            score[Math.Max(0, score.Length - (int)(recent * budget))..].Fill(Real.PositiveInfinity);
            choice.Best(h, score, budget);
        }
    }
}
