namespace Fovea.Kernels;

/// <summary>
/// Causal softmax attention with learned distance vectors: the logit of query i and key j ≤ i is scale·(q_i·k_j + q_i·e_{i−j}). table [H,L,D] holds the vector of distance t in row
/// L − 1 − t; longer distances use row 0. A task takes a block of query rows through all its keys: QEᵀ of the block is a strip in which each row is read with a shift of its own
/// (the skew of Music Transformer, §3.4.1), so that memory grows with the length and not with its square. N, M, keyPositions, o and lse as in <see cref="Flash"/>.
/// </summary>
public static unsafe class RelativeFlash
{
    internal const int Block = 32;

    /// <summary>Overwrites o [B,H,N,E] and lse [B,H,N].</summary>
    public static void Forward(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> table, int length, int queryOffset, ReadOnlySpan<int> keyPositions, Span<Real> o, Span<Real> lse) =>
        Forward(s, q, k, v, table, length, queryOffset, keyPositions, o, lse, Width.Widest);

    internal static void Forward(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> table, int length, int queryOffset, ReadOnlySpan<int> keyPositions, Span<Real> o, Span<Real> lse, Width width)
    {
        Check(s, q, k, v, table, length, keyPositions); long rows = (long)s.Batch * s.Heads * s.Queries;
        Guard.Holds(o, rows * s.ValueDim); Guard.Holds(lse, rows);
        fixed (Real* pq = q, pk = k, pv = v, pt = table, po = o, pl = lse) fixed (int* at = keyPositions)
        {
            var view = new RelativeView(s, pq, pk, pv, pt, length, queryOffset, at);
            WideRows.For(s.Batch * s.Heads * view.Blocks, 1, new RelativeForward(view, po, pl), width);
            Work.Add(view.Work(s.Dim + s.ValueDim, s.Dim));
        }
    }

    /// <summary>Adds into dq, dk, dv and dtable [H,L,D]. Keeps one copy of dtable per batch row, and recomputes the weights from lse.</summary>
    public static void Backward(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> table, int length, int queryOffset, ReadOnlySpan<int> keyPositions,
        ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dtable) =>
        Backward(s, q, k, v, table, length, queryOffset, keyPositions, o, lse, dO, dq, dk, dv, dtable, Width.Widest);

    internal static void Backward(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> table, int length, int queryOffset, ReadOnlySpan<int> keyPositions,
        ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dtable, Width width)
    {
        Check(s, q, k, v, table, length, keyPositions); long rows = (long)s.Batch * s.Heads * s.Queries, keys = (long)s.Batch * s.KvHeads * s.KeyRows;
        Guard.Holds(o, rows * s.ValueDim); Guard.Holds(dO, rows * s.ValueDim); Guard.Holds(lse, rows);
        Guard.Holds(dq, rows * s.Dim); Guard.Holds(dk, keys * s.Dim); Guard.Holds(dv, keys * s.ValueDim); Guard.Holds(dtable, (long)s.Heads * length * s.Dim);
        using var scratch = Scratch.Open();
        int area = checked(s.Heads * length * s.Dim); Real* partial = scratch.Take((long)s.Batch * area);
        new Span<Real>(partial, checked(s.Batch * area)).Clear();
        fixed (Real* pq = q, pk = k, pv = v, pt = table, po = o, pl = lse, pdo = dO, pdq = dq, pdk = dk, pdv = dv) fixed (int* at = keyPositions)
        {
            var view = new RelativeView(s, pq, pk, pv, pt, length, queryOffset, at);
            WideRows.For(s.Batch * s.KvHeads, 1, new RelativeBackward(view, po, pl, pdo, pdq, pdk, pdv, partial), width);
            Work.Add(view.Work(3 * s.Dim + 2 * s.ValueDim, 3 * s.Dim));
        }
        for (int b = 0; b < s.Batch; b++) Map.AddTo(new ReadOnlySpan<Real>(partial + (long)b * area, area), dtable[..area]);
    }

    static void Check(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> table, int length, ReadOnlySpan<int> keyPositions)
    {
        s.Check(); Guard.AtLeast(length, 1); long keys = (long)s.Batch * s.KvHeads * s.KeyRows;
        Guard.Holds(q, (long)s.Batch * s.Heads * s.Queries * s.Dim); Guard.Holds(k, keys * s.Dim); Guard.Holds(v, keys * s.ValueDim); Guard.Holds(table, (long)s.Heads * length * s.Dim);
        if (!keyPositions.IsEmpty) Guard.Holds(keyPositions, s.Keys);
        for (int j = 1; j < Math.Min(keyPositions.Length, s.Keys); j++) if (keyPositions[j] < keyPositions[j - 1]) throw new ArgumentException($"keyPositions[{j}] = {keyPositions[j]} is before keyPositions[{j - 1}] = {keyPositions[j - 1]}");
    }
}

/// <summary>One call: sizes, operands, and which keys and distances a block of queries needs.</summary>
readonly unsafe struct RelativeView(AttentionSize s, Real* q, Real* k, Real* v, Real* table, int length, int offset, int* positions)
{
    public readonly AttentionSize S = s; public readonly Real* Q = q, K = k, V = v, Table = table; public readonly int Length = length;
    public int Blocks => (S.Queries + RelativeFlash.Block - 1) / RelativeFlash.Block;
    public int At(int query) => offset + query;
    int KeyAt(int key) => positions is null ? key : positions[key];

    /// <summary>Keys that a query at this position sees: the first so many.</summary>
    public int Seen(int query)
    {
        int p = At(query);
        if (positions is null) return Math.Clamp(p + 1, 0, S.Keys);
        int low = 0, high = S.Keys;
        while (low < high) { int mid = (low + high) / 2; if (positions[mid] <= p) low = mid + 1; else high = mid; }
        return low;
    }

    /// <summary>The first row of the table that queries up to this one need.</summary>
    public int FirstRow(int query) => S.Keys == 0 ? Length - 1 : Math.Clamp(Length - 1 - (At(query) - KeyAt(0)), 0, Length - 1);

    /// <summary>Multiply-adds, with so many per pair of query and key and so many per pair of query and distance.</summary>
    public long Work(int perKey, int perDistance)
    {
        long sum = 0;
        for (int i = 0; i < S.Queries; i += RelativeFlash.Block)
        {
            int last = Math.Min(S.Queries, i + RelativeFlash.Block) - 1;
            sum += (long)(last + 1 - i) * ((long)Seen(last) * perKey + (long)(Length - FirstRow(last)) * perDistance);
        }
        return sum * S.Batch * S.Heads;
    }

    /// <summary>Scaled logits of n query rows from <paramref name="first"/> of one head, in strip [n, keys]; only the first Seen of each row are valid. x [n, Length − row] is overwritten with QEᵀ.</summary>
    public void Logits<TLanes, W>(int head, int first, int n, int keys, int row, Real* strip, Real* x) where TLanes : struct, ILanes<W> where W : struct
    {
        int kv = head / S.Heads * S.KvHeads + head % S.Heads / S.Group, distances = Length - row;
        Real* qs = Q + ((long)head * S.Queries + first) * S.Dim, e = Table + ((long)(head % S.Heads) * Length + row) * S.Dim;
        Product.Of(Gemm.Kind.NT, qs, K + (long)kv * S.KeyRows * S.Dim, strip, n, S.Dim, keys, false).Run<TLanes, W>();
        Product.Of(Gemm.Kind.NT, qs, e, x, n, S.Dim, distances, false).Run<TLanes, W>();
        for (int r = 0; r < n; r++)
        {
            int seen = Seen(first + r); Real* to = strip + (long)r * keys, from = x + (long)r * distances;
            if (Straight(first + r, row, out int shift, out int clipped))
            {
                int c = Math.Min(clipped, seen);
                for (int j = 0; j < c; j++) to[j] += from[0];
                if (seen > c) Map.AddTo(new ReadOnlySpan<Real>(from + shift + c, seen - c), new Span<Real>(to + c, seen - c));
            }
            else for (int j = 0; j < seen; j++) to[j] += from[Column(first + r, j, row)];
            System.Numerics.Tensors.TensorPrimitives.Multiply(new ReadOnlySpan<Real>(to, seen), S.Scale, new Span<Real>(to, seen));
        }
    }

    /// <summary>Column of QEᵀ (from table row <paramref name="row"/> on) for a query and a key.</summary>
    public int Column(int query, int key, int row) => Math.Max(Length - 1 - (At(query) - KeyAt(key)), 0) - row;

    /// <summary>Without key positions, key j uses column shift + j, except the first <paramref name="clipped"/>, which are too far away and use column 0.</summary>
    public bool Straight(int query, int row, out int shift, out int clipped)
    {
        shift = Length - 1 - At(query) - row; clipped = Math.Max(0, At(query) - Length + 1);
        return positions is null;
    }
}

readonly unsafe struct RelativeForward(RelativeView f, Real* o, Real* lse) : IWideRows
{
    public void Run<TLanes, W>(int from, int to) where TLanes : struct, ILanes<W> where W : struct
    {
        var s = f.S;
        for (int task = from; task < to; task++)
        {
            int head = task / f.Blocks, first = task % f.Blocks * RelativeFlash.Block, n = Math.Min(RelativeFlash.Block, s.Queries - first), last = first + n - 1;
            int keys = f.Seen(last), row = f.FirstRow(last), kv = head / s.Heads * s.KvHeads + head % s.Heads / s.Group;
            Real* os = o + ((long)head * s.Queries + first) * s.ValueDim, l = lse + (long)head * s.Queries + first;
            if (keys == 0) { new Span<Real>(os, n * s.ValueDim).Clear(); new Span<Real>(l, n).Fill(Real.NegativeInfinity); continue; }
            using var scratch = Scratch.Open();
            Real* strip = scratch.Take((long)n * keys), x = scratch.Take((long)n * (f.Length - row)), sums = scratch.Take(n);
            f.Logits<TLanes, W>(head, first, n, keys, row, strip, x);
            for (int r = 0; r < n; r++)
            {
                Real* p = strip + (long)r * keys; int seen = f.Seen(first + r);
                var (max, sum) = seen == 0 ? (Real.NegativeInfinity, 0) : SoftmaxLoops.MaxAndSum<TLanes, W>(p, p, seen);
                // All −∞: nothing is seen. A NaN stays one.
                if (max == Real.NegativeInfinity) { new Span<Real>(p, seen).Fill(sum); (sums[r], l[r]) = (1, max); }
                else (sums[r], l[r]) = (sum, max + Real.Log(sum));
                new Span<Real>(p + seen, keys - seen).Clear();
            }
            Product.Of(Gemm.Kind.NN, strip, f.V + (long)kv * s.KeyRows * s.ValueDim, os, n, keys, s.ValueDim, false).Run<TLanes, W>();
            for (int r = 0; r < n; r++) FlashRows.Scale<TLanes, W>(os + (nint)r * s.ValueDim, 1 / sums[r], os + (nint)r * s.ValueDim, s.ValueDim, s.ValueDim);
        }
    }
}

/// <summary>A task is a key head of one batch row with the query heads that share it; partial [B,H,L,D] takes the gradients of the table.</summary>
readonly unsafe struct RelativeBackward(RelativeView f, Real* o, Real* lse, Real* dO, Real* dq, Real* dk, Real* dv, Real* partial) : IWideRows
{
    public void Run<TLanes, W>(int from, int to) where TLanes : struct, ILanes<W> where W : struct
    {
        for (int kv = from; kv < to; kv++)
            for (int g = 0; g < f.S.Group; g++)
                for (int first = 0; first < f.S.Queries; first += RelativeFlash.Block) Rows<TLanes, W>(kv, kv / f.S.KvHeads * f.S.Heads + kv % f.S.KvHeads * f.S.Group + g, first);
    }

    void Rows<TLanes, W>(int kv, int head, int first) where TLanes : struct, ILanes<W> where W : struct
    {
        var s = f.S; int n = Math.Min(RelativeFlash.Block, s.Queries - first), last = first + n - 1, keys = f.Seen(last), row = f.FirstRow(last), distances = f.Length - row;
        if (keys == 0) return;
        using var scratch = Scratch.Open();
        Real* p = scratch.Take((long)n * keys), d = scratch.Take((long)n * keys), x = scratch.Take((long)n * distances);
        long at = (long)head * s.Queries + first; Real* qs = f.Q + at * s.Dim, dos = dO + at * s.ValueDim, dqs = dq + at * s.Dim;
        Real* ks = f.K + (long)kv * s.KeyRows * s.Dim, vs = f.V + (long)kv * s.KeyRows * s.ValueDim, e = f.Table + ((long)(head % s.Heads) * f.Length + row) * s.Dim;
        f.Logits<TLanes, W>(head, first, n, keys, row, p, x);
        Product.Of(Gemm.Kind.NT, dos, vs, d, n, s.ValueDim, keys, false).Run<TLanes, W>();
        for (int r = 0; r < n; r++)
        {
            Real* pr = p + (long)r * keys, dr = d + (long)r * keys; int seen = Real.IsNegativeInfinity(lse[at + r]) ? 0 : f.Seen(first + r);
            Real delta = RowProduct.Dot<TLanes, W>(dos + (nint)r * s.ValueDim, o + (at + r) * s.ValueDim, s.ValueDim);
            for (int j = 0; j < seen; j++) pr[j] -= lse[at + r];
            System.Numerics.Tensors.TensorPrimitives.Exp(new ReadOnlySpan<Real>(pr, seen), new Span<Real>(pr, seen));
            for (int j = 0; j < seen; j++) dr[j] = s.Scale * pr[j] * (dr[j] - delta);
            new Span<Real>(pr + seen, keys - seen).Clear(); new Span<Real>(dr + seen, keys - seen).Clear();
            Unskew(first + r, row, seen, dr, new(x + (long)r * distances, distances));
        }
        Product.Of(Gemm.Kind.TN, p, dos, dv + (long)kv * s.KeyRows * s.ValueDim, n, keys, s.ValueDim, true).Run<TLanes, W>();
        Product.Of(Gemm.Kind.TN, d, qs, dk + (long)kv * s.KeyRows * s.Dim, n, keys, s.Dim, true).Run<TLanes, W>();
        Product.Of(Gemm.Kind.NN, d, ks, dqs, n, keys, s.Dim, true).Run<TLanes, W>();
        Product.Of(Gemm.Kind.NN, x, e, dqs, n, distances, s.Dim, true).Run<TLanes, W>();
        Product.Of(Gemm.Kind.TN, x, qs, partial + ((long)head * f.Length + row) * s.Dim, n, distances, s.Dim, true).Run<TLanes, W>();
    }

    // The inverse of reading with a shift: dx is overwritten.
    void Unskew(int query, int row, int seen, Real* d, Span<Real> dx)
    {
        dx.Clear();
        if (!f.Straight(query, row, out int shift, out int clipped)) { for (int j = 0; j < seen; j++) dx[f.Column(query, j, row)] += d[j]; return; }
        int c = Math.Min(clipped, seen);
        if (seen > c) new ReadOnlySpan<Real>(d + c, seen - c).CopyTo(dx[(shift + c)..]);
        for (int j = 0; j < c; j++) dx[0] += d[j];
    }
}
