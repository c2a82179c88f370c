using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Attention with a score, a pattern and a normaliser, each a struct. Fused unless someone wants to see the scores. A mechanism gives the three,
/// and overrides StartKv if later tokens cannot see all of the past.
/// </summary>
public abstract class SoftmaxAttention<TScore, TPattern, TWeights>(AttentionConfig c, Weights w, TScore score, TPattern pattern) : HeadAttention(c, w)
    where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
{
    // A pattern of its own says what the past is; what both directions or a context would mean for it is another mechanism.
    readonly TPattern pattern = c.Causal || typeof(TPattern) == typeof(Causal) ? pattern : throw new ArgumentException($"{typeof(TPattern).Name} looks back only; it needs Causal = true");

    /// <summary>What q·k is multiplied with; 1/√D if null.</summary>
    protected virtual Real? Scale => null;
    /// <summary>The score of this call; a score with parameters makes one per call, for the rows of this batch.</summary>
    protected virtual TScore Score(int batch) => score;
    /// <summary>The state that keys and values of the past are kept in while decoding.</summary>
    protected virtual KvState StartKv() => new GrowingKv();

    protected override Tensor Attend(Heads h, Pass pass)
    {
        (h, var kv) = Remember(h, StartKv, pass);
        // A context of its own, and a layer that looks both ways, have no past and no future.
        if (!h.Self || !Config.Causal) return Run(h.Q, h.K, h.V, new(Scale), new Everything(), pass);
        if (kv is null) return Run(h.Q, h.K, h.V, new(Scale), pattern, pass);
        var o = Run(h.Q, h.K, h.V, new(Scale, h.Start, kv.Positions.ToArray(), kv.Count), pattern, pass);
        kv.Attended(h.Q);
        kv.Settle();
        return o;
    }

    Tensor Run<T>(Tensor q, Tensor k, Tensor v, Softmax.Call call, T pattern, Pass pass) where T : struct, IPattern =>
        pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern)
            ? Softmax.Plain<TScore, T, TWeights>(q, k, v, Score(q.Shape[0]), pattern, call, pass)
            : Softmax.Fused<TScore, T, TWeights>(q, k, v, Score(q.Shape[0]), pattern, call);
}

/// <summary>Softmax with a score and a pattern.</summary>
public abstract class SoftmaxAttention<TScore, TPattern>(AttentionConfig c, Weights w, TScore score, TPattern pattern) : SoftmaxAttention<TScore, TPattern, SoftmaxWeights>(c, w, score, pattern)
    where TScore : struct, IScore where TPattern : struct, IPattern;

/// <summary>Softmax with a score, over everything that the configuration lets a token see.</summary>
public abstract class SoftmaxAttention<TScore>(AttentionConfig c, Weights w, TScore score) : SoftmaxAttention<TScore, Causal>(c, w, score, new()) where TScore : struct, IScore;
