namespace Fovea.Mechanisms;

/// <summary>What steers a memory, per row and token: ln α ≤ 0 [R,N], what the sums keep; ln η ≤ 0 [R,N] of the momentum, or null for none; the step θ [R,N,1] or [R,N,E]; the loss's threshold [R,N,1], if it has one.</summary>
public readonly record struct MemoryGates(Tensor LogKeep, Tensor? LogMomentum, Tensor Rate, Tensor? Limit = null)
{
    internal MemoryGates Slice(int from, int to) => new(LogKeep.Slice(1, from, to), LogMomentum?.Slice(1, from, to), Rate.Slice(1, from, to), Limit?.Slice(1, from, to));
}

/// <summary>What a memory holds between tokens, per matrix [R,Out,In]: the weights at the start of the running chunk, the sums A, and the momentum S if there is one; and how many tokens it has seen.</summary>
public sealed record MemoryState(Tensor[] Weights, Tensor[] Sum, Tensor[] Surprise, int Position = 0)
{
    /// <summary>Starts from sums A_0 [R,Out,In].</summary>
    public static MemoryState Start(Tensor[] sum, bool momentum) => new([], sum, momentum ? [.. sum.Select(a => Tensor.Zeros(a.Shape))] : []);
}

/// <summary>
/// A memory whose weights are its state, trained by every token that it sees (titans, §3.1–3.2; miras, §3): S_t = η_t S_{t−1} − θ_t ∇ℓ(M(k_t), v_t), A_t = α_t A_{t−1} + S_t, W_t = ρ(A_t), and
/// read without a change: y_t = M_{W_t}(q_t). All gradients of a chunk are taken at the weights of its start, so that they are matrix products: a gradient of matrix l is slope_i in_iᵀ, and the two recurrences are
/// products with triangular matrices of decays, A_t = (Π α) A_0 + (Λ^α μ)_t S_0 − Σ_{i≤t} (Λ^α Λ^η)_{ti} θ_i slope_i in_iᵀ, where Λ_{tj} = exp(Σ_{j&lt;r≤t} ln α_r) ≤ 1: however strong the decay, nothing is divided and nothing
/// overflows. If W = A, what the matrix does to x_t is (x_t·in_i) weighted by them, and no W_t is made; otherwise W_t is made for every t. A chunk of 1 is the recurrence itself. Chunks lie at multiples of their
/// length from the first token on, however the text comes in pieces.
/// </summary>
[From("titans", "§3.1–3.2"), From("miras", "§3, §5")]
public sealed class TestTimeMemory(MemoryNet net, InnerLoss loss, Retention retention, int chunk)
{
    readonly int chunk = chunk >= 1 ? chunk : throw new ArgumentOutOfRangeException(nameof(chunk), chunk, "a chunk has at least 1 token");

    /// <summary>M(q) with the weights of now, q [R,N,D] → [R,N,E]; nothing is learned.</summary>
    public Tensor Recall(Tensor q, MemoryState s) => net.Read(q, (l, h) => h.MatMulT(retention.Weights(s.Sum[l])));

    /// <summary>Learns k [R,N,D] → v [R,N,E] token by token and answers q [R,N,D] after each → y [R,N,E] and the state after the last. plain: the recurrence as it is written, token by token.</summary>
    public (Tensor Y, MemoryState After) Run(Tensor q, Tensor k, Tensor v, MemoryGates gates, MemoryState s, bool plain = false)
    {
        var (rows, n, d) = k.Shape; int e = v.Shape[2];
        Check.Shape(q, [rows, n, d]); Check.Shape(v, [rows, n, e]); Check.Shape(gates.LogKeep, [rows, n]); if (gates.LogMomentum is { } m) Check.Shape(m, [rows, n]); Check.Shape(gates.Rate, [rows, n, -1]);
        if (s.Surprise.Length > 0 != gates.LogMomentum is not null) throw new ArgumentException($"the state has {(s.Surprise.Length > 0 ? "a" : "no")} momentum, the gates have {(gates.LogMomentum is null ? "none" : "one")}");
        var answers = new List<Tensor>();
        for (int at = 0; at < n;)
        {
            int past = s.Position % chunk, to = plain ? at + 1 : Math.Min(n, at + chunk - past);
            if (past == 0 || s.Weights.Length == 0) s = s with { Weights = [.. s.Sum.Select(retention.Weights)] };
            Tensor ks = k.Slice(1, at, to), vs = v.Slice(1, at, to), qs = q.Slice(1, at, to); var g = gates.Slice(at, to);
            var parts = net.Slopes(ks, s.Weights, m => loss.Slope(m - vs, g.Limit) * g.Rate);
            var (y, after) = plain ? Step(qs, parts, g, s) : Stretch(qs, parts, g, s);
            answers.Add(y); s = after with { Position = s.Position + to - at }; at = to;
        }
        return (Tensor.Concat(1, [.. answers]), s);
    }

    // One token as it is written.
    (Tensor, MemoryState) Step(Tensor q, (Tensor In, Tensor Slope)[] parts, MemoryGates g, MemoryState s)
    {
        int rows = q.Shape[0]; Tensor[] sum = [.. s.Sum], surprise = [.. s.Surprise];
        for (int l = 0; l < parts.Length; l++)
        {
            var u = parts[l].Slope.Transpose().MatMul(parts[l].In) * -1;
            if (g.LogMomentum is { } momentum) u = surprise[l] = surprise[l] * momentum.Exp().Reshape([rows, 1, 1]) + u;
            sum[l] = sum[l] * g.LogKeep.Exp().Reshape([rows, 1, 1]) + u;
        }
        return (net.Read(q, (l, h) => h.MatMulT(retention.Weights(sum[l]))), s with { Sum = sum, Surprise = surprise });
    }

    // Tokens of one chunk at once.
    (Tensor, MemoryState) Stretch(Tensor q, (Tensor In, Tensor Slope)[] parts, MemoryGates g, MemoryState s)
    {
        var (rows, n, _) = q.Shape;
        var (keep, keepAll) = Decays(g.LogKeep); Tensor weight = keep, momentum = keep; Tensor? first = null, momentumAll = null;
        if (g.LogMomentum is { } log) { (momentum, momentumAll) = Decays(log); weight = keep.MatMul(momentum); first = keep.MatMul(momentumAll); }

        // A_t of matrix l for every t, [R,n,Out,In]: only where weights are no plain sums.
        Tensor Made(int l)
        {
            var (_, o, i) = s.Sum[l].Shape;
            var u = parts[l].Slope.Reshape([rows, n, o, 1]).MatMul(parts[l].In.Reshape([rows, n, 1, i])).Reshape([rows, n, o * i]);
            var a = keepAll.MatMul(s.Sum[l].Reshape([rows, 1, o * i])) - weight.MatMul(u);
            if (first is not null) a += first.MatMul(s.Surprise[l].Reshape([rows, 1, o * i]));
            return a.Reshape([rows, n, o, i]);
        }
        Tensor Apply(int l, Tensor x)
        {
            var (_, o, i) = s.Sum[l].Shape;
            if (!retention.Identity) return x.Reshape([rows * n, 1, i]).MatMulT(retention.Weights(Made(l)).Reshape([rows * n, o, i])).Reshape([rows, n, o]);
            var y = x.MatMulT(s.Sum[l]) * keepAll - (x.MatMulT(parts[l].In) * weight).MatMul(parts[l].Slope);
            return first is null ? y : y + x.MatMulT(s.Surprise[l]) * first;
        }
        var answer = net.Read(q, Apply);

        Tensor[] sum = [.. s.Sum], surprise = [.. s.Surprise];
        Tensor Last(Tensor x) => x.Slice(1, n - 1, n);                                              // [R,1,·]
        Tensor Column(Tensor x) => Last(x).Reshape([rows, n, 1]);                                   // what token i weighs at the end
        for (int l = 0; l < parts.Length; l++)
        {
            sum[l] = s.Sum[l] * Last(keepAll) - (parts[l].Slope * Column(weight)).Transpose().MatMul(parts[l].In);
            if (first is null) continue;
            sum[l] += s.Surprise[l] * Last(first);
            surprise[l] = s.Surprise[l] * Last(momentumAll!) - (parts[l].Slope * Column(momentum)).Transpose().MatMul(parts[l].In);
        }
        return (answer, s with { Sum = sum, Surprise = surprise });
    }

    // Λ_{tj} = exp(Σ_{j<r≤t} ln a_r) [R,n,n], 0 above the diagonal, and the products from the start [R,n,1]. Every sum is added up by itself: the difference of two long ones would lose what strong decay left of its digits.
    static (Tensor Between, Tensor FromStart) Decays(Tensor log)
    {
        var (rows, n) = log.Shape; Tensor later = Tensor.Zeros([n, n]), mask = Tensor.Zeros([n, n]);
        for (int j = 0; j < n; j++) { later.Span.Slice(j * n + j + 1, n - j - 1).Fill(1); mask.Span.Slice(j * n, j).Fill(Real.NegativeInfinity); }
        var between = ((log.Reshape([rows, 1, n]).Expand([rows, n, n]) * later).CumSum() + mask).Transpose();
        return (between.Exp(), log.CumSum().Reshape([rows, n, 1]).Exp());
    }
}
