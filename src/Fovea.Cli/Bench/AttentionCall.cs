using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>One attention call of a benchmark: 8 heads of n queries and n keys, its inputs, outputs and gradients.</summary>
sealed class AttentionCall
{
    const int Heads = 8;
    readonly AttentionSize s; readonly Real[] q, k, v, o, lse, grad, dq, dk, dv; bool ready;

    public AttentionCall(int length, int dim)
    {
        s = new(1, Heads, Heads, length, length, dim, dim); int all = Heads * length * dim;
        // Different stretches of one array, so that no query meets itself as key.
        var drawn = new Real[4 * all]; new Rng(1).Normal(drawn);
        (q, k, v, grad) = (drawn[..all], drawn[all..(2 * all)], drawn[(2 * all)..(3 * all)], drawn[(3 * all)..]);
        (o, lse, dq, dk, dv) = (new Real[all], new Real[Heads * length], new Real[all], new Real[all], new Real[all]);
    }

    public string Size => $"{s.Heads} heads, {s.Queries} tokens, {s.Dim}";
    /// <summary>Pairs of query and key of all heads if every query sees every key.</summary>
    public double Pairs => (double)s.Heads * s.Queries * s.Keys;
    public double CausalPairs => s.Heads * ((double)s.Queries * (s.Queries + 1) / 2);
    /// <summary>Operations per pair: two products forward, five backward.</summary>
    public double ForwardFlops => 4.0 * s.Dim;
    public double BackwardFlops => 10.0 * s.Dim;
    /// <summary>q, k, v and o; backward also reads the gradient of o and writes three more.</summary>
    public double ForwardBytes => 4.0 * q.Length * sizeof(Real);
    public double BackwardBytes => 2 * ForwardBytes;

    public void Forward<TPattern>(TPattern pattern) where TPattern : struct, IPattern => Forward<Plain, TPattern, SoftmaxWeights>(default, pattern);
    public void Forward<TScore, TPattern, TWeights>(TScore score, TPattern pattern, BlockList? blocks = null) where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
        => Flash.Forward<TScore, TPattern, TWeights>(s, q, k, v, 0, default, score, pattern, blocks, o, lse);

    public void Backward<TPattern>(TPattern pattern) where TPattern : struct, IPattern => Backward<Plain, TPattern, SoftmaxWeights>(default, pattern);
    /// <summary>The first call runs forward too: backward needs its results.</summary>
    public void Backward<TScore, TPattern, TWeights>(TScore score, TPattern pattern, BlockList? blocks = null) where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
    {
        if (!ready) { Forward<TScore, TPattern, TWeights>(score, pattern, blocks); ready = true; }
        Flash.Backward<TScore, TPattern, TWeights>(s, q, k, v, 0, default, score, pattern, blocks, o, lse, default, grad, dq, dk, dv);
    }
    public void Rows<TPattern, TWeights>(TPattern pattern, TWeights weights) where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser
        => RowFlash.Forward(s, q, k, v, 0, default, pattern, weights, o);
    public void RowsBackward<TPattern, TWeights>(TPattern pattern, TWeights weights) where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser
        => RowFlash.Backward(s, q, k, v, 0, default, pattern, weights, grad, dq, dk, dv);
    /// <summary>Says that o and lse no longer belong to what backward will be asked for.</summary>
    public void Forget() => ready = false;
}
