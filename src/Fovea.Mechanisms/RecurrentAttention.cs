using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The fixed-size memory of a recurrent mechanism: one matrix [D,E] per batch row and head.</summary>
public sealed class RecurrentState(int size) : LayerState
{
    public Real[] S { get; } = new Real[size];
    public override long Bytes => (long)S.Length * sizeof(Real);
}

/// <summary>Attention whose past is one matrix per head, changed by a step of its own; a mechanism gives the step and its gate. Computed in chunks where the step has such a form, step by step for the reference. Keys are repeated for grouped heads.</summary>
public abstract class RecurrentAttention<TStep>(AttentionConfig c, Weights w, TStep step, int? queryDim = null) : HeadAttention(c, w, queryDim) where TStep : struct, IRecurrence
{
    /// <summary>The step's gate [B,H,N,A] from the layer's input x [B,N,C].</summary>
    protected abstract Tensor Gate(Tensor x);

    protected override Tensor Attend(Heads h, Pass pass)
    {
        var q = h.Q; var k = PerHead(h.K); var v = PerHead(h.V); var gate = pass.At(Part.Gate, Gate(h.X));
        var (b, heads, n, d) = q.Shape; int e = v.Shape[3];
        Check.Shape(gate, [b, heads, n, -1]);
        var size = new ScanSize(b * heads, n, d, e, gate.Shape[3]);
        var state = Recurrence.State(this, pass, size);
        bool plain = pass.Reference; var o = Tensor.Empty([b, heads, n, e]); var checkpoints = Tensor.Empty([checked((int)(plain ? Scan.Checkpoints(size) : Recur.Checkpoints<TStep>(size)))]);
        if (plain) Scan.Forward(size, q.Span, k.Span, v.Span, gate.Span, step, state, o.Span, checkpoints.Span);
        else Recur.Forward(size, q.Span, k.Span, v.Span, gate.Span, step, state, o.Span, checkpoints.Span);
        return Tensor.Record(o, [q, k, v, gate], o =>
        {
            var dState = Tensor.Zeros([b * heads, d, e]).Span;
            if (plain) Scan.Backward(size, q.Span, k.Span, v.Span, gate.Span, step, checkpoints.Span, o.Grad, dState, q.Grad, k.Grad, v.Grad, gate.Grad);
            else Recur.Backward(size, q.Span, k.Span, v.Span, gate.Span, step, checkpoints.Span, o.Grad, dState, q.Grad, k.Grad, v.Grad, gate.Grad);
        });
    }
}

/// <summary>Linear attention with or without decay, S_t = a_t S_{t−1} + k_tᵀ v_t and o_t = q_t S_t: fused in chunks, and plain.</summary>
public static class Recurrence
{
    /// <summary>The state of a layer, zero at first; a fresh one if the pass has no memory.</summary>
    internal static Span<Real> State(object layer, Pass pass, in ScanSize size)
    {
        int numbers = checked(size.Rows * size.State);
        var s = pass.Memory?.Get(layer, () => new RecurrentState(numbers)).S ?? Tensor.Zeros([numbers]).Span;
        if (s.Length != numbers) throw new ShapeException($"the memory of this layer holds {s.Length} numbers, this call needs {numbers}; did the batch size change?");
        return s;
    }

    /// <summary>
    /// q, k [B,H,N,D], v [B,H,N,E] → o [B,H,N,E]. logDecay is ln a: [B,H,N] per token, [H] per head, or null for 1. Not normalised.
    /// </summary>
    public static Tensor Attend(object layer, Tensor q, Tensor k, Tensor v, Tensor? logDecay, Pass pass)
    {
        var (b, h, n, d) = q.Shape; int e = v.Shape[3];
        Check.Shape(k, [b, h, n, d]); Check.Shape(v, [b, h, n, e]);
        if (logDecay is { Shape.Rank: 1 }) logDecay = logDecay.Reshape([1, h, 1]).Expand([b, h, n]);
        if (logDecay is not null) Check.Shape(logDecay, [b, h, n]);
        if (pass.Reference && pass.Memory is null) return Plain(q, k, v, logDecay);
        var size = new ScanSize(b * h, n, d, e, 0);
        var state = State(layer, pass, size);
        // Backward can rebuild the states itself if nothing came before and the decay asks for no gradient.
        bool learned = logDecay is { RequiresGrad: true }, keep = learned || pass.Memory is not null;
        var o = Tensor.Empty([b, h, n, e]); var checkpoints = keep ? Tensor.Empty([b * h, size.Chunks, d, e]) : Tensor.Empty([0]);
        LinearScan.Forward(size, q.Span, k.Span, v.Span, logDecay is null ? default : logDecay.Span, state, o.Span, checkpoints.Span);
        return Tensor.Record(o, logDecay is null ? [q, k, v] : [q, k, v, logDecay], o =>
            LinearScan.Backward(size, q.Span, k.Span, v.Span, logDecay is null ? default : logDecay.Span, checkpoints.Span, o.Grad, Tensor.Zeros([b * h, d, e]).Span,
                q.Grad, k.Grad, v.Grad, learned ? logDecay!.Grad : default));
    }

    /// <summary>
    /// As above, divided by the same sum with v = 1: o_t = q_t S_t / (q_t z_t + ε), z_t = a_t z_{t−1} + k_t. The sum is carried as one more column of v, so the state is [D,E+1].
    /// For features that are not negative.
    /// </summary>
    public static Tensor Normalised(object layer, Tensor q, Tensor k, Tensor v, Tensor? logDecay, Pass pass, Real eps)
    {
        var (b, h, n, e) = v.Shape;
        var y = Attend(layer, q, k, Tensor.Concat(-1, v, Tensor.Full([b, h, n, 1], 1)), logDecay, pass);
        return y.Slice(-1, 0, e) / (y.Slice(-1, e, e + 1) + eps);
    }

    /// <summary>Without causality: every token reads the sum over all, o_t = q_t Σ kᵀv, normalised the same way.</summary>
    public static Tensor Bidirectional(Tensor q, Tensor k, Tensor v, Real eps)
    {
        var (b, h, m, e) = v.Shape;
        var y = q.MatMul(k.Transpose().MatMul(Tensor.Concat(-1, v, Tensor.Full([b, h, m, 1], 1))));
        return y.Slice(-1, 0, e) / (y.Slice(-1, e, e + 1) + eps);
    }

    // The quadratic form: o = (QKᵀ ∘ M) V with M_ts = exp(Σ_{s<u≤t} ln a_u) for s ≤ t.
    static Tensor Plain(Tensor q, Tensor k, Tensor v, Tensor? logDecay)
    {
        var (b, h, n, _) = q.Shape;
        var mask = Tensor.Full([n, n], Real.NegativeInfinity);
        for (int i = 0; i < n; i++) mask.Span.Slice(i * n, i + 1).Clear();
        Tensor weights;
        if (logDecay is null) weights = q.MatMulT(k) * mask.Exp();
        else
        {
            var sum = logDecay.CumSum();
            weights = q.MatMulT(k) * (sum.Reshape([b, h, n, 1]).Expand([b, h, n, n]) - sum.Reshape([b, h, 1, n]).Expand([b, h, n, n]) + mask).Exp();
        }
        return weights.MatMul(v);
    }
}
