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
            StateLoops.Write<TLanes, V>(s, alpha, 1, k, v, dim, width);
        }
    }
    internal readonly struct Adjoint(Real* ds, Real* s, Real* k, Real* v, Real* alpha, Real* dk, Real* dv, Real* dalpha, int dim, int width) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            StateLoops.WriteBack<TLanes, V>(ds, s, alpha, k, v, dalpha, dk, dv, dim, width);
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
            Real keep = alpha; StateLoops.Write<TLanes, V>(s, &keep, 0, k, w, dim, width);
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
            StateLoops.CorrectBack<TLanes, V>(ds, s, alpha, k, w, du, dk, dim, width);
        }
    }
}
