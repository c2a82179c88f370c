using Fovea.Kernels;
namespace Fovea.Units;

public class RelativeFlashTests
{
    /// <summary>The definition in doubles: Σ_j softmax(scale·(q_i·k_j + q_i·e_{min(i−j, L−1)})) v_j over keys at or before the query.</summary>
    static double[] Naive(AttentionSize s, double[] q, double[] k, double[] v, double[] table, int length, int offset, int[]? at)
    {
        int d = s.Dim, e = s.ValueDim; var o = new double[s.Batch * s.Heads * s.Queries * e];
        for (int r = 0; r < s.Batch * s.Heads * s.Queries; r++)
        {
            int i = offset + r % s.Queries, head = r / s.Queries % s.Heads, kv = r / s.Queries / s.Heads * s.KvHeads + head / s.Group;
            var logit = new double[s.Keys]; double max = double.NegativeInfinity, sum = 0;
            for (int j = 0; j < s.Keys; j++)
            {
                int distance = i - (at?[j] ?? j);
                if (distance < 0) { logit[j] = double.NegativeInfinity; continue; }
                for (int c = 0; c < d; c++) logit[j] += s.Scale * q[r * d + c] * (k[(kv * s.KeyRows + j) * d + c] + table[(head * length + length - 1 - Math.Min(distance, length - 1)) * d + c]);
                max = Math.Max(max, logit[j]);
            }
            for (int j = 0; j < s.Keys; j++) if (max > double.NegativeInfinity) sum += Math.Exp(logit[j] - max);
            for (int j = 0; j < s.Keys; j++) for (int c = 0; c < e && sum > 0; c++) o[r * e + c] += Math.Exp(logit[j] - max) / sum * v[(kv * s.KeyRows + j) * e + c];
        }
        return o;
    }

    static (AttentionSize S, Real[] Q, Real[] K, Real[] V, Real[] T) Case(int n, int m, int length, double size, int b = 2, int h = 4, int g = 2, int rows = 0)
    {
        var s = new AttentionSize(b, h, g, n, m, 5, 7) { KeyRows = Math.Max(m, rows) };
        return (s, Trial.Draw(b * h * n * 5, 1, size), Trial.Draw(b * g * s.KeyRows * 5, 2), Trial.Draw(b * g * s.KeyRows * 7, 3), Trial.Draw(h * length * 5, 4));
    }

    [Theory, InlineData(1, 1), InlineData(7, 7), InlineData(70, 70), InlineData(70, 20), InlineData(200, 300)]
    public void It_is_the_definition(int n, int length)
    {
        foreach (double size in new[] { 1.0, 40 })
            foreach (var width in Trial.Widths)
            {
                var (s, q, k, v, t) = Case(n, n, length, size); var o = new Real[s.Batch * s.Heads * n * 7]; var lse = new Real[s.Batch * s.Heads * n];
                RelativeFlash.Forward(s, q, k, v, t, length, 0, default, o, lse, width);
                Trial.Close(Naive(s, Trial.D(q), Trial.D(k), Trial.D(v), Trial.D(t), length, 0, null), o, size > 1 ? 2e-4 : 1e-5, $"o {n} {length} {width}");
            }
    }

    [Fact]
    public void Queries_may_continue_a_cache_with_spare_rows_and_gaps()
    {
        var (s, q, k, v, t) = Case(3, 9, 6, 1, rows: 16); int[] at = [0, 1, 2, 5, 6, 7, 8, 9, 10]; var o = new Real[s.Batch * s.Heads * 3 * 7]; var lse = new Real[s.Batch * s.Heads * 3];
        RelativeFlash.Forward(s, q, k, v, t, 6, 8, at, o, lse);
        Trial.Close(Naive(s, Trial.D(q), Trial.D(k), Trial.D(v), Trial.D(t), 6, 8, at), o, 1e-5);
        RelativeFlash.Forward(s, q, k, v, t, 6, 6, default, o, lse);
        Trial.Close(Naive(s, Trial.D(q), Trial.D(k), Trial.D(v), Trial.D(t), 6, 6, null), o, 1e-5);
    }

    [Fact]
    public void A_query_before_all_keys_sees_nothing()
    {
        var (s, q, k, v, t) = Case(2, 3, 4, 1); var o = new Real[s.Batch * s.Heads * 2 * 7]; var lse = new Real[s.Batch * s.Heads * 2];
        RelativeFlash.Forward(s, q, k, v, t, 4, 0, [1, 2, 3], o, lse);
        Assert.All(o[..7], x => Assert.Equal(0, x)); Assert.Equal(Real.NegativeInfinity, lse[0]); Assert.NotEqual(0, o[7]);
    }

    [Theory, InlineData(9, 9, 9, 0), InlineData(9, 9, 4, 0), InlineData(70, 70, 50, 0), InlineData(3, 9, 6, 6)]
    public void Gradients_are_slopes_of_the_definition(int n, int m, int length, int offset)
    {
        var (s, q, k, v, t) = Case(n, m, length, 1, b: 2, h: 2, g: 1); int rows = s.Batch * s.Heads * n;
        var o = new Real[rows * 7]; var lse = new Real[rows]; var dO = Trial.Draw(rows * 7, 9);
        RelativeFlash.Forward(s, q, k, v, t, length, offset, default, o, lse);
        Real[] dq = Trial.Ones(q.Length), dk = Trial.Ones(k.Length), dv = Trial.Ones(v.Length), dt = Trial.Ones(t.Length);
        RelativeFlash.Backward(s, q, k, v, t, length, offset, default, o, lse, dO, dq, dk, dv, dt);
        double[] a = Trial.D(q), b = Trial.D(k), c = Trial.D(v), e = Trial.D(t);
        void Agrees(double[] x, Real[] found, string what)
        {
            // Along a random direction, at the cost of two forwards instead of two per number.
            var direction = Trial.D(Trial.Draw(x.Length, 77)); double exact = 0; const double h = 1e-5;
            for (int i = 0; i < x.Length; i++) exact += direction[i] * (found[i] - 1.0);
            double At(double step) { var y = (double[])x.Clone(); for (int i = 0; i < x.Length; i++) x[i] += step * direction[i]; double l = Trial.Dot(Naive(s, a, b, c, e, length, offset, null), dO); y.CopyTo(x, 0); return l; }
            Trial.Near((At(h) - At(-h)) / (2 * h), exact, 1e-3, 1e-2, what);
        }
        Agrees(a, dq, "dq"); Agrees(b, dk, "dk"); Agrees(c, dv, "dv"); Agrees(e, dt, "dtable");
    }
}
