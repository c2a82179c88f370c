using Fovea.Kernels;
namespace Fovea.Units;

/// <summary>The delta rule and the per-channel decay in chunks, against steps in double.</summary>
[Collection(PoolAlone.Name)]
public sealed class ChunkedScanTests
{
    static int Gates(string kind, int d) => kind == "diagonal" ? d : kind == "delta" ? 1 : 2;
    static void Forward(string kind, in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> g, Span<Real> s, Span<Real> o, Span<Real> c, Width width = Width.Widest)
    {
        if (kind == "diagonal") GatedScan.Forward(z, q, k, v, g, s, o, c, width); else DeltaScan.Forward(z, q, k, v, g, s, o, c, width);
    }
    static void Backward(string kind, in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> g, ReadOnlySpan<Real> c, ReadOnlySpan<Real> dO, Span<Real> ds, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dg, Width width = Width.Widest)
    {
        if (kind == "diagonal") GatedScan.Backward(z, q, k, v, g, c, dO, ds, dq, dk, dv, dg, width); else DeltaScan.Backward(z, q, k, v, g, c, dO, ds, dq, dk, dv, dg, width);
    }

    /// <summary>Inputs and results of a call, all rows.</summary>
    sealed class Case
    {
        public readonly string Kind; public readonly ScanSize Z; public readonly Real[] Q, K, V, G, S0, DO, DS0;
        public Real[] O = [], S = [], DQ = [], DK = [], DV = [], DG = [], DS = [];
        public Case(string kind, int rows, int n, int d, int e, double gate = 1)
        {
            Kind = kind; int a = Gates(kind, d); Z = new(rows, n, d, e, a); int steps = rows * n;
            Q = Trial.Draw(steps * d, 1); K = Trial.Draw(steps * d, 2); V = Trial.Draw(steps * e, 3); S0 = Trial.Draw(Z.State * rows, 5); DO = Trial.Draw(steps * e, 6); DS0 = Trial.Draw(Z.State * rows, 7);
            G = [.. Trial.Draw(steps * a, 4).Select(x => (Real)Math.Pow(1 / (1 + Math.Exp(-x)), gate))];
            // Keys of length 1, for which the delta rule is a contraction.
            for (int t = 0; t < steps && kind != "diagonal"; t++) { double length = 0; for (int i = 0; i < d; i++) length += K[t * d + i] * K[t * d + i]; for (int i = 0; i < d; i++) K[t * d + i] /= (Real)Math.Sqrt(length + 1e-6); }
        }
        public Case Run(Width width)
        {
            S = (Real[])S0.Clone(); O = new Real[DO.Length]; DS = (Real[])DS0.Clone(); (DQ, DK, DV, DG) = (Trial.Ones(Q.Length), Trial.Ones(K.Length), Trial.Ones(V.Length), Trial.Ones(G.Length)); var c = new Real[Z.Checkpoints];
            Forward(Kind, Z, Q, K, V, G, S, O, c, width); Backward(Kind, Z, Q, K, V, G, c, DO, DS, DQ, DK, DV, DG, width);
            return this;
        }
        public void EqualsTheSteps(string what)
        {
            for (int r = 0; r < Z.Rows; r++)
            {
                var want = RecurrenceNaive.Run(Kind, Z.Length, Z.Dim, Z.ValueDim, Z.GateDim, Part(Q, r), Part(K, r), Part(V, r), Part(G, r), Part(S0, r), Part(DO, r), Part(DS0, r));
                Trial.Close(want.O, Of(O, r), 1e-5, $"o {what}"); Trial.Close(want.State, Of(S, r), 1e-5, $"state {what}"); Trial.Close(want.DState, Of(DS, r), 1e-5, $"dState {what}");
                Trial.CloseAdded(want.DQ, Of(DQ, r), 1e-5, $"dq {what}"); Trial.CloseAdded(want.DK, Of(DK, r), 1e-5, $"dk {what}"); Trial.CloseAdded(want.DV, Of(DV, r), 1e-5, $"dv {what}"); Trial.CloseAdded(want.DGate, Of(DG, r), 1e-5, $"dgate {what}");
            }
        }
        ReadOnlySpan<Real> Of(Real[] x, int r) => x.AsSpan(r * (x.Length / Z.Rows), x.Length / Z.Rows);
        double[] Part(Real[] x, int r) => Trial.D(Of(x, r));
    }

    static readonly string[] Kinds = ["delta", "gated delta", "diagonal"];
    public static TheoryData<string, int, int, int, int> Cases
    {
        get
        {
            var data = new TheoryData<string, int, int, int, int>();
            foreach (var kind in Kinds) foreach (var (r, n, d, e) in new[] { (1, 1, 7, 7), (2, 7, 16, 7), (2, 70, 7, 16), (1, 70, 64, 70), (3, 200, 16, 64), (9, 130, 7, 33), (3, 470, 5, 9), (130, 65, 16, 2), (1, 1000, 70, 64), (1, 200, 64, 1) }) data.Add(kind, r, n, d, e);
            return data;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void Chunks_equal_the_steps_forward_and_back_at_every_width(string kind, int rows, int n, int d, int e)
    {
        foreach (var width in n > 200 ? [Width.Widest, Width.Bits512] : Trial.Widths) new Case(kind, rows, n, d, e).Run(width).EqualsTheSteps($"at {width}");
    }

    // Gates near 1 as trained models have them, gates of 1e-8, and gates of exactly 0 and 1.
    [Theory, InlineData("gated delta", 0.0), InlineData("gated delta", 0.05), InlineData("gated delta", 20), InlineData("diagonal", 0.0), InlineData("diagonal", 0.05), InlineData("diagonal", 20), InlineData("diagonal", 400)]
    public void Any_strength_of_decay_keeps_the_precision(string kind, double power) => new Case(kind, 1, 200, 16, 9, power).Run(Width.Widest).EqualsTheSteps($"with gates to the power {power}");

    [Theory, InlineData("gated delta", 1e-8), InlineData("diagonal", 1e-8), InlineData("diagonal", 0), InlineData("diagonal", 0.9999), InlineData("gated delta", 0.9999)]
    public void Long_sequences_neither_overflow_nor_lose_the_state(string kind, double gate)
    {
        const int n = 65536; var x = new Case(kind, 1, n, 4, 4);
        for (int i = 0; i < x.G.Length; i++) if (kind == "diagonal" || i % 2 == 0) x.G[i] = i / x.Z.GateDim % 3 == 0 ? (Real)gate : 1 - x.G[i] / 1000;
        x.Run(Width.Widest).EqualsTheSteps($"with gates of {gate}");
    }

    [Theory, InlineData("delta"), InlineData("gated delta"), InlineData("diagonal")]
    public void Pieces_that_hand_on_the_state_equal_the_whole(string kind)
    {
        const int n = 200, cut = 101, d = 16, e = 7; var whole = new Case(kind, 1, n, d, e).Run(Width.Widest); int a = whole.Z.GateDim;
        ScanSize first = whole.Z with { Length = cut }, second = whole.Z with { Length = n - cut };
        Real[] s = (Real[])whole.S0.Clone(), o = new Real[n * e], c1 = new Real[first.Checkpoints], c2 = new Real[second.Checkpoints], ds = (Real[])whole.DS0.Clone(), dq = Trial.Ones(n * d), dk = Trial.Ones(n * d), dv = Trial.Ones(n * e), dg = Trial.Ones(n * a);
        Forward(kind, first, whole.Q, whole.K, whole.V, whole.G, s, o, c1);
        Forward(kind, second, whole.Q.AsSpan(cut * d), whole.K.AsSpan(cut * d), whole.V.AsSpan(cut * e), whole.G.AsSpan(cut * a), s, o.AsSpan(cut * e), c2);
        Trial.Close(Trial.D(whole.O), o, 1e-5, "o"); Trial.Close(Trial.D(whole.S), s, 1e-5, "state");
        Backward(kind, second, whole.Q.AsSpan(cut * d), whole.K.AsSpan(cut * d), whole.V.AsSpan(cut * e), whole.G.AsSpan(cut * a), c2, whole.DO.AsSpan(cut * e), ds, dq.AsSpan(cut * d), dk.AsSpan(cut * d), dv.AsSpan(cut * e), dg.AsSpan(cut * a));
        Backward(kind, first, whole.Q, whole.K, whole.V, whole.G, c1, whole.DO, ds, dq, dk, dv, dg);
        Trial.Close(Trial.D(whole.DQ), dq, 1e-5, "dq"); Trial.Close(Trial.D(whole.DK), dk, 1e-5, "dk"); Trial.Close(Trial.D(whole.DV), dv, 1e-5, "dv"); Trial.Close(Trial.D(whole.DG), dg, 1e-5, "dgate"); Trial.Close(Trial.D(whole.DS), ds, 1e-5, "dState");
    }

    [Theory, InlineData("delta"), InlineData("gated delta"), InlineData("diagonal")]
    public void Results_do_not_depend_on_the_thread_count_and_work_is_linear(string kind)
    {
        foreach (int rows in new[] { 1, 10 }) Trial.OnAnyThreads(() => { var x = new Case(kind, rows, 300, 32, 70).Run(Width.Widest); return [.. x.O, .. x.S, .. x.DQ, .. x.DK, .. x.DV, .. x.DG, .. x.DS]; });
        long Count(int n) => Work.Count(() => new Case(kind, 1, n, 8, 8).Run(Width.Widest));
        Assert.Equal(4 * Count(128), Count(512));
    }

    [Fact]
    public void A_wrong_number_of_gates_is_refused()
    {
        Real[] x = new Real[4];
        Assert.Contains("has 3 gates", Assert.Throws<ArgumentException>(() => DeltaScan.Forward(new(1, 1, 1, 1, 3), x, x, x, x, x, x, default)).Message);
        Assert.Contains("has 3 gates, expected D = 1", Assert.Throws<ArgumentException>(() => GatedScan.Forward(new(1, 1, 1, 1, 3), x, x, x, x, x, x, default)).Message);
    }
}
