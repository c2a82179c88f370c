using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// The long-term memory module of Titans: an MLP of <c>depth</c> matrices per head, taught by gradient descent on ‖M(k) − v‖² with momentum and forgetting, all steered by the token: 1 − α = σ(w_α x + 5), η = σ(w_η x) and
/// θ = rate (1 − η) σ(w_θ x). Scaled by 1 − η, momentum averages steps and does not add them up; with the default rate of 1/chunk, a chunk of equal keys moves a matrix memory to its target at most twice over, so descent at frozen
/// weights does not diverge. The paper leaves the range of θ open.
/// </summary>
sealed class SurpriseMemory : NeuralMemory
{
    readonly Linear keep, rate; readonly Linear? momentum; readonly Tensor keepBias; readonly Real largest; readonly bool forget;

    /// <param name="momentum">False: no momentum, S_t = −θ_t ∇ℓ.</param>
    /// <param name="forget">False: α = 0.</param>
    public SurpriseMemory(AttentionConfig c, Weights w, int depth = 2, int width = 2, int chunk = 16, double? rate = null, bool momentum = true, bool forget = true)
        : base(c, w, new BoundedSteps(new DeepMemory(depth, width), 1), new SquaredError(), new Fading(), chunk, momentum)
    {
        keep = new(w["keep"], c.Dim, c.Heads); keepBias = w.Get("keep_bias", [c.Heads], t => t.Span.Fill(5)); this.rate = new(w["rate"], c.Dim, c.Heads, bias: true);
        this.momentum = momentum ? new(w["momentum"], c.Dim, c.Heads, bias: true) : null; largest = (Real)(rate ?? 1.0 / chunk); this.forget = forget;
    }

    protected override Tensor Activate(Tensor x) => x.Silu();
    protected override MemoryGates Gates(Tensor x, Pass pass)
    {
        var theta = rate.Forward(x).Sigmoid() * largest; var eta = momentum?.Forward(x);
        // 1 − σ(x) = σ(−x)
        if (eta is not null) theta *= (-eta).Sigmoid();
        var log = LogSigmoid(keep.Forward(x) + keepBias); if (!forget) log *= 0;
        var row = PerRow(theta);
        return new(PerRow(log), eta is null ? null : PerRow(LogSigmoid(eta)), row.Reshape([row.Shape[0], row.Shape[1], 1]));
    }
}

/// <summary>A Titans layer: <c>persistent</c> learned tokens stand before the sequence (titans, §3.3), then the tokens are mixed; what becomes of the learned ones is dropped.</summary>
public abstract class TitansAttention : Attention
{
    protected readonly AttentionConfig Config; readonly Tensor? persistent;

    protected TitansAttention(AttentionConfig c, Weights w, int persistent)
    {
        if (!c.Causal) throw new ArgumentException("a memory looks back only; it needs Causal = true");
        if (persistent < 0) throw new ArgumentOutOfRangeException(nameof(persistent), persistent, "must not be negative");
        Config = c.Checked(); this.persistent = persistent > 0 ? w.Get("persistent", [persistent, c.Dim], t => w.Rng["persistent"].Normal(t.Span)) : null;
    }

    public sealed override Tensor Forward(Tensor x, Tensor context, Pass pass)
    {
        Check.Shape(x, [-1, -1, Config.Dim]);
        if (!ReferenceEquals(x, context)) throw new ArgumentException("a memory learns from its own input; a context cannot be read");
        int n = x.Shape[1], before = pass.Memory?.Start(this) == 0 || pass.Memory is null ? persistent?.Shape[0] ?? 0 : 0;
        var y = Mix(before > 0 ? Tensor.Concat(1, persistent!.Reshape([1, before, Config.Dim]).Expand([x.Shape[0], before, Config.Dim]), x) : x, pass);
        pass.Memory?.Advance(this, n);
        return pass.At(Part.AttnOut, y.Rows(before, before + n));
    }

    /// <summary>x [B,N,C], at first with the persistent tokens before it → [B,N,C].</summary>
    protected abstract Tensor Mix(Tensor x, Pass pass);
}

/// <summary>How the outputs of attention and memory gate each other: (γ norm(a) + β) ∘ (γ′ norm(m) + β′), each RMS-normalised with learned weights that all start at ½, so that the product holds the sum of both as well (titans, §4.2).</summary>
sealed class MutualGate(Weights w, int dim)
{
    readonly Tensor a = w.Get("attention", [dim], Start), aShift = w.Get("attention_shift", [dim], Start), m = w.Get("memory", [dim], Start), mShift = w.Get("memory_shift", [dim], Start);
    static void Start(Tensor t) => t.Span.Fill((Real)0.5);
    public Tensor Forward(Tensor attention, Tensor memory) => (attention.RmsNorm(a, (Real)1e-6) + aShift) * (memory.RmsNorm(m, (Real)1e-6) + mShift);
}

/// <summary>Titans with the memory module alone (LMM): y = M_t(q_t) (titans, §3).</summary>
[From("titans", "§3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class LmmAttention(AttentionConfig c, Weights w, int depth = 2, int width = 2, int chunk = 16, int persistent = 4, double? rate = null) : TitansAttention(c, w, persistent)
{
    readonly SurpriseMemory memory = new(c, w["memory"], depth, width, chunk, rate);
    protected override Tensor Mix(Tensor x, Pass pass) => memory.Forward(x, pass);
}

/// <summary>Memory as a gate (MAG): sliding-window attention over [persistent; x], where all see the persistent tokens, beside the memory of the same; the outputs gate each other (titans, §4.2).</summary>
[From("titans", "§4.2")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class MagAttention(AttentionConfig c, Weights w, int window = 32, int depth = 2, int width = 2, int chunk = 16, int persistent = 4, double? rate = null, bool momentum = true, bool forget = true) : TitansAttention(c, w, persistent)
{
    readonly SinkWindowAttention attention = new(c, w["attention"], persistent, window); readonly SurpriseMemory memory = new(c, w["memory"], depth, width, chunk, rate, momentum, forget); readonly MutualGate gate = new(w["gate"], c.Dim);
    protected override Tensor Mix(Tensor x, Pass pass) => gate.Forward(attention.Forward(x, pass), memory.Forward(x, pass));
}

/// <summary>Memory as a layer (MAL): sliding-window attention over what the memory makes of [persistent; x] (titans, §4.3).</summary>
[From("titans", "§4.3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class MalAttention(AttentionConfig c, Weights w, int window = 32, int depth = 2, int width = 2, int chunk = 16, int persistent = 4, double? rate = null) : TitansAttention(c, w, persistent)
{
    readonly SurpriseMemory memory = new(c, w["memory"], depth, width, chunk, rate); readonly SinkWindowAttention attention = new(c, w["attention"], persistent, window);
    protected override Tensor Mix(Tensor x, Pass pass) => attention.Forward(memory.Forward(x, pass), pass);
}
