namespace Fovea.Engine;

/// <summary>Token omission via attention (2401.06104, §3): what the last query looks at least leaves; the weights are averaged over all heads of a layer, which keep the same tokens.</summary>
[From("tova", "§3")]
public sealed class Tova : KvPolicy
{
    public override KvNeeds Needs => new(Window: 1);
    public override void Score(KvEntries head, Span<Real> score) { score.Clear(); head.AddWindowMass(score); }

    public override void Keep(IReadOnlyList<KvEntries> heads, int budget, KvChoice choice)
    {
        var sum = new Real[heads[0].Count];
        foreach (var h in heads) Kernels.Map.AddTo(choice.Scores(this, h), sum);
        choice.Best(0, sum, budget);
        for (int h = 1; h < heads.Count; h++) choice.Set(h, choice[0]);
    }
}
