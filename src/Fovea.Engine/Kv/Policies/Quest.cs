namespace Fovea.Engine;

/// <summary>
/// Query-aware selection of pages (2406.10774, §3.3): from the smallest and largest value of each channel in a page follows the most that any of its keys can score, Σ_c max(q_c·low_c, q_c·high_c); the most promising pages are looked at.
/// </summary>
/// <param name="page">Entries of a page.</param>
/// <param name="fullLayers">Layers from the first on that look at everything.</param>
[From("quest", "§3.3")]
public sealed class Quest(int page = 16, int fullLayers = 2) : KvSelector
{
    public override int Block { get; } = page > 0 ? page : throw new ArgumentOutOfRangeException(nameof(page), page, "must be positive");
    public override int FullLayers => fullLayers;
    public override bool NeedsBounds => true;
    public override void AddScore(KvHead head, KeyBounds bounds, ReadOnlySpan<float> q, Span<float> score)
    {
        for (int b = 0; b < score.Length; b++)
        {
            ReadOnlySpan<float> low = bounds.Low.Slice(b * q.Length, q.Length), high = bounds.High.Slice(b * q.Length, q.Length); float sum = 0;
            for (int c = 0; c < q.Length; c++) sum += Math.Max(q[c] * low[c], q[c] * high[c]);
            score[b] += sum;
        }
    }
}
