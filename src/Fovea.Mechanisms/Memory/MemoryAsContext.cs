using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Titans with memory as context (MAC): the text is cut in segments of C tokens. For a segment, the memory of all earlier ones is asked, h = M(q); attention, causal inside, over [persistent; h; segment] gives y; the memory
/// learns y, and the output is y and M(y) gating each other (titans, §4.1). Token i of a segment sees h and x up to i and stands with them at place N_p + i. The cache is one segment long, so the state is constant.
/// </summary>
[From("titans", "§4.1")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class MacAttention : Attention
{
    readonly AttentionConfig c; readonly int segment; readonly Tensor persistent; readonly Linear q, k, v, o; readonly SurpriseMemory memory; readonly MutualGate gate;

    /// <param name="segment">Tokens per segment C.</param>
    /// <param name="persistent">Learned tokens before every segment, at least 1.</param>
    public MacAttention(AttentionConfig c, Weights w, int segment = 32, int depth = 2, int width = 2, int chunk = 16, int persistent = 4, double? rate = null)
    {
        if (!c.Causal) throw new ArgumentException("a memory looks back only; it needs Causal = true");
        if (segment < 1 || persistent < 1) throw new ArgumentException($"segments of {segment} and {persistent} persistent tokens: both must be at least 1");
        this.c = c.Checked(); this.segment = segment; int kv = c.Groups * c.HeadDim;
        this.persistent = w.Get("persistent", [persistent, c.Dim], t => w.Rng["persistent"].Normal(t.Span));
        q = new(w["q_proj"], c.Dim, c.Dim); k = new(w["k_proj"], c.Dim, kv); v = new(w["v_proj"], c.Dim, kv); o = new(w["o_proj"], c.Dim, c.Dim);
        memory = new(c, w["memory"], depth, width, chunk, rate); gate = new(w["gate"], c.Dim);
    }

    // The memory now and at the start of the segment, the past of the convolution that asks it, and keys and values of the segment so far, [B,G,·,D], h and x in turns.
    sealed record State(NeuralState Memory, NeuralState Asked, Tensor Past, Tensor? Keys, Tensor? Values);

    public override Tensor Forward(Tensor x, Tensor context, Pass pass)
    {
        Check.Shape(x, [-1, -1, c.Dim]);
        if (!ReferenceEquals(x, context)) throw new ArgumentException("a memory learns from its own input; a context cannot be read");
        var (b, n, _) = x.Shape; int start = pass.Memory?.Start(this) ?? 0; var held = pass.Memory?.Get(this, () => new HeldTensors()); var parts = new List<Tensor>();
        var s = held is { Position: > 0 } ? Load(held) : null;
        if (s is null) { var first = memory.Start(b); s = new(first, first, first.Conv[0], null, null); }
        Tensor kp = Split(k.Forward(persistent), b), vp = Split(v.Forward(persistent), b);
        for (int at = 0; at < n;)
        {
            int inside = (start + at) % segment, to = Math.Min(n, at + segment - inside);
            if (inside == 0) s = s with { Asked = s.Memory, Keys = null, Values = null };
            var (y, after) = Stretch(x.Rows(at, to), s, inside, kp, vp, pass);
            parts.Add(y); s = after; at = to;
        }
        if (held is not null) Hold(held, s, start + n);
        pass.Memory?.Advance(this, n);
        return pass.At(Part.AttnOut, Tensor.Concat(1, [.. parts]));
    }

    // Tokens of one segment, the first of which is its token number inside.
    (Tensor, State) Stretch(Tensor x, State s, int inside, Tensor kp, Tensor vp, Pass pass)
    {
        int n = x.Shape[1], p = persistent.Shape[0];
        var (h, past) = memory.Recall(x, s.Asked, s.Past, pass);
        Tensor Turned(Tensor k, int from) => c.Position?.In(pass) is { } r ? pass.At(Part.KeyRot, r.ApplyToKeys(k, HeadAttention.Consecutive(from, k.Shape[2]))) : k;
        Tensor keys = Turns(Turned(k.Forward(h).SplitHeads(c.Groups), p + inside), Turned(pass.At(Part.Key, k.Forward(x).SplitHeads(c.Groups)), p + inside)), values = Turns(v.Forward(h).SplitHeads(c.Groups), pass.At(Part.Value, v.Forward(x).SplitHeads(c.Groups)));
        if (s.Keys is not null) (keys, values) = (Tensor.Concat(2, s.Keys, keys), Tensor.Concat(2, s.Values!, values));
        s = s with { Past = past, Keys = keys, Values = values };
        var queries = pass.At(Part.Query, q.Forward(x).SplitHeads(c.Heads));
        if (c.Position?.In(pass) is { } rope) queries = pass.At(Part.QueryRot, rope.Apply(queries, HeadAttention.Consecutive(p + inside, n)));
        int[] at = [.. Enumerable.Range(0, p), .. Enumerable.Range(0, keys.Shape[2]).Select(i => p + i / 2)]; var call = new Softmax.Call(null, p + inside, at);
        Tensor all = Tensor.Concat(2, Turned(kp, 0), keys), allValues = Tensor.Concat(2, vp, values);
        var a = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern)
            ? Softmax.Plain<Plain, Causal, SoftmaxWeights>(queries, all, allValues, new(), new(), call, pass) : Softmax.Fused<Plain, Causal, SoftmaxWeights>(queries, all, allValues, new(), new(), call);
        var y = o.Forward(pass.At(Part.Z, a).MergeHeads()); var (m, after) = memory.Run(y, s.Memory, pass);
        return (gate.Forward(y, m), s with { Memory = after });
    }

    // Two [B,G,n,D] → [B,G,2n,D]: a₀ b₀ a₁ b₁ …
    static Tensor Turns(Tensor x, Tensor y) { var (b, g, n, d) = x.Shape; return Tensor.Concat(3, x.Reshape([b, g, n, 1, d]), y.Reshape([b, g, n, 1, d])).Reshape([b, g, 2 * n, d]); }
    // [N,G·D] → [B,G,N,D]
    Tensor Split(Tensor x, int batch) { var y = x.Reshape([1, .. x.Shape.AsSpan]).SplitHeads(c.Groups); return y.Expand([batch, .. y.Shape.AsSpan[1..]]); }

    void Hold(HeldTensors held, State s, int position)
    {
        Tensor Padded(Tensor x) { var (b, g, n, d) = x.Shape; return n == 2 * segment ? x : Tensor.Concat(2, x, Tensor.Zeros([b, g, 2 * segment - n, d])); }
        held.Hold([.. s.Memory.All, .. s.Asked.Memory.Sum, s.Past, Padded(s.Keys!), Padded(s.Values!)], position);
    }
    State Load(HeldTensors held)
    {
        var all = held.Tensors; int used = 2 * ((held.Position - 1) % segment + 1), sums = memory.Start(1).Memory.Sum.Length, first = all.Length - 3 - sums;
        var now = memory.Restore(all.AsSpan(0, first), held.Position); var asked = new NeuralState(now.Memory with { Weights = [], Sum = all[first..(first + sums)] }, now.Conv);
        return new(now, asked, all[^3], all[^2].Slice(2, 0, used), all[^1].Slice(2, 0, used));
    }
}
