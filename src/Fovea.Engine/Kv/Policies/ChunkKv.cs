namespace Fovea.Engine;

/// <summary>Neighbours stay or leave together (2502.00299, Algorithm 1): every entry of a chunk gets the mean score of the chunk, by another policy.</summary>
/// <param name="inner">Whose scores are averaged.</param>
/// <param name="chunk">Entries of a chunk, counted from the first.</param>
[From("chunkkv", "Algorithm 1")]
public sealed class ChunkKv(KvPolicy inner, int chunk = 10) : PolicyWrapper(inner)
{
    readonly int chunk = chunk > 0 ? chunk : throw new ArgumentOutOfRangeException(nameof(chunk), chunk, "must be positive");
    protected override KvPolicy Around(KvPolicy other) => new ChunkKv(other, chunk);
    // By these scores, whatever the policy inside does with its own.
    public override void Keep(IReadOnlyList<KvEntries> heads, int budget, KvChoice choice) => choice.Best(this, heads, budget);

    public override void Score(KvEntries head, Span<Real> score)
    {
        Inner.Score(head, score);
        for (int from = 0; from < score.Length; from += chunk)
        {
            var part = score.Slice(from, Math.Min(chunk, score.Length - from)); double sum = 0;
            foreach (Real s in part) sum += s;
            part.Fill((Real)(sum / part.Length));
        }
    }
}
