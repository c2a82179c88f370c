namespace Fovea.Engine;

/// <summary>
/// Heads share the budget of their layer (2407.11550, Algorithm 1): the entries with the highest scores of all heads together stay, so that heads whose attention is spread keep more; each keeps a share of its own in any case.
/// </summary>
/// <param name="inner">Whose scores are compared.</param>
/// <param name="floor">Share of an even budget that each head keeps.</param>
[From("ada-kv", "Algorithm 1")]
public sealed class AdaKv(KvPolicy inner, double floor = 0.2) : PolicyWrapper(inner)
{
    readonly double floor = floor is >= 0 and <= 1 ? floor : throw new ArgumentOutOfRangeException(nameof(floor), floor, "must be 0 to 1");
    protected override KvPolicy Around(KvPolicy other) => new AdaKv(other, floor);

    public override int[][] Keep(IReadOnlyList<KvEntries> heads, int budget)
    {
        var scores = heads.Select(Inner.Scores).ToArray(); int least = (int)(floor * budget), sum = 0;
        var own = scores.Select(s => Best(s, least)).ToArray(); var all = new List<(Real Score, int Head, int Entry)>();
        for (int h = 0; h < scores.Length; h++)
        {
            var kept = own[h].ToHashSet(); sum += kept.Count;
            for (int i = 0; i < scores[h].Length; i++) if (!kept.Contains(i)) all.Add((scores[h][i], h, i));
        }
        var more = all.OrderByDescending(x => x.Score).ThenByDescending(x => x.Entry).ThenBy(x => x.Head).Take(budget * heads.Count - sum).ToLookup(x => x.Head, x => x.Entry);
        return [.. own.Select((k, h) => k.Concat(more[h]).Order().ToArray())];
    }
}
