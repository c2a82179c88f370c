using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// SEA, the causal form: attention is estimated at a fixed width, and softmax runs only where the estimate is large (§3). Linear attention with FAVOR+ features over a learned table of positions and the values gives C [N,2D]; Z =
/// GELU(LN(W[C; V])); <see cref="AttentionMap"/> makes of it a row of w cells Â per head and query. Query i, which sees t = i + 1 keys, takes the max(1, round(H·k·w/t)) largest of its H·w cells, ranked over all heads
/// together; key j belongs to cell ⌊(j + ½)/t·w⌋, so that about k keys per head are left. The output is σ(g)·σ(a)·softmax(q·k/√D on those)·V + (1 − σ(g))·(mean of the values so far), a and g linear in Z.
/// Work is O(N·(w·H + k)). Positions turn the queries and keys of the sparse softmax. Not here: the form that looks both ways, and the low-rank updates of conversion.
/// </summary>
[From("sea-attention", "§3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse | Traits.Linear)]
public sealed class SeaAttention : HeadAttention
{
    readonly int width, keys; readonly bool gated; readonly Favor favor; readonly Tensor places, gain, shift; readonly Linear mix, gates;
    public AttentionMap Map { get; }

    /// <param name="width">Cells w of a row of the estimate.</param>
    /// <param name="keys">Keys k per head and query, about.</param>
    /// <param name="features">Random features of the linear attention.</param>
    /// <param name="gated">False: both gates are one.</param>
    public SeaAttention(AttentionConfig c, Weights w, int width = 32, int keys = 8, int features = 32, bool gated = true) : base(c, w)
    {
        if (!c.Causal || keys < 1) throw new ArgumentException($"this form looks back only, at {keys} keys; it needs Causal = true and at least one");
        (this.width, this.keys, this.gated) = (width, keys, gated); int d = c.HeadDim;
        favor = new(features, d); places = w.Get("places", [c.Length, d], Init.Normal02); mix = new(w["mix"], 3 * d, 2 * d); gates = new(w["gates"], 2 * d, 2, bias: true);
        gain = w.Get("mix_norm.weight", [2 * d], Init.Ones); shift = w.Get("mix_norm.bias", [2 * d], Init.Zeros); Map = new(w["map"], c.Heads, d, width);
    }

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self) throw new ArgumentException("the map is estimated for the layer's own input only");
        var (b, heads, n, d) = h.Q.Shape; Tensor k = PerHead(h.K), v = PerHead(h.V); int start = h.Start; var state = pass.Memory?.Get(this, () => new MapState(Map.Kept(b)));
        var at = places.Gather([.. Enumerable.Range(start, n).Select(p => Math.Min(p, Config.Length - 1))]).Expand([b, heads, n, d]); var (fq, fk) = favor.Features(h.Q, k);
        var c = Recurrence.Normalised(state?.Linear ?? this, fq, fk, Tensor.Concat(-1, at, v), null, state is null ? new Pass { Reference = pass.Reference } : pass, Favor.Epsilon);
        var z = mix.Forward(Tensor.Concat(-1, c, v)).LayerNorm(gain, shift, (Real)1e-5).Gelu();
        var estimate = pass.At(Part.Gate, Map.Scores(z, state).Softmax());
        var turned = Positioned(h, pass); Tensor ks = turned.K, vs = h.V; int seen = n;
        if (state is not null) { state.Past.Append(turned.K, h.V, start); (ks, vs, seen) = (state.Past.Keys, state.Past.Values, state.Past.Count); }
        var call = new Softmax.Call(Start: start, Keys: seen, Blocks: Choose(estimate, start));
        var o = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern) ? Softmax.Plain<Plain, Causal, SoftmaxWeights>(turned.Q, ks, vs, new(), new(), call, pass) : Softmax.Fused<Plain, Causal, SoftmaxWeights>(turned.Q, ks, vs, new(), new(), call);
        if (!gated) return o;
        var g = gates.Forward(z).Sigmoid();
        return o * g.Slice(-1, 0, 1) * g.Slice(-1, 1, 2) + Mean(v, start, state) * (1 - g.Slice(-1, 1, 2));
    }

    // Σ_{j ≤ i} v_j / (i + 1), [B,H,N,E].
    static Tensor Mean(Tensor v, int start, MapState? state)
    {
        var (b, h, n, e) = v.Shape; var sum = v.Transpose().CumSum().Transpose();
        if (state is not null)
        {
            if (state.Sum is { } before) sum += Tensor.From(before, [b, h, 1, e]);
            state.Sum = sum.Slice(2, n - 1, n).Span.ToArray();
        }
        return sum * Tensor.From([.. Enumerable.Range(start, n).Select(i => 1 / (Real)(i + 1))], [n, 1]);
    }

    /// <summary>The keys [B,H,N] that queries of an estimate [B,H,N,w] see, the first of which stands at start.</summary>
    public BlockList Choose(Tensor estimate, int start)
    {
        var (b, h, n, w) = estimate.Shape; var begin = new int[b * h * n + 1]; var chosen = new bool[b * h * n * w]; var cells = new Real[h * w]; var values = new Real[h * w]; var indices = new int[h * w];
        for (int x = 0; x < b * n; x++)
        {
            int row = x / n, i = x % n, count = (int)Math.Clamp(Math.Round(h * (double)keys * w / (start + i + 1)), 1, h * w);
            for (int y = 0; y < h; y++) estimate.Span.Slice(((row * h + y) * n + i) * w, w).CopyTo(cells.AsSpan(y * w));
            Select.TopK(cells, 1, h * w, count, values, indices);
            for (int c = 0; c < count; c++) chosen[((row * h + indices[c] / w) * n + i) * w + indices[c] % w] = true;
        }
        var list = new List<int>();
        for (int r = 0; r < b * h * n; r++)
        {
            int t = start + r % n + 1;
            for (int c = 0; c < w; c++) if (chosen[r * w + c]) for (int j = First(c, t, w), end = First(c + 1, t, w); j < end; j++) list.Add(j);
            begin[r + 1] = list.Count;
        }
        return new BlockList { QueryBlock = 1, KeyBlock = 1, Start = begin, Keys = [.. list] };
    }

    /// <summary>The first key of cell c of w where t keys are seen: the least j with ⌊(j + ½)·w/t⌋ ≥ c.</summary>
    public static int First(int c, int t, int w) => (int)Math.Min(t, Math.Max(0, (2L * c * t + w - 1) / (2 * w)));
}

/// <summary>How a map learns from a frozen softmax teacher (§3.3): the estimate, spread over the keys of its cells, is to be the teacher's weights. Dense maps exist in training only.</summary>
[From("sea-attention", "§3.3")]
public static class SeaDistillation
{
    /// <summary>Lets gradients into the maps of these layers, or keeps them out again.</summary>
    public static void Open(IEnumerable<Attention> layers, bool open = true) { foreach (var layer in layers.OfType<SeaAttention>()) foreach (var p in layer.Map.Parameters) p.RequiresGrad = open; }

    /// <summary>An estimate [B,H,N,w] over cells → weights [B,H,N,N] over keys: the weight of a cell in equal parts, rows made to sum to one.</summary>
    public static Tensor Stretched(Tensor estimate)
    {
        var (b, h, n, w) = estimate.Shape; var index = new int[b * h * n * n]; var share = Tensor.Zeros([n, n]);
        for (int i = 0; i < n; i++)
            for (int c = 0; c < w; c++)
                for (int j = SeaAttention.First(c, i + 1, w), first = j, end = SeaAttention.First(c + 1, i + 1, w); j < end; j++)
                {
                    share.Span[i * n + j] = 1 / (Real)(end - first);
                    for (int x = 0; x < b * h; x++) index[(x * n + i) * n + j] = (x * n + i) * w + c;
                }
        var y = estimate.Reshape([estimate.Shape.Size, 1]).Gather(index).Reshape([b, h, n, n]) * share;
        return y / (y.Sum(-1) + (Real)1e-9);
    }

    /// <summary>0.1·KL(teacher ‖ stretched estimate) + mean square, teacher [B,H,N,N].</summary>
    public static Tensor Loss(Tensor estimate, Tensor teacher)
    {
        var (b, h, n, _) = teacher.Shape; var a = Stretched(estimate); double entropy = 0;
        foreach (Real p in teacher.Span) if (p > 0) entropy += p * Math.Log(p);
        return (Distillation.CrossEntropy(teacher, a) + (Real)(entropy / (b * h * n))) * (Real)0.1 + Losses.MeanSquare(a, teacher);
    }
}
