namespace Fovea.Mechanisms;

/// <summary>
/// One linear time-varying form for token mixers (dsf, §2): h_i = Λ_i ∘ h_{i−1} + B_i u_i, y_i = C_i h_i + D u_i with h_0 = 0 and diagonal Λ; as matrix, y_i = Σ_{j≤i} C_i (Π_{k=j+1..i} Λ_k) B_j u_j + D u_i.
/// Adapters say what Λ, B u and C are for a mixer; every adapter then runs step by step, by a scan, or as the sum over pairs. The state of a token is [E,S]: S numbers for each of E channels.
/// </summary>
/// <param name="Decay">Λ [N,E,S]</param>
/// <param name="Write">B u [N,E,S]</param>
/// <param name="Read">C [N,E,S], summed over S</param>
/// <param name="Direct">D u [N,E], or null</param>
[From("dsf", "§2–3")]
public sealed record DynamicalSystem(Tensor Decay, Tensor Write, Tensor Read, Tensor? Direct = null)
{
    public int Length => Decay.Shape[0];
    /// <summary>State expansion S: numbers of state per channel.</summary>
    public int Expansion => Decay.Shape[2];
    /// <summary>Bytes of state while decoding, whatever the length.</summary>
    public long StateBytes => (long)Decay.Shape[1] * Expansion * sizeof(Real);
    /// <summary>Tokens after which a mean state has faded to 1/e; infinite without decay.</summary>
    public double Horizon { get { double sum = 0; foreach (Real a in Decay.Span) sum -= Math.Log(Math.Max(1e-30, Math.Abs(a))); return Decay.Shape.Size / sum; } }

    /// <summary>y [N,E] by the kernel's scan, recorded.</summary>
    public Tensor Scan()
    {
        var (n, e, s) = Decay.Shape; var h = ElementwiseRecurrence.Run(new object(), Decay.Reshape([1, n, e * s]), Write.Reshape([1, n, e * s]), Pass.Eval);
        var y = (h.Reshape([n, e, s]) * Read).Sum(2).Reshape([n, e]);
        return Direct is null ? y : y + Direct;
    }

    /// <summary>y [N,E] step by step in float64.</summary>
    public double[] Steps()
    {
        var (n, e, s) = Decay.Shape; double[] h = new double[e * s], y = new double[n * e];
        for (int t = 0; t < n; t++)
            for (int i = 0; i < e * s; i++)
            {
                int at = t * e * s + i;
                h[i] = Decay.Span[at] * h[i] + Write.Span[at]; y[t * e + i / s] += Read.Span[at] * h[i] + (i % s == 0 && Direct is not null ? Direct.Span[t * e + i / s] : 0);
            }
        return y;
    }

    /// <summary>y [N,E] as the sum over all pairs, with the products of decays in between, in float64.</summary>
    public double[] Pairs()
    {
        var (n, e, s) = Decay.Shape; var y = new double[n * e];
        for (int i = 0; i < e * s; i++)
            for (int t = 0; t < n; t++)
            {
                double product = 1;
                for (int j = t; j >= 0; j--) { y[t * e + i / s] += Read.Span[t * e * s + i] * product * Write.Span[j * e * s + i]; product *= Decay.Span[j * e * s + i]; }
            }
        for (int i = 0; Direct is not null && i < y.Length; i++) y[i] += Direct.Span[i];
        return y;
    }

    /// <summary>Linear attention without its denominator: Λ = 1, B u = v ψ(k)ᵀ, C = φ(q); q, k [N,S] are features, v [N,E].</summary>
    public static DynamicalSystem Attention(Tensor q, Tensor k, Tensor v)
    {
        var (n, s) = q.Shape; int e = v.Shape[1];
        return new(Tensor.Full([n, e, s], 1), v.Reshape([n, e, 1]).Expand([n, e, s]) * k.Reshape([n, 1, s]), q.Reshape([n, 1, s]).Expand([n, e, s]));
    }

    /// <summary>Normalised attention (dsf, §3.3): the denominator η [N,1] does not depend on the keys, so Λ_i = η_{i−1}/η_i and B_i is divided by η_i.</summary>
    public static DynamicalSystem Normalised(Tensor q, Tensor k, Tensor v, Tensor eta)
    {
        var plain = Attention(q, k, v); int n = q.Shape[0]; var before = n > 1 ? Tensor.Concat(0, eta.Slice(0, 0, 1), eta.Slice(0, 0, n - 1)) : eta;
        return new(plain.Decay * (before / eta).Reshape([n, 1, 1]), plain.Write / eta.Reshape([n, 1, 1]), plain.Read);
    }

    /// <summary>Selective state space S6: Λ = exp(−Δ A), B u = Δ b u, C = c; u and Δ [N,E], A [E,S] ≥ 0, b and c [N,S], d [E].</summary>
    public static DynamicalSystem S6(Tensor u, Tensor delta, Tensor a, Tensor b, Tensor c, Tensor d)
    {
        var (n, e) = u.Shape; int s = a.Shape[1]; var wide = delta.Reshape([n, e, 1]).Expand([n, e, s]);
        return new((-(wide * a)).Exp(), wide * u.Reshape([n, e, 1]) * b.Reshape([n, 1, s]), c.Reshape([n, 1, s]).Expand([n, e, s]), u * d);
    }

    /// <summary>A gated network whose gates see the input only: h = f ∘ h + i ∘ z, read through the gate o; all [N,E], S = 1.</summary>
    public static DynamicalSystem Gated(Tensor f, Tensor i, Tensor z, Tensor o)
    { var (n, e) = f.Shape; return new(f.Reshape([n, e, 1]), (i * z).Reshape([n, e, 1]), o.Reshape([n, e, 1])); }

    /// <summary>RG-LRU: Λ = a^(8 r), B = √(1 − Λ²) i; u, gates r and i [N,E], a [E] from 0 to 1.</summary>
    public static DynamicalSystem RgLru(Tensor u, Tensor r, Tensor i, Tensor a)
    {
        var (n, e) = u.Shape; var decay = (r * a.Log() * 8).Exp();
        return new(decay.Reshape([n, e, 1]), ((1 - decay.Square()).Sqrt() * i * u).Reshape([n, e, 1]), Tensor.Full([n, e, 1], 1));
    }
}
