namespace Fovea.Mechanisms;

/// <summary>A function M whose weights are the state of a memory: rows of x [R,N,D] → [R,N,E]. Every layer is a matrix [Out,In], y = W x; what happens between them is the net's own.</summary>
public abstract class MemoryNet
{
    /// <summary>Sizes of the matrices for keys of size d and values of size e.</summary>
    public abstract (int Out, int In)[] Sizes(int d, int e);
    /// <summary>M(x), where apply(l, h) multiplies h [R,N,In] with matrix l.</summary>
    public abstract Tensor Read(Tensor x, Func<int, Tensor, Tensor> apply);
    /// <summary>
    /// For every matrix w [R,Out,In] what goes into it at k and the gradient of the loss with respect to what comes out, so that ∂ℓ/∂W of row i is slope_i in_iᵀ. loss gives ∂ℓ/∂M(k) for M(k).
    /// Written with ordinary operations: gradients flow through it.
    /// </summary>
    public abstract (Tensor In, Tensor Slope)[] Slopes(Tensor k, Tensor[] w, Func<Tensor, Tensor> loss);
}

/// <summary>M(x) = W_L silu(… silu(W₁ x)), L matrices, width · D numbers in between; one matrix for L = 1 (titans, §3.1).</summary>
public sealed class DeepMemory(int layers, int width) : MemoryNet
{
    readonly int layers = layers >= 1 && width >= 1 ? layers : throw new ArgumentException($"{layers} layers of {width} times the key size make no memory");

    public override (int Out, int In)[] Sizes(int d, int e) => [.. Enumerable.Range(0, layers).Select(l => (l == layers - 1 ? e : width * d, l == 0 ? d : width * d))];

    public override Tensor Read(Tensor x, Func<int, Tensor, Tensor> apply)
    {
        for (int l = 0; l < layers; l++) x = l == 0 ? apply(0, x) : apply(l, x.Silu());
        return x;
    }

    public override (Tensor In, Tensor Slope)[] Slopes(Tensor k, Tensor[] w, Func<Tensor, Tensor> loss)
    {
        var parts = new (Tensor In, Tensor Slope)[layers]; var a = new Tensor[layers];
        for (int l = 0; l < layers; l++) { parts[l].In = l == 0 ? k : a[l - 1].Silu(); a[l] = parts[l].In.MatMulT(w[l]); }
        var g = loss(a[^1]);
        for (int l = layers - 1; l >= 0; l--)
        {
            parts[l].Slope = g;
            if (l == 0) break;
            // silu′ = s + a s (1 − s) with s = σ(a)
            var s = a[l - 1].Sigmoid(); g = g.MatMul(w[l]) * (s + a[l - 1] * s * (1 - s));
        }
        return parts;
    }
}

/// <summary>M(x) = x + LN(W₁ gelu(W₂ x)) with a width of expand · D (miras, §5); the norm has no affine part and 0.01 under its root, so that a memory that has faded is not blown up; values are as long as keys.</summary>
public sealed class ResidualMemory(int expand) : MemoryNet
{
    const Real Eps = (Real)1e-2, C = (Real)1.5957691216057308, Cubic = (Real)0.044715;
    readonly int expand = expand >= 1 ? expand : throw new ArgumentOutOfRangeException(nameof(expand), expand, "must be at least 1");

    public override (int Out, int In)[] Sizes(int d, int e) => d == e ? [(expand * d, d), (d, expand * d)] : throw new ShapeException($"a residual memory needs values as long as keys; they are {e} and {d}");
    public override Tensor Read(Tensor x, Func<int, Tensor, Tensor> apply) => x + apply(1, apply(0, x).Gelu()).LayerNorm(null, null, Eps);

    public override (Tensor In, Tensor Slope)[] Slopes(Tensor k, Tensor[] w, Func<Tensor, Tensor> loss)
    {
        Tensor a = k.MatMulT(w[0]), h = a.Gelu(), z = h.MatMulT(w[1]), centred = z - z.Mean(-1), deviation = (centred.Square().Mean(-1) + Eps).Sqrt(), y = centred / deviation;
        var g = loss(k + y);
        // Back through LN: (g − mean g − y mean(g y))/deviation.
        g = (g - g.Mean(-1) - y * (g * y).Mean(-1)) / deviation;
        // gelu′ = s + a u′ s (1 − s) with s = σ(u), u = C (a + 0.044715 a³)
        Tensor square = a.Square(), s = (a * (square * (C * Cubic) + C)).Sigmoid(), slope = s + a * (square * (3 * C * Cubic) + C) * s * (1 - s);
        return [(k, g.MatMul(w[1]) * slope), (h, g)];
    }
}

/// <summary>
/// Another net whose steps are bounded: where a token would move a matrix by more than limit in Frobenius norm, ‖slope‖ ‖in‖, it moves it by limit. Descent on a net of several layers at frozen weights can diverge
/// exponentially; with bounded steps no text makes weights grow faster than linearly.
/// </summary>
public sealed class BoundedSteps(MemoryNet net, double limit) : MemoryNet
{
    public override (int Out, int In)[] Sizes(int d, int e) => net.Sizes(d, e);
    public override Tensor Read(Tensor x, Func<int, Tensor, Tensor> apply) => net.Read(x, apply);
    public override (Tensor In, Tensor Slope)[] Slopes(Tensor k, Tensor[] w, Func<Tensor, Tensor> loss) =>
        [.. net.Slopes(k, w, loss).Select(p => (p.In, p.Slope * InnerLoss.AtMostOne(((p.Slope.Square().Sum(-1) * p.In.Square().Sum(-1) + (Real)1e-12).Log() * (Real)(-0.5)).Exp() * (Real)limit)))];
}

/// <summary>What a memory minimises at test time, its attentional bias (miras, §4).</summary>
public abstract class InnerLoss
{
    /// <summary>∂ℓ/∂e for errors e = M(k) − v [R,N,E]; limit [R,N,1] is the threshold of losses that have one.</summary>
    public abstract Tensor Slope(Tensor error, Tensor? limit);
    internal static Tensor AtMostOne(Tensor x) => 1 - (1 - x).Relu();
}

/// <summary>ℓ = ‖e‖²</summary>
public sealed class SquaredError : InnerLoss
{
    public override Tensor Slope(Tensor error, Tensor? limit) => error * 2;
}

/// <summary>Huber's loss of the error's length: ½‖e‖² up to δ, δ‖e‖ − ½δ² beyond, so that the step is never longer than δ (miras, § Yaad).</summary>
public sealed class HuberError : InnerLoss
{
    public override Tensor Slope(Tensor error, Tensor? limit) =>
        error * AtMostOne((limit ?? throw new ArgumentNullException(nameof(limit), "Huber's loss needs a threshold")) / (error.Square().Sum(-1) + (Real)1e-12).Sqrt());
}

/// <summary>ℓ = ‖e‖_p^p, smooth around 0: its slope is p tanh(10 e) √(e² + 1e-6)^(p−1) (miras, § Moneta).</summary>
public sealed class PowerError(double p) : InnerLoss
{
    readonly Real p = p >= 1 ? (Real)p : throw new ArgumentOutOfRangeException(nameof(p), p, "a norm has p at least 1");
    public override Tensor Slope(Tensor error, Tensor? limit) => (error * 10).Tanh() * ((error.Square() + (Real)1e-6).Log() * ((p - 1) / 2)).Exp() * p;
}

/// <summary>How weights follow from the sums A_t = α_t A_{t−1} − η_t ∇ℓ that a memory keeps (miras, §4, retention).</summary>
public abstract class Retention
{
    /// <summary>True if W = A.</summary>
    public virtual bool Identity => false;
    /// <summary>A [..., Out, In] → W</summary>
    public abstract Tensor Weights(Tensor a);
}

/// <summary>W = A: what is kept fades by α.</summary>
public sealed class Fading : Retention
{
    public override bool Identity => true;
    public override Tensor Weights(Tensor a) => a;
}

/// <summary>W = A/‖A‖_q^(q−2) over all entries (miras, § Moneta); with 1 added to the sum under the root, so that a memory that has faded is not blown up. Nothing for q = 2.</summary>
public sealed class NormRetention(double q) : Retention
{
    readonly Real q = q >= 2 ? (Real)q : throw new ArgumentOutOfRangeException(nameof(q), q, "must be at least 2");
    public override bool Identity => q == 2;
    public override Tensor Weights(Tensor a)
    {
        if (Identity) return a;
        // |a|^q = (a²)^(q/2); ‖A‖^(q−2) = (Σ|a|^q)^((q−2)/q)
        var power = q == 4 ? a.Square().Square() : ((a.Square() + (Real)1e-12).Log() * (q / 2)).Exp();
        return a * ((power.Sum(-1).Sum(-2) + 1).Log() * (-(q - 2) / q)).Exp();
    }
}

/// <summary>
/// W = softmax(A) per row: the step that stays nearest to the last weights in KL divergence. As a softmax does not see a shift of its row, A = α log W − η∇ℓ is again a plain sum, and W
/// is positive with rows of sum 1 whatever happens to it (miras, § Memora).
/// </summary>
public sealed class SoftmaxRetention : Retention
{
    public override Tensor Weights(Tensor a) => a.Softmax();
}
