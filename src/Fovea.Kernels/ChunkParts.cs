using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// One chunk of n steps of a state [D,E] with scalar decays, forward and back: the read o_i = e_i q_i S + Σ_{j≤i} W_ij (q_i·k_j) v_j and the write S ← e_last S + Σ_j w_j k_jᵀ v_j,
/// where W are the decay ratios, e what is left of the state before the chunk and w what is left of each step at its end. decay says whether there is any.
/// </summary>
internal readonly unsafe struct ChunkParts(int D, int E, int n, Decays decays, bool decay)
{
    const int C = ScanSize.Chunk;

    /// <summary>p [C,C] = (q kᵀ)∘W for j ≤ i, or j &lt; i if strict, and 0 after, up to full registers. kT is [D,C].</summary>
    public void Scores<TLanes, V>(Real* q, Real* kT, Real* p, bool strict) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, block = Micro.Rows<V>();
        for (int i = 0; i < n; i += block)
        {
            int m = Math.Min(block, n - i), until = (i + m + wide - 1) / wide * wide;
            Panel.Product<TLanes, V>(q + (long)i * D, D, 1, kT, C, p + i * C, C, m, D, until, false);
            decays.Mask<TLanes, V>(p, i, i + m, until, decay, strict);
        }
    }

    /// <summary>o is overwritten. What follows the chunk in q, k, v and o is fetched meanwhile.</summary>
    public void Read<TLanes, V>(Real* q, Real* k, Real* v, Real* s, Real* o) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, block = Micro.Rows<V>();
        using var scratch = Scratch.Open(); Real* kT = scratch.Take((long)D * C), p = scratch.Take(C * C), seen = Scaled<TLanes, V>(q, decays.FromStart, scratch);
        Panel.Transpose(k, n, D, kT, C);
        Panel.Product<TLanes, V>(seen, D, 1, s, E, o, E, n, D, E, false);
        for (int i = 0; i < n; i += block)
        {
            int m = Math.Min(block, n - i), until = (i + m + wide - 1) / wide * wide; long next = C + i;
            Panel.Fetch(q + next * D, m * D); Panel.Fetch(k + next * D, m * D);
            Panel.Product<TLanes, V>(q + (long)i * D, D, 1, kT, C, p + i * C, C, m, D, until, false);
            Panel.Fetch(v + next * E, m * E); Panel.Fetch(o + next * E, m * E);     // in two parts: the machine takes only so many at a time
            decays.Mask<TLanes, V>(p, i, i + m, until, decay, false);
            Panel.Product<TLanes, V>(p + i * C, C, 1, v, E, o + (long)i * E, E, m, i + m, E, true);
        }
    }

    /// <summary>
    /// The adjoint of the read: dq += dP k + e dO Sᵀ, dk += dPᵀ q, dv += Pᵀ dO with P = (q kᵀ)∘W and dP = (dO vᵀ)∘W, both strictly causal if strict. dv may be null; s too, then its part is left out.
    /// Unless null, shares of the decays are added: P∘dO vᵀ to pairs [C,C], and to seen [C] what each output saw of S.
    /// </summary>
    public void ReadBack<TLanes, V>(Real* q, Real* k, Real* v, Real* s, Real* dO, Real* dq, Real* dk, Real* dv, Real* pairs, Real* seen, bool strict) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, block = Micro.Rows<V>(); bool scores = dv is not null || pairs is not null;
        using var scratch = Scratch.Open();
        Real* kT = scratch.Take((long)D * C), vT = scratch.Take((long)E * C), p = scratch.Take(C * C), dp = scratch.Take(C * C);
        Panel.Transpose(v, n, E, vT, C);
        if (scores) { Panel.Transpose(k, n, D, kT, C); Scores<TLanes, V>(q, kT, p, strict); }
        for (int i = 0; i < n; i += block)
        {
            int m = Math.Min(block, n - i), until = (i + m + wide - 1) / wide * wide;
            Panel.Product<TLanes, V>(dO + (long)i * E, E, 1, vT, C, dp + i * C, C, m, E, until, false);
            if (pairs is not null) AddProduct<TLanes, V>(p + i * C, dp + i * C, pairs + i * C, m, until);
            decays.Mask<TLanes, V>(dp, i, i + m, until, decay, strict);
            Panel.Product<TLanes, V>(dp + i * C, C, 1, k, D, dq + (long)i * D, D, m, i + m, D, true);
        }
        for (int j = 0; j < n; j += block)      // transposed scores: row j sees the steps from j on
        {
            int m = Math.Min(block, n - j);
            Panel.Product<TLanes, V>(dp + j * C + j, 1, C, q + (long)j * D, D, dk + (long)j * D, D, m, n - j, D, true);
            if (dv is not null) Panel.Product<TLanes, V>(p + j * C + j, 1, C, dO + (long)j * E, E, dv + (long)j * E, E, m, n - j, E, true);
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

    /// <summary>c += a∘b on rows of C numbers, up to column until.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddProduct<TLanes, V>(Real* a, Real* b, Real* c, int rows, int until) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int i = 0; i < rows; i++) for (int j = i * C; j < i * C + until; j += TLanes.Count) TLanes.Store(c + j, TLanes.Fma(TLanes.Load(a + j), TLanes.Load(b + j), TLanes.Load(c + j)));
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
