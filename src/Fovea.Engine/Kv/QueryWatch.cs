using System.Buffers;
namespace Fovea.Engine;

/// <summary>What a policy wants to know of queries beside keys, values and positions; each costs time at every token, so nothing is kept unless asked for.</summary>
/// <param name="Mass">Weights that each entry has got so far, summed over queries and the query heads that share it.</param>
/// <param name="Window">The queries of so many last tokens.</param>
public readonly record struct KvNeeds(bool Mass = false, int Window = 0);

/// <summary>The queries that one layer of one sequence has seen, as far as a policy needs them.</summary>
public sealed class QueryWatch
{
    readonly KvNeeds needs; readonly AttentionParts parts; readonly float[][] mass; float[] queries, lse; AttentionRows? attention;
    QueryWatch(KvNeeds needs, AttentionParts parts, float[][] mass, float[] queries, float[] lse) => (this.needs, this.parts, this.mass, this.queries, this.lse) = (needs, parts, mass, queries, lse);

    internal static QueryWatch? For(KvPolicy? policy, AttentionParts a) => policy?.Needs is { } n && n != default
        ? new(n, a, [.. Enumerable.Range(0, a.KvHeads).Select(_ => Array.Empty<float>())], new float[a.Heads * n.Window * a.Dim], new float[a.Heads * n.Window]) : null;

    /// <summary>Tokens of the window so far, and the position of the last one.</summary>
    public int Held { get; private set; }
    public int Last { get; private set; } = -1;
    public long Bytes => sizeof(float) * (queries.Length + lse.Length + mass.Sum(m => (long)m.Length));
    /// <summary>Weights so far of the entries of a head.</summary>
    public ReadOnlySpan<float> Mass(int head, int count) => needs.Mass ? mass[head].AsSpan(0, count) : throw new InvalidOperationException("the policy has not asked for the mass of entries");

    // q [H,n,D], lse [H,n] of n tokens from start on.
    internal void See(KvHead[] heads, AttentionRows by, ReadOnlySpan<float> q, int n, int start, ReadOnlySpan<float> l)
    {
        attention = by; int group = parts.Group, d = parts.Dim;
        if (needs.Mass)
            for (int g = 0; g < heads.Length; g++)
            {
                int count = heads[g].Count;
                if (mass[g].Length < count) Array.Resize(ref mass[g], Math.Max(count, 2 * mass[g].Length));
                by.AddMass(heads[g], n, start, q.Slice(g * group * n * d, group * n * d), l.Slice(g * group * n, group * n), mass[g].AsSpan(0, count));
            }
        if (needs.Window == 0) return;
        int w = needs.Window, some = Math.Min(n, w), stay = Math.Min(Held, w - some);
        for (int h = 0; h < parts.Heads; h++)
        {
            var rows = queries.AsSpan(h * w * d, w * d); var ls = lse.AsSpan(h * w, w);
            rows.Slice((Held - stay) * d, stay * d).CopyTo(rows); ls.Slice(Held - stay, stay).CopyTo(ls);
            q.Slice((h * n + n - some) * d, some * d).CopyTo(rows[(stay * d)..]); l.Slice(h * n + n - some, some).CopyTo(ls[stay..]);
        }
        Held = stay + some; Last = start + n - 1;
    }

    /// <summary>Adds to mass the weights that the queries of the window give the entries of a head.</summary>
    internal void AddWindow(KvHead head, int index, Span<float> to)
    {
        if (needs.Window == 0) throw new InvalidOperationException("the policy has not asked for queries");
        if (Held == 0) return;
        int group = parts.Group, d = parts.Dim, w = needs.Window; float[] q = ArrayPool<float>.Shared.Rent(group * Held * d), l = ArrayPool<float>.Shared.Rent(group * Held);
        for (int r = 0; r < group; r++)
        {
            queries.AsSpan((index * group + r) * w * d, Held * d).CopyTo(q.AsSpan(r * Held * d)); lse.AsSpan((index * group + r) * w, Held).CopyTo(l.AsSpan(r * Held));
        }
        attention!.AddMass(head, Held, Last - Held + 1, q.AsSpan(0, group * Held * d), l.AsSpan(0, group * Held), to);
        ArrayPool<float>.Shared.Return(q); ArrayPool<float>.Shared.Return(l);
    }

    internal void Keep(int head, ReadOnlySpan<int> indices)
    {
        if (!needs.Mass) return;
        float[] m = mass[head]; int i = 0;
        for (; i < indices.Length; i++) m[i] = m[indices[i]];
        m.AsSpan(i).Clear();
    }
    internal QueryWatch Fork() => new(needs, parts, [.. mass.Select(m => (float[])m.Clone())], (float[])queries.Clone(), (float[])lse.Clone()) { Held = Held, Last = Last, attention = attention };
}
