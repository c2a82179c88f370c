namespace Fovea.Mechanisms;

/// <summary>
/// A layer of the Miras family: a memory structure, an inner loss and a retention rule, steered by the token through maps of rank 32: α = σ(·) per head, η = rate · σ(·) per channel of the error, δ = 2√D softplus(·) per head for losses with a
/// threshold, √D being the length of a value (miras, §5). Around it causal convolutions of 4 tokens, q and k of length 1, RMS norm per head and a sigmoid gate. The paper has α per channel too; here it is one number per head and token, so that what a chunk
/// does stays a product of matrices.
/// </summary>
public abstract class MirasAttention : NeuralMemory
{
    const int Rank = 32;
    readonly Linear keepDown, keepUp, rateDown, rateUp; readonly Linear? limitDown, limitUp; readonly Tensor keepBias; readonly Real largest;

    /// <param name="chunk">Tokens per chunk; 1 is the exact recurrence.</param>
    /// <param name="rate">Upper end of η.</param>
    /// <param name="bound">The furthest that a token may move a matrix; see <see cref="BoundedSteps"/>.</param>
    protected MirasAttention(AttentionConfig c, Weights w, MemoryNet net, InnerLoss loss, Retention retention, int chunk, double rate, double bound = 1) : base(c, w, new BoundedSteps(net, bound), loss, retention, chunk, momentum: false)
    {
        keepDown = new(w["keep"]["down"], c.Dim, Rank); keepUp = new(w["keep"]["up"], Rank, c.Heads); keepBias = w.Get("keep_bias", [c.Heads], t => t.Span.Fill(5));
        rateDown = new(w["rate"]["down"], c.Dim, Rank); rateUp = new(w["rate"]["up"], Rank, c.Dim, bias: true); largest = (Real)rate;
        if (loss is HuberError) { limitDown = new(w["limit"]["down"], c.Dim, Rank); limitUp = new(w["limit"]["up"], Rank, c.Heads, bias: true); }
    }

    protected override MemoryGates Gates(Tensor x, Pass pass)
    {
        var (b, n, _) = x.Shape; int rows = b * Config.Heads;
        var rate = (rateUp.Forward(rateDown.Forward(x)).Sigmoid() * largest).SplitHeads(Config.Heads).Reshape([rows, n, Config.HeadDim]);
        var limit = limitUp is null ? null : PerRow(limitUp.Forward(limitDown!.Forward(x)).Softplus() * (2 * Real.Sqrt(Config.HeadDim))).Reshape([rows, n, 1]);
        return new(PerRow(LogSigmoid(keepUp.Forward(keepDown.Forward(x)) + keepBias)), null, rate, limit);
    }
}

/// <summary>Moneta: ‖M(k) − v‖_p^p and weights A/‖A‖_q^(q−2), p = 3 and q = 4, on a residual MLP (miras, § Moneta).</summary>
[From("miras", "§ Moneta")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class MonetaAttention(AttentionConfig c, Weights w, double p = 3, double q = 4, int expand = 4, int chunk = 16, double rate = 0.003) : MirasAttention(c, w, new ResidualMemory(expand), new PowerError(p), new NormRetention(q), chunk, rate);

/// <summary>Yaad: Huber's loss with a threshold per token, fading weights, on a residual MLP (miras, § Yaad).</summary>
[From("miras", "§ Yaad")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class YaadAttention(AttentionConfig c, Weights w, int expand = 4, int chunk = 16, double rate = 0.03) : MirasAttention(c, w, new ResidualMemory(expand), new HuberError(), new Fading(), chunk, rate);

/// <summary>Memora: squared error and weights that are softmax rows, on a residual MLP (miras, § Memora). The softmax is taken at every token, also inside a chunk, where the paper is linear after the first.</summary>
[From("miras", "§ Memora")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class MemoraAttention(AttentionConfig c, Weights w, int expand = 4, int chunk = 16, double rate = 0.5) : MirasAttention(c, w, new ResidualMemory(expand), new SquaredError(), new SoftmaxRetention(), chunk, rate);

/// <summary>Moneta's rules on one matrix per head.</summary>
[From("miras", "§ Moneta")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class MonetaMatrixAttention(AttentionConfig c, Weights w, double p = 3, double q = 4, int chunk = 16, double rate = 0.25) : MirasAttention(c, w, new DeepMemory(1, 1), new PowerError(p), new NormRetention(q), chunk, rate);

/// <summary>Yaad's rules on one matrix per head: a delta rule whose steps outliers cannot stretch.</summary>
[From("miras", "§ Yaad")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class YaadMatrixAttention(AttentionConfig c, Weights w, int chunk = 16, double rate = 0.5) : MirasAttention(c, w, new DeepMemory(1, 1), new HuberError(), new Fading(), chunk, rate);

/// <summary>Memora's rules on one matrix per head.</summary>
[From("miras", "§ Memora")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class MemoraMatrixAttention(AttentionConfig c, Weights w, int chunk = 16, double rate = 2) : MirasAttention(c, w, new DeepMemory(1, 1), new SquaredError(), new SoftmaxRetention(), chunk, rate, 16);
