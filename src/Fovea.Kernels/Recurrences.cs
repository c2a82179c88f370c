using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>S ← Diag(α) S + kᵀ v: a decay of its own for each row of the state (gated linear attention, 2312.06635, Eq. 3). gate [D] holds α.</summary>
public readonly unsafe struct DiagonalDecay : IRecurrence
{
    public void Step(Span<Real> s, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate)
    {
        fixed (Real* ps = s, pk = k, pv = v, pg = gate) { var body = new Forward(ps, pk, pv, pg, k.Length, v.Length); Wide.Run(ref body); }
    }
    public void Back(Span<Real> ds, ReadOnlySpan<Real> before, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> dk, Span<Real> dv, Span<Real> dgate)
    {
        fixed (Real* pds = ds, ps = before, pk = k, pv = v, pg = gate, pdk = dk, pdv = dv, pdg = dgate) { var body = new Adjoint(pds, ps, pk, pv, pg, pdk, pdv, pdg, k.Length, v.Length); Wide.Run(ref body); }
    }

    internal readonly struct Forward(Real* s, Real* k, Real* v, Real* alpha, int dim, int width) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            for (int d = 0; d < dim; d++) StateLoops.ScaleAdd<TLanes, V>(s + (long)d * width, v, alpha[d], k[d], width);
        }
    }
    internal readonly struct Adjoint(Real* ds, Real* s, Real* k, Real* v, Real* alpha, Real* dk, Real* dv, Real* dalpha, int dim, int width) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            for (int d = 0; d < dim; d++)
            {
                Real* row = ds + (long)d * width; var (withV, withS) = StateLoops.TwoDots<TLanes, V>(row, v, s + (long)d * width, width);
                dk[d] += withV; dalpha[d] += withS;
                StateLoops.AddAndScale<TLanes, V>(row, dv, k[d], alpha[d], width);
            }
        }
    }
}

/// <summary>S ← S − β kᵀ(k S) + β kᵀ v: what is stored under k is replaced by v with strength β (DeltaNet, 2406.06484, §2.2). gate [1] holds β.</summary>
public readonly unsafe struct DeltaRule : IRecurrence
{
    public void Step(Span<Real> s, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate)
    {
        fixed (Real* ps = s, pk = k, pv = v) { var body = new GatedDeltaRule.Forward(ps, pk, pv, 1, gate[0], k.Length, v.Length); Wide.Run(ref body); }
    }
    public void Back(Span<Real> ds, ReadOnlySpan<Real> before, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> dk, Span<Real> dv, Span<Real> dgate)
    {
        fixed (Real* pds = ds, ps = before, pk = k, pv = v, pdk = dk, pdv = dv, pdg = dgate) { var body = new GatedDeltaRule.Adjoint(pds, ps, pk, pv, 1, gate[0], pdk, pdv, null, pdg, k.Length, v.Length); Wide.Run(ref body); }
    }
}

/// <summary>S ← α(S − β kᵀ(k S)) + β kᵀ v: the delta rule on a memory that also fades (Gated DeltaNet, 2412.06464, Eq. 10). gate [2] holds (α, β).</summary>
public readonly unsafe struct GatedDeltaRule : IRecurrence
{
    public void Step(Span<Real> s, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate)
    {
        fixed (Real* ps = s, pk = k, pv = v) { var body = new Forward(ps, pk, pv, gate[0], gate[1], k.Length, v.Length); Wide.Run(ref body); }
    }
    public void Back(Span<Real> ds, ReadOnlySpan<Real> before, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> dk, Span<Real> dv, Span<Real> dgate)
    {
        fixed (Real* pds = ds, ps = before, pk = k, pv = v, pdk = dk, pdv = dv, pdg = dgate) { var body = new Adjoint(pds, ps, pk, pv, gate[0], gate[1], pdk, pdv, pdg, pdg + 1, k.Length, v.Length); Wide.Run(ref body); }
    }

    /// <summary>S ← αS + kᵀ w with w = β(v − α k S).</summary>
    internal readonly struct Forward(Real* s, Real* k, Real* v, Real alpha, Real beta, int dim, int width) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open(); Real* w = scratch.Take(width);
            StateLoops.Read<TLanes, V>(k, s, w, dim, width);
            for (int e = 0; e < width; e++) w[e] = beta * (v[e] - alpha * w[e]);
            for (int d = 0; d < dim; d++) StateLoops.ScaleAdd<TLanes, V>(s + (long)d * width, w, alpha, k[d], width);
        }
    }

    /// <summary>With u = k S, w = β(v − αu) and dw = k dS: dk = dS wᵀ + S duᵀ with du = −αβ dw; dv = β dw; dβ = dw·(v − αu); dα = ⟨dS, S⟩ − β dw·u; dS ← α dS + kᵀ du. dalpha may be null.</summary>
    internal readonly struct Adjoint(Real* ds, Real* s, Real* k, Real* v, Real alpha, Real beta, Real* dk, Real* dv, Real* dalpha, Real* dbeta, int dim, int width) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open(); Real* u = scratch.Take(width), dw = scratch.Take(width), w = scratch.Take(width), du = scratch.Take(width);
            StateLoops.Read<TLanes, V>(k, s, u, dim, width); StateLoops.Read<TLanes, V>(k, ds, dw, dim, width);
            Real change = 0, read = 0;
            for (int e = 0; e < width; e++)
            {
                Real error = v[e] - alpha * u[e];
                w[e] = beta * error; du[e] = -alpha * beta * dw[e]; dv[e] += beta * dw[e];
                change += dw[e] * error; read += dw[e] * u[e];
            }
            *dbeta += change;
            if (dalpha is not null) { *dalpha -= beta * read; *dalpha += (Real)Reduce.Dot<TLanes, V>(ds, s, (long)dim * width); }
            for (int d = 0; d < dim; d++)
            {
                Real* row = ds + (long)d * width;
                dk[d] += StateLoops.Dot<TLanes, V>(row, w, width) + StateLoops.Dot<TLanes, V>(s + (long)d * width, du, width);
                StateLoops.ScaleAdd<TLanes, V>(row, du, alpha, k[d], width);
            }
        }
    }
}

/// <summary>Loops over rows of a state S [dim, width].</summary>
internal static unsafe class StateLoops
{
    /// <summary>o = q S; the sums stay in registers.</summary>
    public static void Read<TLanes, V>(Real* q, Real* s, Real* o, int dim, int width) where TLanes : struct, ILanes<V> where V : struct => Panel.Product<TLanes, V>(q, dim, 1, s, width, o, width, 1, dim, width, false);

    /// <summary>row = a·row + b·x.</summary>
    public static void ScaleAdd<TLanes, V>(Real* row, Real* x, Real a, Real b, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int i = ScaleAddPart<TLanes, V>(row, x, a, b, 0, n);
        if (i < n) ScaleAddPart<Lanes1, Real>(row, x, a, b, i, n);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int ScaleAddPart<TLanes, V>(Real* row, Real* x, Real a, Real b, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V s = TLanes.Set(a), t = TLanes.Set(b);
        for (; i <= n - w; i += w) TLanes.Store(row + i, TLanes.Fma(s, TLanes.Load(row + i), TLanes.Mul(t, TLanes.Load(x + i))));
        return i;
    }

    /// <summary>y += b·row, then row = a·row.</summary>
    public static void AddAndScale<TLanes, V>(Real* row, Real* y, Real b, Real a, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int i = AddAndScalePart<TLanes, V>(row, y, b, a, 0, n);
        if (i < n) AddAndScalePart<Lanes1, Real>(row, y, b, a, i, n);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int AddAndScalePart<TLanes, V>(Real* row, Real* y, Real b, Real a, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V s = TLanes.Set(a), t = TLanes.Set(b);
        for (; i <= n - w; i += w) { V x = TLanes.Load(row + i); TLanes.Store(y + i, TLanes.Fma(t, x, TLanes.Load(y + i))); TLanes.Store(row + i, TLanes.Mul(s, x)); }
        return i;
    }

    /// <summary>dot = x·after, then row += q·x, in one pass.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Real DotAndAdd<TLanes, V>(Real* x, Real* after, Real* row, Real q, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; V s = TLanes.Set(q), sum = TLanes.Set(0); Real rest = 0;
        for (; i <= n - w; i += w) { V v = TLanes.Load(x + i); sum = TLanes.Fma(v, TLanes.Load(after + i), sum); TLanes.Store(row + i, TLanes.Fma(s, v, TLanes.Load(row + i))); }
        for (; i < n; i++) { rest += x[i] * after[i]; row[i] += q * x[i]; }
        return TLanes.Sum(sum) + rest;
    }

    /// <summary>row·x and row·y.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static (Real, Real) TwoDots<TLanes, V>(Real* row, Real* x, Real* y, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; V a = TLanes.Set(0), b = a; Real restA = 0, restB = 0;
        for (; i <= n - w; i += w) { V r = TLanes.Load(row + i); a = TLanes.Fma(r, TLanes.Load(x + i), a); b = TLanes.Fma(r, TLanes.Load(y + i), b); }
        for (; i < n; i++) { restA += row[i] * x[i]; restB += row[i] * y[i]; }
        return (TLanes.Sum(a) + restA, TLanes.Sum(b) + restB);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Real Dot<TLanes, V>(Real* x, Real* y, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; V a = TLanes.Set(0), b = a; Real rest = 0;
        for (; i <= n - 2 * w; i += 2 * w) { a = TLanes.Fma(TLanes.Load(x + i), TLanes.Load(y + i), a); b = TLanes.Fma(TLanes.Load(x + i + w), TLanes.Load(y + i + w), b); }
        for (; i <= n - w; i += w) a = TLanes.Fma(TLanes.Load(x + i), TLanes.Load(y + i), a);
        for (; i < n; i++) rest += x[i] * y[i];
        return TLanes.Sum(TLanes.Add(a, b)) + rest;
    }
}
