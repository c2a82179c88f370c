using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Tensors of fixed shapes that a layer keeps while decoding, copied out of the scope that made them.</summary>
public sealed class HeldTensors : LayerState
{
    // What is held may be part of what is to be held next, so that is written beside it.
    Real[][] data = [], spare = []; Shape[] shapes = [];
    /// <summary>Tokens behind them.</summary>
    public int Position { get; private set; }
    public Tensor[] Tensors => [.. data.Select((x, i) => Tensor.Over(x, shapes[i]))];
    public override long Bytes => data.Sum(x => (long)x.Length * sizeof(Real));
    /// <summary>Overwrites what is held. Throws if shapes change: the batch size of a memory is that of its first call.</summary>
    public void Hold(ReadOnlySpan<Tensor> tensors, int position)
    {
        if (data.Length == 0) (data, spare, shapes) = ([.. tensors.ToArray().Select(t => new Real[t.Shape.Size])], [.. tensors.ToArray().Select(t => new Real[t.Shape.Size])], [.. tensors.ToArray().Select(t => t.Shape)]);
        for (int i = 0; i < data.Length; i++) { if (tensors[i].Shape != shapes[i]) throw new ShapeException($"the memory of this layer holds {shapes[i]}, this call needs {tensors[i].Shape}; did the batch size change?"); }
        for (int i = 0; i < data.Length; i++) tensors[i].Span.CopyTo(spare[i]);
        (data, spare) = (spare, data);
        Position = position;
    }
}

/// <summary>The state of a <see cref="NeuralMemory"/>: its memory, and the past of the convolutions of q, k and v.</summary>
public sealed record NeuralState(MemoryState Memory, Tensor[] Conv)
{
    internal Tensor[] All => [.. Memory.Weights, .. Memory.Sum, .. Memory.Surprise, .. Conv];
    internal static NeuralState From(ReadOnlySpan<Tensor> all, int matrices, bool momentum, int position)
    {
        int end = (momentum ? 3 : 2) * matrices;
        return new(new([.. all[..matrices]], [.. all[matrices..(2 * matrices)]], [.. all[(2 * matrices)..end]], position), [.. all[end..]]);
    }
}

/// <summary>
/// A layer around a <see cref="TestTimeMemory"/>, one memory per head: q, k, v from x by linear layers and causal depthwise convolutions, q and k of length 1, v of mean square 1 so that no input can make the inner descent
/// diverge, the memory with learned first sums, RMS norm per head, a sigmoid gate and an output layer. The state is constant. What the gates of the memory are is the mechanism's business.
/// </summary>
public abstract class NeuralMemory : Attention
{
    protected readonly AttentionConfig Config; protected readonly int Chunk;
    readonly TestTimeMemory memory; readonly Linear q, k, v, o, gate; readonly Tensor qTaps, kTaps, vTaps; readonly Tensor[] first; readonly bool momentum;

    protected NeuralMemory(AttentionConfig c, Weights w, MemoryNet net, InnerLoss loss, Retention retention, int chunk, bool momentum, int kernel = 4)
    {
        if (!c.Causal) throw new ArgumentException("a memory looks back only; it needs Causal = true");
        (Config, Chunk, this.momentum) = (c.Checked(), chunk, momentum); int kv = c.Groups * c.HeadDim;
        memory = new(net, loss, retention, chunk);
        q = new(w["q_proj"], c.Dim, c.Dim); k = new(w["k_proj"], c.Dim, kv); v = new(w["v_proj"], c.Dim, kv); o = new(w["o_proj"], c.Dim, c.Dim); gate = new(w["gate"], c.Dim, c.Dim);
        qTaps = w["q_proj"].Get("conv", [c.Dim, kernel]); kTaps = w["k_proj"].Get("conv", [kv, kernel]); vTaps = w["v_proj"].Get("conv", [kv, kernel]);
        first = [.. net.Sizes(c.HeadDim, c.HeadDim).Select((s, l) => w.Get($"memory.{l}", [c.Heads, s.Out, s.In]))];
    }

    /// <summary>Gates for x [B,N,C]; rows are those of [B,H].</summary>
    protected abstract MemoryGates Gates(Tensor x, Pass pass);
    /// <summary>What q, k and v pass after their convolutions.</summary>
    protected virtual Tensor Activate(Tensor x) => x;

    /// <summary>The state before the first token.</summary>
    public NeuralState Start(int batch) => new(
        MemoryState.Start([.. first.Select(a => a.Reshape([1, .. a.Shape.AsSpan]).Expand([batch, .. a.Shape.AsSpan]).Reshape([batch * Config.Heads, a.Shape[1], a.Shape[2]]))], momentum),
        [Past(batch, qTaps), Past(batch, kTaps), Past(batch, vTaps)]);

    static Tensor Past(int batch, Tensor taps) => Tensor.Zeros([batch, taps.Shape[1] - 1, taps.Shape[0]]);

    public sealed override Tensor Forward(Tensor x, Tensor context, Pass pass)
    {
        if (!ReferenceEquals(x, context)) throw new ArgumentException("a memory learns from its own input; a context cannot be read");
        var held = pass.Memory?.Get(this, () => new HeldTensors());
        var (y, after) = Run(x, held is { Position: > 0 } ? Restore(held.Tensors, held.Position) : Start(x.Shape[0]), pass);
        held?.Hold(after.All, after.Memory.Position);
        return pass.At(Part.AttnOut, y);
    }
    internal NeuralState Restore(ReadOnlySpan<Tensor> all, int position) => NeuralState.From(all, first.Length, momentum, position);

    /// <summary>x [B,N,C] after a state → y [B,N,C] and the state after it.</summary>
    public (Tensor Y, NeuralState After) Run(Tensor x, NeuralState s, Pass pass)
    {
        Check.Shape(x, [-1, -1, Config.Dim]); var (b, n, _) = x.Shape;
        var (qs, qPast) = ShortConvolution.After(s.Conv[0], q.Forward(x), qTaps); var (ks, kPast) = ShortConvolution.After(s.Conv[1], k.Forward(x), kTaps); var (vs, vPast) = ShortConvolution.After(s.Conv[2], v.Forward(x), vTaps);
        var (y, after) = memory.Run(Unit(pass.At(Part.Query, Heads(qs))), Unit(pass.At(Part.Key, Heads(ks))), pass.At(Part.Value, Heads(vs)).RmsNorm(null, (Real)1e-6), Gates(x, pass), s.Memory, pass.Reference);
        return (Leave(y, x, pass), new(after, [qPast, kPast, vPast]));
    }

    /// <summary>What the memory of this state answers to x [B,N,C], with nothing learned; past is that of q's convolution.</summary>
    public (Tensor Y, Tensor Past) Recall(Tensor x, NeuralState s, Tensor past, Pass pass)
    {
        var (qs, after) = ShortConvolution.After(past, q.Forward(x), qTaps);
        return (Leave(memory.Recall(Unit(Heads(qs)), s.Memory), x, pass), after);
    }

    static Tensor Unit(Tensor x) => x.L2Normalise((Real)1e-6);
    // [B,N,G·D] → [B·H,N,D], key heads repeated for the heads that share them
    Tensor Heads(Tensor x)
    {
        var (b, n, c) = x.Shape; int d = Config.HeadDim, g = c / d, times = Config.Heads / g; var y = Activate(x).SplitHeads(g);
        if (times > 1) y = y.Reshape([b, g, 1, n, d]).Expand([b, g, times, n, d]);
        return y.Reshape([b * Config.Heads, n, d]);
    }
    Tensor Leave(Tensor y, Tensor x, Pass pass)
    {
        var (b, n, _) = x.Shape; var z = pass.At(Part.Z, y.RmsNorm(null, (Real)1e-2).Reshape([b, Config.Heads, n, Config.HeadDim]));
        return o.Forward(z.MergeHeads() * pass.At(Part.Gate, gate.Forward(x).Sigmoid()));
    }
    /// <summary>[B,N,H] → [B·H,N]</summary>
    protected static Tensor PerRow(Tensor x) { var (b, n, h) = x.Shape; return x.Permute(0, 2, 1).Reshape([b * h, n]); }
    /// <summary>ln σ(x)</summary>
    protected static Tensor LogSigmoid(Tensor x) => -(-x).Softplus();
}
