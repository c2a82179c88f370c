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

    public override void Keep(IReadOnlyList<KvEntries> heads, int budget, KvChoice choice)
    {
        int least = (int)(floor * budget), sum = 0; var all = new List<(Real Score, int Head, int Entry)>(); var own = new SortedSet<int>[heads.Count];
        for (int h = 0; h < heads.Count; h++)
        {
            var score = choice.Scores(Inner, heads[h]);
            choice.Best(h, score, least);
            own[h] = [.. choice[h]]; sum += own[h].Count;
            for (int i = 0; i < score.Length; i++) if (!own[h].Contains(i)) all.Add((score[i], h, i));
        }
        foreach (var (_, head, entry) in all.OrderByDescending(x => x.Score).ThenByDescending(x => x.Entry).ThenBy(x => x.Head).Take(budget * heads.Count - sum)) own[head].Add(entry);
        for (int h = 0; h < heads.Count; h++) choice.Set(h, [.. own[h]]);
    }
}
