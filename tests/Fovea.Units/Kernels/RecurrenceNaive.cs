namespace Fovea.Units;

/// <summary>The recurrences of one row and their adjoints, step by step in double with every state kept.</summary>
internal static class RecurrenceNaive
{
    internal sealed record Result(double[] O, double[] State, double[] DQ, double[] DK, double[] DV, double[] DGate, double[] DState);

    /// <summary>kind: "diagonal" with D gates, "delta" with β, "gated delta" with (α, β).</summary>
    public static Result Run(string kind, int n, int d, int e, int a, double[] q, double[] k, double[] v, double[] g, double[] s0, double[] dO, double[] dLast)
    {
        var states = new double[n + 1][]; states[0] = s0;
        var r = new Result(new double[n * e], new double[d * e], new double[n * d], new double[n * d], new double[n * e], new double[n * a], (double[])dLast.Clone());
        for (int t = 0; t < n; t++)
        {
            double[] s = states[t], next = states[t + 1] = new double[d * e], write = Write(t, s);
            for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) { next[i * e + j] = Keep(t, i) * s[i * e + j] + k[t * d + i] * write[j]; r.O[t * e + j] += q[t * d + i] * next[i * e + j]; }
        }
        states[n].CopyTo(r.State, 0);
        double[] ds = r.DState;
        for (int t = n - 1; t >= 0; t--)
        {
            double[] s = states[t], next = states[t + 1], write = Write(t, s), dw = new double[e], u = Reads(t, s);
            for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) { r.DQ[t * d + i] += dO[t * e + j] * next[i * e + j]; ds[i * e + j] += q[t * d + i] * dO[t * e + j]; }
            for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) { dw[j] += k[t * d + i] * ds[i * e + j]; r.DK[t * d + i] += ds[i * e + j] * write[j]; }
            for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) if (kind == "diagonal") r.DGate[t * a + i] += ds[i * e + j] * s[i * e + j]; else if (a == 2) r.DGate[t * 2] += ds[i * e + j] * s[i * e + j];
            double beta = kind == "diagonal" ? 1 : g[t * a + a - 1];
            for (int j = 0; j < e; j++)
            {
                r.DV[t * e + j] += beta * dw[j];
                if (kind == "diagonal") continue;
                r.DGate[t * a + a - 1] += dw[j] * (v[t * e + j] - Keep(t, 0) * u[j]);
                if (a == 2) r.DGate[t * 2] -= beta * dw[j] * u[j];
            }
            for (int i = 0; i < d; i++)
                for (int j = 0; j < e; j++)
                {
                    double du = kind == "diagonal" ? 0 : -Keep(t, i) * beta * dw[j];
                    r.DK[t * d + i] += s[i * e + j] * du; ds[i * e + j] = Keep(t, i) * ds[i * e + j] + k[t * d + i] * du;
                }
        }
        return r;

        double Keep(int t, int i) => kind == "diagonal" ? g[t * d + i] : a == 2 ? g[t * 2] : 1;
        double[] Reads(int t, double[] s) { var u = new double[e]; for (int i = 0; i < d; i++) for (int j = 0; j < e; j++) u[j] += k[t * d + i] * s[i * e + j]; return u; }
        double[] Write(int t, double[] s) { var u = Reads(t, s); for (int j = 0; j < e; j++) u[j] = kind == "diagonal" ? v[t * e + j] : g[t * a + a - 1] * (v[t * e + j] - Keep(t, 0) * u[j]); return u; }
    }
}
