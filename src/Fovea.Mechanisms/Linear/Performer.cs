using System.Numerics.Tensors;
namespace Fovea.Mechanisms;

/// <summary>
/// Softmax's kernel estimated by positive random features (FAVOR+, Lemma 1): see <see cref="Favor"/>. Weights are products of these features.
/// </summary>
[From("2009.14794", "Lemma 1")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class PerformerAttention(AttentionConfig c, Weights w, int features = 64) : FeatureMapAttention(c, w)
{
    readonly Favor favor = new(features, c.HeadDim);
    protected override Real Epsilon => Favor.Epsilon;
    public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => favor.Features(q, k);
}

/// <summary>
/// φ(x)_i = exp(ω_i·x − |x|²/2)/√m with x scaled by D^−¼, so that E[φ(q)·φ(k)] = exp(q·k/√D). The m vectors ω are orthogonal in groups of D, with lengths of their own (§2.3). They are drawn once, the same for all layers and heads, from
/// a key of their own and not from the weights', so that a saved model finds them again; the paper draws anew now and then while training. A factor common to all features of a query, or to all keys, falls out of the
/// quotient and keeps the numbers small.
/// </summary>
[From("2009.14794", "Lemma 1")]
public sealed class Favor
{
    readonly Tensor omega; readonly Real keyBound;
    /// <summary>What is added to the sum that divides.</summary>
    public const Real Epsilon = (Real)1e-12;

    public Favor(int features, int dim)
    {
        omega = Draw(features, dim);
        // ω·x − |x|²/2 is at most |ω|²/2, which matters where exp of it overflows.
        keyBound = Math.Max(0, LargestSquare(omega, dim) / 2 - 40);
    }

    /// <summary>q [B,H,N,D], k [B,G,M,D] → their features [·,·,·,m].</summary>
    public (Tensor Q, Tensor K) Features(Tensor q, Tensor k)
    {
        var (lq, lk) = (Log(q), Log(k));
        // The largest entry of each query; for the keys a bound that no key decides, or the future would be seen in the last bit.
        var most = Tensor.Empty(lq.Shape.With(-1, 1)); int m = lq.Shape[-1];
        for (int r = 0; r < most.Shape.Size; r++) most.Span[r] = TensorPrimitives.Max<Real>(lq.Span.Slice(r * m, m));
        return ((lq - most).Exp(), (lk - keyBound).Exp());
    }

    Tensor Log(Tensor x)
    {
        x *= 1 / Real.Sqrt(Real.Sqrt(x.Shape[3]));
        return x.MatMulT(omega) - x.Square().Sum(3) * (Real)0.5;
    }

    static Real LargestSquare(Tensor omega, int d)
    {
        Real most = 0;
        for (int i = 0; i < omega.Shape[0]; i++) most = Math.Max(most, TensorPrimitives.SumOfSquares<Real>(omega.Span.Slice(i * d, d)));
        return most;
    }

    /// <summary>ω [m,D]: normal vectors, made orthogonal in groups of D, each with the length that it had.</summary>
    static Tensor Draw(int m, int d)
    {
        if (m < 1) throw new ArgumentException($"features is {m}, expected at least 1");
        var omega = Tensor.Over(new Real[m * d], [m, d]); new Rng(0)["favor"].Normal(omega.Span);
        for (int i = 0; i < m; i++)
        {
            var row = omega.Span.Slice(i * d, d); Real length = TensorPrimitives.Norm<Real>(row);
            for (int j = i / d * d; j < i; j++)
            {
                var other = omega.Span.Slice(j * d, d);
                Real share = TensorPrimitives.Dot<Real>(row, other) / TensorPrimitives.SumOfSquares<Real>(other);
                TensorPrimitives.MultiplyAdd(other, -share, row, row);
            }
            TensorPrimitives.Multiply(row, length / TensorPrimitives.Norm<Real>(row), row);
        }
        return omega;
    }
}
