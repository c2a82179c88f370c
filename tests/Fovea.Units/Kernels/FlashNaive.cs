using Fovea.Kernels;
namespace Fovea.Units;

/// <summary>j ≤ i and i − j below the width.</summary>
readonly record struct Sliding(int Width) : IPattern
{
    public bool Allows(int query, int key) => key <= query && query - key < Width;
    public Cover Tile(int q0, int q1, int k0, int k1) => k0 > q1 || q0 - k1 >= Width ? Cover.None : k1 <= q0 && q1 - k0 < Width ? Cover.All : Cover.Mixed;
}

/// <summary>Keys side by side around a query.</summary>
readonly record struct Near(int Back, int Ahead) : IRangePattern
{
    public (int First, int End) Range(int query) => (query - Back, query + Ahead + 1);
    public bool Allows(int query, int key) => key >= query - Back && key <= query + Ahead;
    public Cover Tile(int q0, int q1, int k0, int k1) => k0 > q1 + Ahead || k1 < q0 - Back ? Cover.None : Cover.Mixed;
}

/// <summary>Every second stripe of 40 keys, and nothing at all for every fifth query: leaves holes between tiles, and empty rows.</summary>
readonly record struct Stripes : IPattern
{
    public bool Allows(int query, int key) => key / 40 % 2 == 0 && query % 5 != 3;
    public Cover Tile(int q0, int q1, int k0, int k1) => k0 / 40 == k1 / 40 && k0 / 40 % 2 == 1 ? Cover.None : Cover.Mixed;
}

/// <summary>Nobody sees anything, and the tiles do not say so.</summary>
readonly record struct Blind : IPattern
{
    public bool Allows(int query, int key) => false;
    public Cover Tile(int q0, int q1, int k0, int k1) => Cover.Mixed;
}

/// <summary>A bias that grows with the distance, another one for each head.</summary>
readonly record struct Fading(Real Strength) : IScore
{
    public Real Of(Real raw, int head, int query, int key) => raw - Strength / (head + 1) * (query - key);
    public Real Slope(Real raw, int head, int query, int key) => 1;
    public void Row(Span<Real> raw, int head, int query, int firstKey) => Scores.Row(this, raw, head, query, firstKey);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) => Scores.SlopeRow(this, raw, gradient, head, query, firstKey);
}

/// <summary>cap·tanh(s / cap)</summary>
readonly record struct Capped(Real Cap) : IScore
{
    public Real Of(Real raw, int head, int query, int key) => Cap * Real.Tanh(raw / Cap);
    public Real Slope(Real raw, int head, int query, int key) { Real t = Real.Tanh(raw / Cap); return 1 - t * t; }
    public void Row(Span<Real> raw, int head, int query, int firstKey) => Scores.Row(this, raw, head, query, firstKey);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) => Scores.SlopeRow(this, raw, gradient, head, query, firstKey);
}

/// <summary>raw·(1 + a) + b with one a, b per head and key distance; fails on a key that the pattern hides.</summary>
readonly struct Table(Real[] a, Real[] b, double[] da, double[] db, int heads, int reach) : ILearnedScore
{
    int At(int head, int query, int key) => query >= key && query - key < reach ? head * reach + query - key : throw new InvalidOperationException($"scored ({query}, {key})");
    public Real Of(Real raw, int head, int query, int key) => raw * (1 + a[At(head, query, key)]) + b[At(head, query, key)];
    public Real Slope(Real raw, int head, int query, int key) => 1 + a[At(head, query, key)];
    public void Row(Span<Real> raw, int head, int query, int firstKey) => Scores.Row(this, raw, head, query, firstKey);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) => Scores.SlopeRow(this, raw, gradient, head, query, firstKey);
    public void GradRow(ReadOnlySpan<Real> raw, ReadOnlySpan<Real> dLogit, int batch, int head, int query, int firstKey)
    {
        for (int j = 0; j < raw.Length; j++)
        {
            int at = batch * heads * reach + At(head, query, firstKey + j);
            da[at] += (double)raw[j] * dLogit[j]; db[at] += dLogit[j];
        }
    }
}

/// <summary>1 / (1 + e^(−s)) for each entry alone.</summary>
readonly struct Logistic : INormaliser
{
    public static void Weights(Span<Real> logits) { foreach (ref Real x in logits) x = 1 / (1 + Real.Exp(-x)); }
    public static void Slope(ReadOnlySpan<Real> weights, Span<Real> gradient) { for (int j = 0; j < weights.Length; j++) gradient[j] *= weights[j] * (1 - weights[j]); }
}

/// <summary>One attention call with its numbers, and its definition: double loops in float64.</summary>
sealed class FlashCase<TScore, TPattern, TWeights>(AttentionSize s, TScore score, TPattern pattern) where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
{
    public AttentionSize Size => s;
    public TScore Score => score;
    public TPattern Pattern => pattern;
    public Real[] Q = GemmTests.Numbers(s.Batch * s.Heads * s.Queries * s.Dim, 11), K = GemmTests.Numbers(s.Batch * s.KvHeads * s.Keys * s.Dim, 12), V = GemmTests.Numbers(s.Batch * s.KvHeads * s.Keys * s.ValueDim, 13);
    public Real[] DO = GemmTests.Numbers(s.Batch * s.Heads * s.Queries * s.ValueDim, 14); public Real[] DLse = [];
    public int Offset; public int[] Positions = []; public BlockList? Blocks;
    bool Soft => typeof(TWeights) == typeof(SoftmaxWeights);

    bool Sees(int bh, int i, int j)
    {
        if (!pattern.Allows(Offset + i, At(j))) return false;
        if (Blocks is not { } b) return true;
        int row = bh * ((s.Queries + b.QueryBlock - 1) / b.QueryBlock) + i / b.QueryBlock;
        return b.Keys[b.Start[row]..b.Start[row + 1]].Contains(j / b.KeyBlock);
    }
    int At(int j) => Positions.Length == 0 ? j : Positions[j];

    // Weights, raw scores and what was seen, of one row.
    (double[] P, double[] Raw, double Lse) Row(int bh, int i)
    {
        int h = bh % s.Heads, kv = bh / s.Heads * s.KvHeads + h / s.Group; double[] p = new double[s.Keys], raw = new double[s.Keys]; double max = double.NegativeInfinity;
        for (int j = 0; j < s.Keys; j++)
        {
            if (!Sees(bh, i, j)) { p[j] = double.NegativeInfinity; continue; }
            double dot = 0;
            for (int d = 0; d < s.Dim; d++) dot += (double)Q[(bh * s.Queries + i) * s.Dim + d] * K[(kv * s.Keys + j) * s.Dim + d];
            raw[j] = dot * s.Scale; p[j] = typeof(TScore) == typeof(Plain) ? raw[j] : score.Of((Real)raw[j], h, Offset + i, At(j)); max = Math.Max(max, p[j]);
        }
        if (!Soft) { for (int j = 0; j < s.Keys; j++) p[j] = double.IsNegativeInfinity(p[j]) ? 0 : 1 / (1 + Math.Exp(-p[j])); return (p, raw, 0); }
        if (double.IsNegativeInfinity(max)) return (new double[s.Keys], raw, max);
        double lse = max + Math.Log(p.Sum(x => Math.Exp(x - max)));
        return (p.Select(x => Math.Exp(x - lse)).ToArray(), raw, lse);
    }

    public (double[] O, double[] Lse) Expected()
    {
        var o = new double[DO.Length]; var lse = new double[s.Batch * s.Heads * s.Queries];
        for (int bh = 0; bh < s.Batch * s.Heads; bh++) for (int i = 0; i < s.Queries; i++)
        {
            var (p, _, l) = Row(bh, i); lse[bh * s.Queries + i] = l; int kv = bh / s.Heads * s.KvHeads + bh % s.Heads / s.Group;
            for (int j = 0; j < s.Keys; j++) if (p[j] != 0) for (int e = 0; e < s.ValueDim; e++) o[(bh * s.Queries + i) * s.ValueDim + e] += p[j] * V[(kv * s.Keys + j) * s.ValueDim + e];
        }
        return (o, lse);
    }

    public (double[] DQ, double[] DK, double[] DV) ExpectedGradients()
    {
        double[] dq = new double[Q.Length], dk = new double[K.Length], dv = new double[V.Length]; var (o, _) = Expected();
        for (int bh = 0; bh < s.Batch * s.Heads; bh++) for (int i = 0; i < s.Queries; i++)
        {
            int h = bh % s.Heads, kv = bh / s.Heads * s.KvHeads + h / s.Group, row = bh * s.Queries + i; var (p, raw, _) = Row(bh, i);
            double delta = DLse.Length == 0 ? 0 : -DLse[row];
            for (int e = 0; e < s.ValueDim; e++) delta += o[row * s.ValueDim + e] * DO[row * s.ValueDim + e];
            for (int j = 0; j < s.Keys; j++)
            {
                if (!Sees(bh, i, j)) continue;
                double dp = 0;
                for (int e = 0; e < s.ValueDim; e++) { double g = DO[row * s.ValueDim + e]; dp += g * V[(kv * s.Keys + j) * s.ValueDim + e]; dv[(kv * s.Keys + j) * s.ValueDim + e] += p[j] * g; }
                double ds = (Soft ? p[j] * (dp - delta) : p[j] * (1 - p[j]) * dp) * (typeof(TScore) == typeof(Plain) ? 1 : score.Slope((Real)raw[j], h, Offset + i, At(j))) * s.Scale;
                for (int d = 0; d < s.Dim; d++) { dq[row * s.Dim + d] += ds * K[(kv * s.Keys + j) * s.Dim + d]; dk[(kv * s.Keys + j) * s.Dim + d] += ds * Q[row * s.Dim + d]; }
            }
        }
        return (dq, dk, dv);
    }

    public (Real[] O, Real[] Lse) Run() => Run(new Widest());
    public (Real[] O, Real[] Lse) Run<TWidth>(TWidth width) where TWidth : struct, IWidth
    {
        var o = new Real[DO.Length]; var lse = new Real[Soft ? s.Batch * s.Heads * s.Queries : 0]; Array.Fill(o, Real.NaN); Array.Fill(lse, Real.NaN);
        Scratch.Poison = true;
        try { Flash.Forward<TScore, TPattern, TWeights, TWidth>(width, s, Q, K, V, Offset, Positions, score, pattern, Blocks, o, lse); } finally { Scratch.Poison = false; }
        return (o, lse);
    }

    public (Real[] DQ, Real[] DK, Real[] DV) RunGradients(Real start = 0) => RunGradients(new Widest(), start);
    public (Real[] DQ, Real[] DK, Real[] DV) RunGradients<TWidth>(TWidth width, Real start = 0) where TWidth : struct, IWidth
    {
        var (o, lse) = Run(width); Real[] dq = new Real[Q.Length], dk = new Real[K.Length], dv = new Real[V.Length];
        Array.Fill(dq, start); Array.Fill(dk, start); Array.Fill(dv, start);
        Scratch.Poison = true;
        try { Flash.Backward<TScore, TPattern, TWeights, TWidth>(width, s, Q, K, V, Offset, Positions, score, pattern, Blocks, o, lse, DLse, DO, dq, dk, dv); } finally { Scratch.Poison = false; }
        return (dq, dk, dv);
    }

    public void Agrees(double bound = 3e-6) => Agrees(new Widest(), bound);
    public void Agrees<TWidth>(TWidth width, double bound = 3e-6) where TWidth : struct, IWidth
    {
        var (o, lse) = Run(width); var (eo, el) = Expected();
        Near("o", o, eo, Soft ? bound : bound * 10);      // logistic weights of hundreds of keys do not sum to one if (Soft) Near("lse", lse, el, bound);
    }
    public void AgreesInGradients(double bound = 1e-5) => AgreesInGradients(new Widest(), bound);
    public void AgreesInGradients<TWidth>(TWidth width, double bound = 1e-5) where TWidth : struct, IWidth
    {
        var (dq, dk, dv) = RunGradients(width, 2); var (eq, ek, ev) = ExpectedGradients();
        Near("dq", dq, [.. eq.Select(x => x + 2)], bound); Near("dk", dk, [.. ek.Select(x => x + 2)], bound); Near("dv", dv, [.. ev.Select(x => x + 2)], bound);
    }

    public void Near(string name, Real[] found, double[] expected, double bound)
    {
        for (int i = 0; i < expected.Length; i++)
            if (!(found[i] == expected[i] || Math.Abs(found[i] - expected[i]) <= bound * (1 + Math.Abs(expected[i]))))
                Assert.Fail($"{name}[{i}] is {found[i]}, expected {expected[i]}: {s}, {typeof(TScore).Name}, {typeof(TPattern).Name}, {typeof(TWeights).Name}, offset {Offset}");
    }
}
