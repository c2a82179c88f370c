using Fovea.Kernels;
namespace Fovea.Units;

public class LandmarkFlashTests
{
    /// <summary>The definition in doubles: two softmaxes per query, the weights of each pair as a product.</summary>
    static double[] Naive(AttentionSize s, int block, double[] q, double[] k, double[] v, int offset, Func<int, int, bool> sees)
    {
        int d = s.Dim, e = s.ValueDim; var o = new double[s.Batch * s.Heads * s.Queries * e];
        for (int r = 0; r < s.Batch * s.Heads * s.Queries; r++)
        {
            int at = offset + r % s.Queries, own = at / block, head = r / s.Queries % s.Heads, kv = r / s.Queries / s.Heads * s.KvHeads + head / s.Group;
            double Score(int j) { double x = 0; for (int c = 0; c < d; c++) x += s.Scale * q[r * d + c] * k[(kv * s.KeyRows + j) * d + c]; return x; }
            double[] Softmax(int[] at) { var x = at.Select(Score).ToArray(); double max = x.Max(), sum = x.Sum(y => Math.Exp(y - max)); return [.. x.Select(y => Math.Exp(y - max) / sum)]; }
            void Add(int j, double weight) { for (int c = 0; c < e; c++) o[r * e + c] += weight * v[(kv * s.KeyRows + j) * e + c]; }
            int[] tokens = [.. Enumerable.Range(own * block, Math.Min(at - own * block + 1, block - 1))], before = [.. Enumerable.Range(0, own).Where(b => sees(r, b))];
            double[] top = Softmax([.. tokens, .. before.Select(b => b * block + block - 1)]);
            for (int i = 0; i < tokens.Length; i++) Add(tokens[i], top[i]);
            for (int i = 0; i < before.Length; i++)
            {
                int[] inside = [.. Enumerable.Range(before[i] * block, block - 1)]; double[] p = Softmax(inside);
                for (int j = 0; j < inside.Length; j++) Add(inside[j], p[j] * top[tokens.Length + i]);
            }
        }
        return o;
    }

    static (AttentionSize S, Real[] Q, Real[] K, Real[] V) Case(int n, int m, double size = 1, int rows = 0)
    {
        var s = new AttentionSize(2, 4, 2, n, m, 5, 7) { KeyRows = Math.Max(m, rows) };
        return (s, Trial.Draw(8 * n * 5, 1, size), Trial.Draw(4 * s.KeyRows * 5, 2), Trial.Draw(4 * s.KeyRows * 7, 3));
    }

    // Every second of the blocks before the query's own, another half for each second row.
    static bool Some(int row, int b) => (row + b) % 2 == 0;
    static BlockList Lists(AttentionSize s, int block, int offset)
    {
        var start = new int[s.Batch * s.Heads * s.Queries + 1]; var keys = new List<int>();
        for (int r = 0; r < start.Length - 1; r++) { keys.AddRange(Enumerable.Range(0, (offset + r % s.Queries) / block).Where(b => Some(r, b))); start[r + 1] = keys.Count; }
        return new() { QueryBlock = 1, KeyBlock = block, Start = start, Keys = [.. keys] };
    }

    [Theory, InlineData(1, 2), InlineData(7, 4), InlineData(70, 16), InlineData(70, 100), InlineData(200, 17)]
    public void It_is_the_definition_at_every_width(int n, int block)
    {
        foreach (double size in new[] { 1.0, 40 })
            foreach (var width in Trial.Widths)
            {
                var (s, q, k, v) = Case(n, n, size); Real[] o = new Real[8 * n * 7], lse = new Real[8 * n]; double bound = size > 1 ? 2e-4 : 1e-5;
                LandmarkFlash.Forward(s, block, q, k, v, 0, null, o, lse, width);
                Trial.Close(Naive(s, block, Trial.D(q), Trial.D(k), Trial.D(v), 0, (_, _) => true), o, bound, $"o {n} {block} {width}");
                LandmarkFlash.Forward(s, block, q, k, v, 0, Lists(s, block, 0), o, lse, width);
                Trial.Close(Naive(s, block, Trial.D(q), Trial.D(k), Trial.D(v), 0, Some), o, bound, $"o of lists {n} {block} {width}");
            }
    }

    [Fact]
    public void Queries_may_continue_a_cache_with_spare_rows()
    {
        var (s, q, k, v) = Case(6, 23, rows: 32); Real[] o = new Real[8 * 6 * 7], lse = new Real[8 * 6];
        LandmarkFlash.Forward(s, 5, q, k, v, 17, null, o, lse);
        Trial.Close(Naive(s, 5, Trial.D(q), Trial.D(k), Trial.D(v), 17, (_, _) => true), o, 1e-5);
    }

    [Theory, InlineData(9, 9, 4, 0, false), InlineData(70, 70, 8, 0, false), InlineData(5, 20, 6, 15, false), InlineData(40, 40, 7, 0, true)]
    public void Gradients_are_slopes_of_the_definition(int n, int m, int block, int offset, bool listed)
    {
        var (s, q, k, v) = Case(n, m); Real[] o = new Real[8 * n * 7], lse = new Real[8 * n], dO = Trial.Draw(8 * n * 7, 9); var lists = listed ? Lists(s, block, offset) : null;
        LandmarkFlash.Forward(s, block, q, k, v, offset, lists, o, lse);
        Real[] dq = Trial.Ones(q.Length), dk = Trial.Ones(k.Length), dv = Trial.Ones(v.Length);
        LandmarkFlash.Backward(s, block, q, k, v, offset, lists, o, lse, dO, dq, dk, dv);
        double[] a = Trial.D(q), b = Trial.D(k), c = Trial.D(v);
        void Agrees(double[] x, Real[] found, string what)
        {
            for (int seed = 77; seed < 80; seed++)
            {
                var direction = Trial.D(Trial.Draw(x.Length, seed)); double exact = 0; const double h = 1e-5;
                for (int i = 0; i < x.Length; i++) exact += direction[i] * (found[i] - 1.0);
                double At(double step) { var y = (double[])x.Clone(); for (int i = 0; i < x.Length; i++) x[i] += step * direction[i]; double l = Trial.Dot(Naive(s, block, a, b, c, offset, listed ? Some : (_, _) => true), dO); y.CopyTo(x, 0); return l; }
                Trial.Near((At(h) - At(-h)) / (2 * h), exact, 1e-3, 1e-2, what);
            }
        }
        Agrees(a, dq, "dq"); Agrees(b, dk, "dk"); Agrees(c, dv, "dv");
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        var (s, q, k, v) = Case(6, 23); Real[] o = new Real[8 * 6 * 7], lse = new Real[8 * 6];
        Assert.Throws<ArgumentOutOfRangeException>(() => LandmarkFlash.Forward(s, 1, q, k, v, 0, null, o, lse));
        Assert.Throws<ArgumentException>(() => LandmarkFlash.Forward(s, 4, q, k, v, 18, null, o, lse));
        Assert.Throws<ArgumentException>(() => LandmarkFlash.Forward(s, 4, q, k, v, 0, null, o.AsSpan(1), lse));
        Assert.Throws<ArgumentException>(() => LandmarkFlash.Forward(s, 4, q, k, v, 0, Lists(s, 5, 0), o, lse));
    }
}
