namespace Fovea.Kernels;

/// <summary>
/// Attention of one key head with the query heads that share it over rows in pages. Few queries read keys and values where and as they lie; for many, a range of keys at a time is brought into float32,
/// and the results of the ranges are merged, so that temporary memory does not grow with the length of the text.
/// </summary>
public static class PagedAttention
{
    /// <summary>Queries up to which rows are read in place.</summary>
    public const int Few = 8;
    const int Range = 1024;

    /// <summary>
    /// q [Group,N,D] → o [Group,N,E] and lse [Group,N], overwritten. Query i stands at queryOffset + i, key j at keyPositions[j] (ascending), or at j if that is empty. Scale is what q·k is multiplied with.
    /// A row that sees nothing gets zeros and lse −∞. Blocks names the keys that each query looks at, or is null for all; only for up to <see cref="Few"/> queries. Turn gives keys that are kept without positions theirs.
    /// </summary>
    public static void Forward<TScore, TPattern>(int group, int n, float scale, ReadOnlySpan<float> q, CachedRows keys, CachedRows values, int queryOffset, ReadOnlySpan<int> keyPositions,
        TScore score, TPattern pattern, BlockList? blocks, Span<float> o, Span<float> lse, KeyTurn turn = default) where TScore : struct, IScore where TPattern : struct, IPattern
    {
        int m = keys.Count, d = keys.Dim, e = values.Dim;
        if (values.Count != m) throw new ArgumentException($"there are {m} keys and {values.Count} values");
        if (m == 0 || n == 0) { o[..(group * n * e)].Clear(); lse[..(group * n)].Fill(float.NegativeInfinity); return; }
        if (n <= Few)
        {
            var call = new InPlace<TScore, TPattern>(new(1, group, 1, n, m, d, e) { Scale = scale }, q, keys, values, queryOffset, keyPositions, score, pattern, blocks, turn, o, lse);
            call.Run();
            return;
        }
        if (blocks is not null) throw new ArgumentException($"blocks are for up to {Few} queries, there are {n}", nameof(blocks));
        InRanges(group, n, scale, q, keys, values, queryOffset, keyPositions, score, pattern, turn, o, lse);
    }

    readonly unsafe ref struct InPlace<TScore, TPattern>(AttentionSize s, ReadOnlySpan<float> q, CachedRows keys, CachedRows values, int offset, ReadOnlySpan<int> positions, TScore score, TPattern pattern, BlockList? blocks, KeyTurn turn, Span<float> o, Span<float> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern
    {
        readonly AttentionSize s = s; readonly ReadOnlySpan<float> q = q; readonly ReadOnlySpan<int> positions = positions; readonly Span<float> o = o, lse = lse; readonly KeyTurn turn = turn;
        public void Run()
        {
            turn.Check(s.Keys);
            fixed (float* pq = q, po = o, pl = lse, cos = turn.Cos, sin = turn.Sin) fixed (int* at = positions, rows = turn.Rows)
                keys.Use(new WithKeys(new(s, pq, q.Length, offset, at, positions.Length, score, pattern, blocks, po, o.Length, pl, lse.Length), values, cos, sin, rows, turn.Half));
        }
        readonly struct Call(AttentionSize s, float* q, int qs, int offset, int* at, int places, TScore score, TPattern pattern, BlockList? blocks, float* o, int os, float* lse, int ls)
        {
            public int Dim => s.Dim;
            public void Run<TKeys, TValues>(TKeys keys, TValues values) where TKeys : struct, IRowSource where TValues : struct, IRowSource =>
                Flash.Few<TScore, TPattern, SoftmaxWeights, TKeys, TValues>(s, new(q, qs), keys, values, offset, new(at, places), score, pattern, blocks, new(o, os), new(lse, ls));
        }
        readonly struct WithKeys(Call call, CachedRows values, float* cos, float* sin, int* rows, int half) : ISourceUser
        {
            public void Run<TSource>(TSource keys) where TSource : struct, IDecodedSource
            {
                if (half == 0) values.Use(new WithBoth<TSource>(call, keys)); else values.Use(new WithBoth<TurnedRows<TSource>>(call, new(keys, call.Dim, cos, sin, rows, half)));
            }
        }
        readonly struct WithBoth<TKeys>(Call call, TKeys keys) : ISourceUser where TKeys : struct, IRowSource
        {
            public void Run<TSource>(TSource values) where TSource : struct, IDecodedSource => call.Run(keys, values);
        }
    }

    static unsafe void InRanges<TScore, TPattern>(int group, int n, float scale, ReadOnlySpan<float> q, CachedRows keys, CachedRows values, int offset, ReadOnlySpan<int> positions, TScore score, TPattern pattern, KeyTurn turn, Span<float> o, Span<float> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern
    {
        int m = keys.Count, d = keys.Dim, e = values.Dim, rows = group * n, range = Math.Min(Range, m);
        using var scratch = Scratch.Open();
        Span<float> k = new(scratch.Take((long)range * d), range * d), v = new(scratch.Take((long)range * e), range * e), part = new(scratch.Take((long)rows * e), rows * e), partLse = new(scratch.Take(rows), rows);
        Span<int> at = new(scratch.TakeInts(range), range); bool any = false;
        for (int from = 0; from < m; from += range)
        {
            int some = Math.Min(range, m - from);
            for (int j = 0; j < some; j++) at[j] = positions.IsEmpty ? from + j : positions[from + j];
            if (pattern.Tile(offset, offset + n - 1, at[0], at[some - 1]) == Cover.None) continue;
            keys.Decode(from, some, k); turn.Apply(k, from, some, d); values.Decode(from, some, v);
            var s = new AttentionSize(1, group, 1, n, some, d, e) { Scale = scale };
            Flash.Forward(s, q, k, v, offset, at[..some], score, pattern, any ? part : o, any ? partLse : lse);
            if (any) Flash.Merge(rows, e, o, lse, part, partLse);
            any = true;
        }
        if (any) return;
        o[..(rows * e)].Clear(); lse[..rows].Fill(float.NegativeInfinity);
    }

    /// <summary>Adds to mass [keys] the weights exp(s_ij − lse_i) that the queries give each key, summed over rows; lse is Forward's. q, lse and positions as in Forward.</summary>
    public static unsafe void AddMass<TScore, TPattern>(int group, int n, float scale, ReadOnlySpan<float> q, CachedRows keys, int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, ReadOnlySpan<float> lse, Span<float> mass, KeyTurn turn = default)
        where TScore : struct, IScore where TPattern : struct, IPattern
    {
        int m = keys.Count, d = keys.Dim, rows = group * n, range = Math.Min(256, m);
        if (mass.Length < m) throw new ArgumentException($"mass holds {mass.Length} numbers, needs {m}");
        using var scratch = Scratch.Open();
        Span<float> k = new(scratch.Take((long)range * d), range * d), s = new(scratch.Take((long)rows * range), rows * range);
        for (int from = 0; from < m; from += range)
        {
            int some = Math.Min(range, m - from);
            keys.Decode(from, some, k); turn.Apply(k, from, some, d);
            Gemm.NT(q[..(rows * d)], k[..(some * d)], s, rows, d, some);
            for (int r = 0; r < rows; r++)
            {
                if (float.IsNegativeInfinity(lse[r])) continue;
                int i = queryOffset + r % n;
                for (int j = 0; j < some; j++)
                {
                    int at = keyPositions.IsEmpty ? from + j : keyPositions[from + j];
                    if (pattern.Allows(i, at)) mass[from + j] += MathF.Exp(score.Of(scale * s[r * some + j], r / n, i, at) - lse[r]);
                }
            }
        }
    }
}
