namespace Fovea.Engine;

/// <summary>What stays of the heads of a layer: a list of indices per head, ascending. It keeps its room from one use to the next, since a long prompt asks a policy after every chunk in every layer.</summary>
public sealed class KvChoice
{
    int[][] kept = []; int[] counts = []; float[] score = []; ulong[] order = [];

    /// <summary>Heads that are chosen for.</summary>
    public int Heads { get; private set; }
    /// <summary>Indices that stay of a head.</summary>
    public ReadOnlySpan<int> this[int head] => kept[head].AsSpan(0, counts[head]);

    /// <summary>Asks a policy what stays of heads that hold more than budget on average. Throws unless it names entries, ascending, and no more than the budget on average.</summary>
    public void Ask(KvPolicy policy, IReadOnlyList<KvEntries> heads, int budget)
    {
        Heads = heads.Count;
        if (kept.Length < Heads) { int had = kept.Length; Array.Resize(ref kept, Heads); Array.Resize(ref counts, Heads); for (int h = had; h < Heads; h++) kept[h] = []; }
        counts.AsSpan(0, Heads).Clear();
        policy.Keep(heads, budget, this);
        long all = 0;
        for (int h = 0; h < Heads; h++)
        {
            var list = this[h]; all += list.Length;
            for (int i = 0; i < list.Length; i++)
                if (list[i] < 0 || list[i] >= heads[h].Count || i > 0 && list[i] <= list[i - 1]) throw new InvalidOperationException($"{policy.GetType().Name} keeps [{string.Join(", ", list[..Math.Min(20, list.Length)].ToArray())}] of {heads[h].Count} entries; expected ascending indices");
        }
        if (all > (long)budget * Heads) throw new InvalidOperationException($"{policy.GetType().Name} keeps {all} entries, the budget is {(long)budget * Heads}");
    }

    /// <summary>These entries of a head stay.</summary>
    public void Set(int head, ReadOnlySpan<int> indices) => indices.CopyTo(Room(head, indices.Length));

    /// <summary>The most entries with the highest scores stay, of equal ones the later.</summary>
    public void Best(int head, ReadOnlySpan<float> score, int most)
    {
        int n = score.Length, some = Math.Min(n, most);
        var to = Room(head, some);
        if (some == n) { for (int i = 0; i < n; i++) to[i] = i; return; }
        if (order.Length < n) order = new ulong[n];
        // The bits of a float, turned so that they rise with it, above the index.
        for (int i = 0; i < n; i++) { int bits = BitConverter.SingleToInt32Bits(score[i] + 0f); order[i] = (ulong)(uint)(bits < 0 ? ~bits : bits | int.MinValue) << 32 | (uint)i; }
        order.AsSpan(0, n).Sort();
        for (int i = 0; i < some; i++) to[i] = (int)(uint)order[n - some + i];
        to.Sort();
    }

    /// <summary>Of each head the most entries with the highest scores by a policy stay.</summary>
    public void Best(KvPolicy policy, IReadOnlyList<KvEntries> heads, int most) { for (int h = 0; h < heads.Count; h++) Best(h, Scores(policy, heads[h]), most); }

    /// <summary>Scores of a head by a policy, in room that the next call uses again; one that is not a number throws.</summary>
    public Span<float> Scores(KvPolicy policy, KvEntries head)
    {
        if (score.Length < head.Count) score = new float[head.Count];
        var s = score.AsSpan(0, head.Count);
        policy.Score(head, s);
        foreach (float x in s) if (float.IsNaN(x)) throw new ArithmeticException($"{policy.GetType().Name} gives an entry a score that is not a number");
        return s;
    }

    Span<int> Room(int head, int n)
    {
        if (kept[head].Length < n) kept[head] = new int[n];
        counts[head] = n;
        return kept[head].AsSpan(0, n);
    }
}
