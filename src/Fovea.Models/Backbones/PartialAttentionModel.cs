using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>What a sequence-to-sequence model keeps of a decoder-only language model (RED, §3) and what it adds. All false is the language model itself, computed as an encoder and a decoder that share everything.</summary>
/// <param name="Bidirectional">Source tokens see each other; else the source is causal.</param>
/// <param name="SeparateCross">The target reads the top layer of the source in an attention of its own after its self-attention; else one softmax runs over the layer's keys of source and target together.</param>
/// <param name="Untied">The target has weights of its own; else it shares those of the source.</param>
/// <param name="Restart">Positions of the target begin at 0 again; else they go on where the source ends.</param>
/// <param name="Segments">A vector for source and one for target is added to embeddings.</param>
/// <param name="Partial">Every layer has partial attention: after self-attention, queries of all tokens read the source states of that layer alone, with projections and norm of their own (PALM, §4). Its place and that the source takes part are not told by the paper.</param>
public sealed record RedOptions(bool Bidirectional = false, bool SeparateCross = false, bool Untied = false, bool Restart = false, bool Segments = false, bool Partial = false)
{
    /// <summary>The classical encoder–decoder.</summary>
    public static RedOptions EncoderDecoder { get; } = new(true, true, true, true);
    /// <summary>The partial attention language model.</summary>
    public static RedOptions Palm { get; } = new(Bidirectional: true, Restart: true, Segments: true, Partial: true);
}

/// <summary>
/// Source s_1 … s_m, target t_1 … t_n: a stack over the source, whose keys and values each layer of the target's stack sees (RED and PALM, arXiv 2304.04052). Without options the logits are those of a decoder-only model on [s; t]. The rotary
/// positions of the configuration count as the options say.
/// </summary>
[From("palm-partial-attention", "§3, §4")]
public sealed class PartialAttentionModel
{
    readonly Embedding embedding; readonly Tensor? segments; readonly Layer[] source, target; readonly Norm final; readonly Linear head; readonly RedOptions options; readonly Rope rope = new();
    public ModelConfig Config { get; }

    sealed class Heads(ModelConfig c, Weights w)
    {
        public Linear Q { get; } = new(w["q_proj"], c.Dim, c.Dim);
        public Linear K { get; } = new(w["k_proj"], c.Dim, c.Dim);
        public Linear V { get; } = new(w["v_proj"], c.Dim, c.Dim);
        public Linear O { get; } = new(w["o_proj"], c.Dim, c.Dim);
    }
    sealed record Layer(Norm First, Heads Self, Norm? Between, Heads? Second, Norm Last, FeedForward Feed);

    public PartialAttentionModel(ModelConfig config, Weights w, RedOptions options)
    {
        Config = config.Checked(); this.options = options;
        if (options is { Partial: true, SeparateCross: true }) throw new ArgumentException("partial attention and a cross-attention of its own are two ways to read the source; expected one");
        embedding = new(w["embed"], config.Vocabulary, config.Dim); segments = options.Segments ? w.Get("segments", [2, config.Dim], Init.Normal02) : null;
        Layer[] Stack(Weights s, bool second) => [.. Enumerable.Range(0, config.Layers).Select(i => s[i]).Select(l => new Layer(config.Norm(l["norm1"], config.Dim), new(config, l["attn"]),
            second ? config.Norm(l["norm_source"], config.Dim) : null, second ? new(config, l["source"]) : null, config.Norm(l["norm2"], config.Dim), config.FeedForward(l["mlp"], config.Dim, config.HiddenDim)))];
        // Tied weights have one name; a cross-attention that only the target has comes to it.
        source = Stack(w["blocks"], options.Partial); target = Stack(options.Untied ? w["target"] : w["blocks"], options.Partial || options.SeparateCross);
        final = config.Norm(w["final_norm"], config.Dim); head = new(w["head"], config.Dim, config.Vocabulary);
    }

    /// <summary>What the source leaves for the target, made once: keys and values of its layers, and the target's own so far.</summary>
    public sealed class State(int layers)
    {
        internal int Batch, Source, Seen; internal Tensor?[] K = new Tensor?[layers], V = new Tensor?[layers], SourceK = new Tensor?[layers], SourceV = new Tensor?[layers];
        /// <summary>Logits of the source [B,M,V]: what comes after each of its tokens.</summary>
        public Tensor Logits { get; internal set; } = null!;
        /// <summary>The embeddings of the source [B,M,C].</summary>
        public Tensor Embedded { get; internal set; } = null!;
    }

    /// <summary>tokens [B·M] → the state that a target starts from.</summary>
    public State Encode(ReadOnlySpan<int> tokens, int batch, Pass pass) => Encode(embedding.Forward(tokens, batch), pass);

    /// <summary>The same from embeddings [B,M,C].</summary>
    public State Encode(Tensor embedded, Pass pass)
    {
        var s = new State(source.Length) { Batch = embedded.Shape[0], Source = embedded.Shape[1], Embedded = embedded }; var x = Segment(embedded, 0);
        for (int i = 0; i < source.Length; i++)
        {
            var l = source[i]; pass.Layer = -1; var y = l.First.Forward(x, pass); var (q, k, v) = Project(l.Self, y, y, 0);
            (s.K[i], s.V[i]) = (k, v);
            x += l.Self.O.Forward(Softmax.Attend(q, k, v, !options.Bidirectional, 0, Quiet(pass)).MergeHeads());
            if (options.Partial) x = Partial(l, x, s, i, keep: true, pass);
            x += l.Feed.Forward(l.Last.Forward(x, pass), pass);
        }
        var top = final.Forward(x, pass);
        if (options.SeparateCross)
            for (int i = 0; i < target.Length; i++) { var h = target[i].Second!; (s.SourceK[i], s.SourceV[i], s.K[i], s.V[i]) = (h.K.Forward(top).SplitHeads(Config.Heads), h.V.Forward(top).SplitHeads(Config.Heads), null, null); }
        s.Logits = head.Forward(top);
        return s;
    }

    /// <summary>tokens [B·N], the next of the target, → logits [B,N,V]; the state goes on. Patterns that a probe gets are [B,H,N,M + N'], source first.</summary>
    public Tensor Decode(ReadOnlySpan<int> tokens, State s, Pass pass) => head.Forward(Hidden(tokens, s, pass));

    /// <summary>The same before the output layer, [B,N,C].</summary>
    public Tensor Hidden(ReadOnlySpan<int> tokens, State s, Pass pass)
    {
        var x = Segment(embedding.Forward(tokens, s.Batch), 1); int n = x.Shape[1], at = options.Restart ? s.Seen : s.Source + s.Seen;
        for (int i = 0; i < target.Length; i++)
        {
            pass.Layer = i; var l = target[i]; var y = l.First.Forward(x, pass); var (q, k, v) = Project(l.Self, y, y, at);
            if (s.K[i] is { } past) (k, v) = (Tensor.Concat(2, past, k), Tensor.Concat(2, s.V[i]!, v));
            (s.K[i], s.V[i]) = (k, v);
            // The query stands at the end of its keys, whatever positions count.
            x += l.Self.O.Forward(Softmax.Attend(q, k, v, true, k.Shape[2] - n, pass).MergeHeads());
            if (options.Partial) x = Partial(l, x, s, i, keep: false, pass);
            if (options.SeparateCross) x += l.Second!.O.Forward(Softmax.Attend(l.Second.Q.Forward(l.Between!.Forward(x, pass)).SplitHeads(Config.Heads), s.SourceK[i]!, s.SourceV[i]!, false, 0, Quiet(pass)).MergeHeads());
            x += l.Feed.Forward(l.Last.Forward(x, pass), pass);
        }
        s.Seen += n; pass.Layer = -1;
        return final.Forward(x, pass);
    }

    // Softmax over the source alone; the source's own pass makes keys and values.
    Tensor Partial(Layer l, Tensor x, State s, int i, bool keep, Pass pass)
    {
        var y = l.Between!.Forward(x, pass); var h = l.Second!;
        if (keep) (s.SourceK[i], s.SourceV[i]) = (rope.Apply(h.K.Forward(y).SplitHeads(Config.Heads), Places(0, s.Source)), h.V.Forward(y).SplitHeads(Config.Heads));
        var q = rope.Apply(h.Q.Forward(y).SplitHeads(Config.Heads), Places(keep ? 0 : options.Restart ? s.Seen : s.Source + s.Seen, y.Shape[1]));
        return x + h.O.Forward(Softmax.Attend(q, s.SourceK[i]!, s.SourceV[i]!, false, 0, Quiet(pass)).MergeHeads());
    }

    (Tensor Q, Tensor K, Tensor V) Project(Heads h, Tensor x, Tensor from, int at)
    {
        int[] places = Places(at, x.Shape[1]);
        return (rope.Apply(h.Q.Forward(x).SplitHeads(Config.Heads), places), rope.ApplyToKeys(h.K.Forward(from).SplitHeads(Config.Heads), places), h.V.Forward(from).SplitHeads(Config.Heads));
    }
    static int[] Places(int from, int count) => [.. Enumerable.Range(from, count)];

    // Probes see the target's self-attention alone.
    static Pass Quiet(Pass pass) => pass.Probe is null ? pass : new() { Training = pass.Training, Rng = pass.Rng, Reference = pass.Reference };

    Tensor Segment(Tensor x, int kind) => segments is null ? x : x + segments.Slice(0, kind, kind + 1).Reshape([Config.Dim]);

    /// <summary>Mean cross-entropy over the target, whose inputs begin with a token of its own, plus so many times that of the source's next tokens (the source's auto-encoding loss).</summary>
    public Tensor Loss(ReadOnlySpan<int> sourceTokens, Batch t, Pass pass, double sourceWeight = 0)
    {
        var s = Encode(sourceTokens, t.Size, pass); var loss = Decode(t.Inputs, s, pass).CrossEntropy(t.Targets);
        if (sourceWeight == 0) return loss;
        int m = s.Source; var next = new int[sourceTokens.Length];
        for (int i = 0; i < next.Length; i++) next[i] = i % m == m - 1 ? -1 : sourceTokens[i + 1];
        return loss + s.Logits.CrossEntropy(next) * (Real)sourceWeight;
    }
}
