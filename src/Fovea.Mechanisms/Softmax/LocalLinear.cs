using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Local linear attention (lla): where softmax attention averages values near the query, this fits an affine map to them, minimising Σ_{j≤i} w_ij ‖v_j − b − W(k_j − q_i)‖² + λ‖W‖² with w_ij = exp(q_i·k_j/√D), and gives the
/// intercept b. With p the softmax row, z_j = k_j − q_i, μ = Σ p_j z_j, Σ = Σ p_j z_j z_jᵀ + λI and ρ = Σ⁻¹μ it is o_i = Σ_j s_j v_j, s_j = p_j (1 − z_j·ρ)/(1 − μ·ρ); Σ_j s_j = 1, single s_j may be negative. λ → ∞ is softmax attention,
/// uniform p a global affine ridge fit. Fused: conjugate gradients that stream over the keys, at most 32 steps; plain: Σ is stored and solved by Cholesky. λ is learned, one per head; queries and keys are RMS-normalised, so that λ has a
/// scale to be measured in. The paper leaves open whether λ stands beside raw or normalised weights: normalised, unless <c>raw</c>.
/// </summary>
[From("lla", "§3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class LocalLinearAttention : HeadAttention
{
    readonly Tensor logRidge; readonly bool raw;

    /// <param name="ridge">Where λ starts.</param>
    /// <param name="raw">True: λ stands beside the weights exp(q·k/√D) themselves, so that it matters less the more is seen.</param>
    public LocalLinearAttention(AttentionConfig c, Weights w, double ridge = 1, bool raw = false) : base(c, w)
    {
        if (!(ridge > 0)) throw new ArgumentOutOfRangeException(nameof(ridge), ridge, "a ridge is positive");
        logRidge = w.Get("log_ridge", [c.Heads], t => t.Span.Fill((Real)Math.Log(ridge))); this.raw = raw;
    }

    protected override Heads Prepare(Heads h) => h with { Q = h.Q.RmsNorm(null, (Real)1e-6), K = h.K.RmsNorm(null, (Real)1e-6) };

    protected override Tensor Attend(Heads h, Pass pass)
    {
        (h, var kv) = Remember(h, () => new GrowingKv(), pass);
        bool causal = h.Self && Config.Causal; int n = h.Q.Shape[2], m = kv?.Count ?? h.K.Shape[2]; var limits = new int[n];
        for (int i = 0; i < n; i++) limits[i] = !causal ? m : kv is null ? i + 1 : Seen(kv.Positions, h.Start + i);
        var lambda = logRidge.Exp();
        var o = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern) ? Plain(h.Q, PerHead(m == h.K.Shape[2] ? h.K : h.K.Slice(2, 0, m)), PerHead(m == h.V.Shape[2] ? h.V : h.V.Slice(2, 0, m)), lambda, limits, null, raw, pass)
            : Streamed(h.Q, h.K, h.V, lambda, limits, null, raw);
        kv?.Attended(h.Q); kv?.Settle();
        return o;
    }
    static int Seen(ReadOnlySpan<int> positions, int query) { int n = positions.Length; while (n > 0 && positions[n - 1] > query) n--; return n; }

    /// <summary>q [B,H,N,D], k [B,G,M,D], v [B,G,M,E], λ [H], limits [N] (how many of the first keys a query sees) → o [B,H,N,E]; scale is 1/√D if null.</summary>
    public static Tensor Streamed(Tensor q, Tensor k, Tensor v, Tensor lambda, int[] limits, Real? scale = null, bool raw = false)
    {
        var (b, h, n, d) = q.Shape; var (_, g, m, e) = v.Shape; Check.Shape(k, [b, g, m, d]); Check.Shape(lambda, [h]);
        var size = new LocalLinearSize(b, h, g, n, m, d, e, scale ?? 1 / Real.Sqrt(d), raw);
        Tensor o = Tensor.Empty([b, h, n, e]), rho = Tensor.Empty(q.Shape), lse = Tensor.Empty([b, h, n]), divisor = Tensor.Empty([b, h, n]);
        LocalLinear.Forward(size, q.Span, k.Span, v.Span, lambda.Span, limits, o.Span, rho.Span, lse.Span, divisor.Span);
        return Tensor.Record(o, [q, k, v, lambda], o => LocalLinear.Backward(size, q.Span, k.Span, v.Span, lambda.Span, limits, rho.Span, lse.Span, divisor.Span, o.Grad, q.Grad, k.Grad, v.Grad, lambda.Grad));
    }

    /// <summary>The same with z, Σ and s stored, k and v [B,H,M,·], and a Cholesky solve: the definition.</summary>
    public static Tensor Plain(Tensor q, Tensor k, Tensor v, Tensor lambda, int[] limits, Real? scale, bool raw, Pass pass)
    {
        var (b, h, n, d) = q.Shape; int m = k.Shape[2]; var mask = Tensor.Zeros([n, m]);
        for (int i = 0; i < n; i++) mask.Span[(i * m + limits[i])..((i + 1) * m)].Fill(Real.NegativeInfinity);
        var scores = pass.At(Part.Scores, q.MatMulT(k) * (scale ?? 1 / Real.Sqrt(d)) + mask); var p = scores.Softmax();
        var z = k.Reshape([b, h, 1, m, d]).Expand([b, h, n, m, d]) - q.Reshape([b, h, n, 1, d]); var weighted = z * p.Reshape([b, h, n, m, 1]);
        var mu = weighted.Sum(3).Reshape([b * h * n, d]); var ridge = lambda.Reshape([h, 1]).Expand([b, h, n]).Reshape([b * h * n, 1, 1]); var eye = Tensor.Zeros([d, d]);
        for (int i = 0; i < d; i++) eye.Span[i * d + i] = 1;
        if (raw) ridge *= (-scores.LogSumExp()).Exp().Reshape([b * h * n, 1, 1]);
        var rho = Solve(weighted.Reshape([b * h * n, m, d]).Transpose().MatMul(z.Reshape([b * h * n, m, d])) + ridge.Expand([b * h * n, d, d]) * eye, mu);
        var shares = 1 - z.Reshape([b * h * n, m, d]).MatMul(rho.Reshape([b * h * n, d, 1])).Reshape([b, h, n, m]); var divisor = 1 - (mu * rho).Sum(1).Reshape([b, h, n, 1]);
        return pass.At(Part.Pattern, p * shares / divisor).MatMul(v);
    }

    // x = A⁻¹ b for symmetric a [R,D,D], b [R,D]; db = A⁻¹ dx, dA = −db xᵀ.
    static Tensor Solve(Tensor a, Tensor b)
    {
        var (rows, n) = b.Shape; var x = Tensor.Empty(b.Shape); Cholesky.Solve(rows, n, a.Span, b.Span, x.Span);
        return Tensor.Record(x, [a, b], x =>
        {
            var y = Tensor.Empty(b.Shape); Cholesky.Solve(rows, n, a.Span, x.Grad, y.Span); Map.AddTo(y.Span, b.Grad);
            for (int r = 0; r < rows; r++) for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) a.Grad[(r * n + i) * n + j] -= y.Span[r * n + i] * x.Span[r * n + j];
        });
    }
}
