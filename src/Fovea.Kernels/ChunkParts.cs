using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// One chunk of n steps of a state [D,E] with scalar decays, forward and back: the read o_i = e_i q_i S + Σ_{j≤i} W_ij (q_i·k_j) v_j and the write S ← e_last S + Σ_j w_j k_jᵀ v_j,
/// where W are the decay ratios, e what is left of the state before the chunk and w what is left of each step at its end. decay says whether there is any.
/// </summary>
internal readonly unsafe struct ChunkParts(int D, int E, int n, Decays decays, bool decay)
{
    const int C = ScanSize.Chunk;

    /// <summary>p [C,C] = (q kᵀ)∘W for j ≤ i, or j &lt; i if strict, and 0 after as far as <see cref="Triangle"/> reads. kT is [D,C]. Meanwhile soon [n,D], unless null, is fetched.</summary>
    public void Scores<TLanes, V>(Real* q, Real* kT, Real* p, bool strict, Real* soon = null) where TLanes : struct, ILanes<V> where V : struct
    {
        Triangle.Scores<TLanes, V>(q, kT, p, n, D, soon, D);
        decays.Mask<TLanes, V>(p, n, decay, strict);
    }

    /// <summary>o is overwritten. What follows the chunk in q, k, v, o and after s is fetched meanwhile, in parts: the machine takes only so many at a time.</summary>
    public void Read<TLanes, V>(Real* q, Real* k, Real* v, Real* s, Real* o) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count;
        using var scratch = Scratch.Open(); Real* kT = scratch.Take((long)D * C), p = scratch.Take(C * C), seen = Scaled<TLanes, V>(q, decays.FromStart, scratch);
        Panel.Transpose(k, n, D, kT, C);
        for (int e = 0; e < E; e += wide)
        {
            Panel.FetchNext(q, C * D, e, wide, E);
            Panel.Product<TLanes, V>(seen, D, 1, s + e, E, o + e, E, n, D, Math.Min(wide, E - e), false);
            Panel.FetchNext(o, C * E, e, wide, E);
        }
        Scores<TLanes, V>(q, kT, p, false, k + C * D);
        for (int e = 0; e < E; e += wide)
        {
            Panel.FetchNext(v, C * E, e, wide, E);
            Triangle.Lower<TLanes, V>(p, v + e, o + e, E, n, Math.Min(wide, E - e));
            Panel.FetchNext(s, D * E, e, wide, E);
        }
    }

    /// <summary>
    /// The adjoint of the read: dq += dP k + e dO Sᵀ, dk += dPᵀ q, dv += Pᵀ dO with P = (q kᵀ)∘W and dP = (dO vᵀ)∘W, both strictly causal if strict. dv may be null; s too, then its part is left out.
    /// Unless null, shares of the decays are added: P∘dO vᵀ to pairs [C,C], and to seen [C] what each output saw of S.
    /// </summary>
    public void ReadBack<TLanes, V>(Real* q, Real* k, Real* v, Real* s, Real* dO, Real* dq, Real* dk, Real* dv, Real* pairs, Real* seen, bool strict) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count; bool scores = dv is not null || pairs is not null;
        using var scratch = Scratch.Open();
        Real* kT = scratch.Take((long)D * C), vT = scratch.Take((long)E * C), p = scratch.Take(C * C), dp = scratch.Take(C * C);
        Panel.Transpose(v, n, E, vT, C);
        if (scores) { Panel.Transpose(k, n, D, kT, C); Scores<TLanes, V>(q, kT, p, strict, dq); }
        Triangle.Scores<TLanes, V>(dO, vT, dp, n, E, dk, D);
        if (pairs is not null) AddProduct<TLanes, V>(p, dp, pairs);
        decays.Mask<TLanes, V>(dp, n, decay, strict);
        for (int d = 0; d < D; d += wide)
        {
            if (dv is not null) Panel.FetchShare(dv, (long)n * E, d, wide, D);
            Triangle.Lower<TLanes, V>(dp, k + d, dq + d, D, n, Math.Min(wide, D - d));
            if (s is not null) Panel.FetchShare(s, (long)D * E, d, wide, D);
        }
        // The walk is towards the start: what lies before the chunk comes next.
        for (int d = 0; d < D; d += wide)
        {
            Panel.FetchShare(q - C * D, C * D, d, wide, D);
            Triangle.Upper<TLanes, V>(dp, q + d, D, dk + d, D, n, Math.Min(wide, D - d), true);
            Panel.FetchShare(k - C * D, C * D, d, wide, D);
        }
        for (int e = 0; e < E && dv is not null; e += wide)
        {
            Panel.FetchShare(v - C * E, C * E, e, wide, E);
            Triangle.Upper<TLanes, V>(p, dO + e, E, dv + e, E, n, Math.Min(wide, E - e), true);
            Panel.FetchShare(dO - C * E, C * E, e, wide, E);
        }
        if (s is not null) Join<TLanes, V>(dO, s, q, dq, decays.FromStart, seen);
    }

    /// <summary>The adjoint of the write: dk += w v dSᵀ, dv += w k dS; dv may be null. Unless null, what each step left in the state is added to kept [C].</summary>
    public void WriteBack<TLanes, V>(Real* k, Real* v, Real* ds, Real* dk, Real* dv, Real* kept) where TLanes : struct, ILanes<V> where V : struct
    {
        Join<TLanes, V>(v, ds, k, dk, decays.ToEnd, kept);
        if (dv is not null) AddWritten<TLanes, V>(k, ds, E, dv, E);
    }

    /// <summary>dv += w k dS on the first columns of dS and dv.</summary>
    public void AddWritten<TLanes, V>(Real* k, Real* ds, int columns, Real* dv, int width) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open();
        Panel.Product<TLanes, V>(Scaled<TLanes, V>(k, decays.ToEnd, scratch), D, 1, ds, E, dv, width, n, D, columns, true);
    }

    /// <summary>Rows [n,D] times the decays r; the rows themselves if there are none.</summary>
    public Real* Scaled<TLanes, V>(Real* rows, Real* r, in Scratch scratch) where TLanes : struct, ILanes<V> where V : struct
    {
        if (!decay) return rows;
        Real* y = scratch.Take((long)n * D);
        for (int i = 0; i < n; i++) Panel.Scale<TLanes, V>(rows + (long)i * D, y + (long)i * D, r[i], D);
        return y;
    }

    // g += r·(a Sᵀ) for rows a [n,E] and the decays r of the rows; shares += the products of y with what was added.
    void Join<TLanes, V>(Real* a, Real* s, Real* y, Real* g, Real* r, Real* shares) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); Real* sT = scratch.Take((long)D * E);
        Panel.Transpose(s, D, E, sT, D);
        if (!decay) { Panel.Product<TLanes, V>(a, E, 1, sT, D, g, D, n, E, D, true); return; }
        Real* x = scratch.Take((long)n * D);
        Panel.Product<TLanes, V>(a, E, 1, sT, D, x, D, n, E, D, false);
        for (int i = 0; i < n; i++)
        {
            Panel.AddScaled<TLanes, V>(x + (long)i * D, g + (long)i * D, r[i], D);
            if (shares is not null && r[i] != 0) shares[i] += r[i] * RowProduct.Dot<TLanes, V>(x + (long)i * D, y + (long)i * D, D);
        }
    }

    /// <summary>c += a∘b [C,C] for j ≤ i, up to full registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void AddProduct<TLanes, V>(Real* a, Real* b, Real* c) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int i = 0; i < n; i++) for (int j = i * C; j <= i * C + i; j += TLanes.Count) TLanes.Store(c + j, TLanes.Fma(TLanes.Load(a + j), TLanes.Load(b + j), TLanes.Load(c + j)));
    }

    /// <summary>
    /// dlog[t·step] += the shares of all decay ratios that contain step t (step 0: all into one number): pairs i ≥ t > j, what output i ≥ t saw of the old state, what is kept of j &lt; t in the
    /// new one, and the old state in the new one, e_last ⟨dS, S⟩. Sums of like terms only, no differences of long sums. kept is overwritten.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Slope<TLanes, V>(Real* dlog, int step, Real* pairs, Real* seen, Real* kept, Real* ds, Real* s) where TLanes : struct, ILanes<V> where V : struct
    {
        Real* below = stackalloc Real[C];       // Σ_{i ≥ t} pairs[i,j]
        new Span<Real>(below, C).Clear();
        Real last = decays.FromStart[n - 1];
        double through = last == 0 ? 0 : last * Reduce.Dot<TLanes, V>(ds, s, (long)D * E), later = 0, all = 0;
        for (int j = 1; j < n; j++) kept[j] += kept[j - 1];
        for (int t = n - 1; t >= 0; t--)
        {
            for (int j = 0; j < t; j += TLanes.Count) TLanes.Store(below + j, TLanes.Add(TLanes.Load(below + j), TLanes.Load(pairs + t * C + j)));
            later += seen[t];
            double slope = Reduce.Sum<TLanes, V>(below, t) + later + (t > 0 ? kept[t - 1] : 0) + through;
            if (step == 0) all += slope; else dlog[t * step] += (Real)slope;
        }
        if (step == 0) *dlog += (Real)all;
    }
}
