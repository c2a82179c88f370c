using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Attention whose heads are chosen per token: a gate [B,H,N,1] on each head's output, and rows whose gate is closed are not computed.</summary>
public abstract class ChosenHeads(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    /// <summary>Gates [B,H,N,1] of the queries, and which of them are open [B·H·N].</summary>
    protected abstract (Tensor Gates, bool[] Open) Choose(Heads h, Pass pass);

    protected override Tensor Attend(Heads h, Pass pass)
    {
        var (gates, open) = Choose(h, pass);
        (h, var kv) = Remember(h, () => new GrowingKv(), pass);
        bool causal = h.Self && Config.Causal; int? keys = kv?.Count; int[]? positions = kv?.Positions.ToArray();
        Tensor o;
        if (pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern))
        {
            var call = new Softmax.Call(null, causal ? h.Start : 0, positions, keys);
            o = causal ? Softmax.Plain<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), call, pass) : Softmax.Plain<Plain, Everything, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), call, pass);
        }
        else o = ActiveRows.Attend(h.Q, h.K, h.V, open, causal, h.Start, keys, positions);
        kv?.Attended(h.Q);
        kv?.Settle();
        return o * pass.At(Part.Gate, gates);
    }

    /// <summary>The k largest of each row of r [B,N,R] as ones among zeros, not differentiated.</summary>
    protected static Tensor Top(Tensor r, int k)
    {
        int cols = r.Shape[-1], rows = r.Shape.Size / cols; var mask = Tensor.Zeros(r.Shape);
        var values = new Real[rows * k]; var indices = new int[rows * k];
        Select.TopK(r.Span, rows, cols, k, values, indices);
        for (int i = 0; i < indices.Length; i++) mask.Span[i / k * cols + indices[i]] = 1;
        return mask;
    }

    /// <summary>From shared gates [B,N,S] and routed ones [B,N,R] with their mask to gates per head; shared heads come first and are always open.</summary>
    protected static (Tensor, bool[]) Joined(Tensor shared, Tensor routed, Tensor mask)
    {
        var gates = Tensor.Concat(-1, shared, routed); var (b, n, h) = gates.Shape; int s = shared.Shape[2]; var open = new bool[b * h * n];
        for (int i = 0; i < open.Length; i++) { int head = i / n % h; open[i] = head < s || mask.Span[(i / n / h * n + i % n) * (h - s) + head - s] != 0; }
        return (gates.Permute(0, 2, 1).Reshape([b, h, n, 1]), open);
    }
}

/// <summary>
/// Mixture of heads (Eq. 5–8): Σ_h g_h·H_h W_O^h. The first heads are shared and always on; of the others each token takes the top K of r = softmax(W_r x). Gates are
/// 2α₁·S·softmax(W_s x) for the S shared heads (1 in place of the softmax if S = 1) and 2α₂·K·r_h/Σ r for the chosen ones, with [α₁, α₂] = softmax(W_h x), so that they average 1.
/// While training, the load-balance loss β·R·Σ_h f_h P_h (Eq. 9) is added to the pass, once per layer. Heads that no query chose read no keys, but their keys are kept: later tokens may choose them.
/// </summary>
[From("moh", "Eq. 5–9")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class MohAttention : ChosenHeads
{
    readonly int shared, routed, top; readonly Real beta; readonly Linear? sharedRouter, router, mix;

    /// <param name="shared">Heads that are always on; three eighths of all if null, at least 1.</param>
    /// <param name="top">Heads that each token chooses of the others; so many that three quarters of all are on if null, at least 1.</param>
    /// <param name="balance">Weight β of the load-balance loss; 0.01 if null.</param>
    public MohAttention(AttentionConfig c, Weights w, int? shared = null, int? top = null, double? balance = null) : base(c, w)
    {
        this.shared = shared ?? Math.Max(1, 3 * c.Heads / 8); routed = c.Heads - this.shared; beta = (Real)(balance ?? 0.01);
        this.top = top ?? Math.Clamp((3 * c.Heads + 3) / 4 - this.shared, Math.Min(1, routed), routed);
        if (this.shared < 1 || routed < 0 || this.top < 0 || this.top > routed) throw new ArgumentException($"{this.shared} shared and {this.top} of {routed} routed heads do not make {c.Heads} heads");
        if (this.shared > 1) sharedRouter = new(w["shared_router"], c.Dim, this.shared);
        if (routed > 0) { router = new(w["router"], c.Dim, routed); mix = new(w["mix"], c.Dim, 2); }
    }

    protected override (Tensor, bool[]) Choose(Heads h, Pass pass)
    {
        var (b, n, _) = h.X.Shape;
        var s = sharedRouter is null ? Tensor.Full([b, n, 1], 1) : sharedRouter.Forward(h.X).Softmax() * shared;
        if (router is null || mix is null) return Joined(s, Tensor.Zeros([b, n, 0]), Tensor.Zeros([b, n, 0]));
        var r = router.Forward(h.X).Softmax(); var mask = Top(r, top); var alpha = mix.Forward(h.X).Softmax() * 2;
        if (pass.Training && beta != 0) pass.Penalise((mask.Reshape([b * n, routed]).Mean(0).Detach() * r.Reshape([b * n, routed]).Mean(0)).Sum() * (beta * routed));
        var chosen = r * mask;
        return Joined(s * alpha.Slice(2, 0, 1), chosen / (chosen.Sum(-1) + Real.Epsilon) * alpha.Slice(2, 1, 2) * top, mask);
    }
}

/// <summary>
/// Mixture of heads made from a trained multi-head attention, whose weights it takes as they are (§3.3): the first half of the heads is shared, and of the others each token takes those with
/// the highest softmax over ‖q_h‖₂ / σ, σ the standard deviation over heads; gates are 0 or 1 and there is no router to learn.
/// </summary>
[From("moh", "§3.3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class MohTunedAttention : ChosenHeads
{
    readonly int shared, top; readonly bool straightThrough;

    /// <param name="shared">Heads that are always on; half of all if null.</param>
    /// <param name="top">Heads that each token chooses of the others; half of them if null.</param>
    /// <param name="straightThrough">True: the choice passes gradients to the queries as if the gate were its probability, as the paper trains it. Null is false: gradients of the function itself.</param>
    public MohTunedAttention(AttentionConfig c, Weights w, int? shared = null, int? top = null, bool? straightThrough = null) : base(c, w)
    {
        this.shared = shared ?? Math.Max(1, c.Heads / 2); this.top = top ?? (c.Heads - this.shared + 1) / 2; this.straightThrough = straightThrough ?? false;
        if (this.shared < 0 || this.top < 0 || this.shared + this.top > c.Heads) throw new ArgumentException($"{this.shared} shared and {this.top} chosen heads do not fit into {c.Heads} heads");
    }

    protected override (Tensor, bool[]) Choose(Heads h, Pass pass)
    {
        var (b, heads, n, _) = h.Q.Shape;
        if (shared == heads) return Joined(Tensor.Full([b, n, shared], 1), Tensor.Zeros([b, n, 0]), Tensor.Zeros([b, n, 0]));
        var norms = (h.Q.Square().Sum(-1) + (Real)1e-12).Sqrt().Reshape([b, heads, n]).Permute(0, 2, 1);
        var sigma = ((norms - norms.Mean(-1)).Square().Mean(-1) + (Real)1e-12).Sqrt();
        var r = (norms / sigma).Slice(2, shared, heads).Softmax(); var mask = Top(r, top);
        return Joined(Tensor.Full([b, n, shared], 1), straightThrough ? mask + (r - r.Detach()) : mask, mask);
    }
}
