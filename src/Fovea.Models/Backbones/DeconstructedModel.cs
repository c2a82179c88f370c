using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>
/// A decoder whose layers keep some properties of attention and give up others (Deconstructing Attention, §3), all with the same number of parameters. A layout names the layers by letters, repeated: s standard; m no mixing, a second gated
/// layer in its place; a approximate, exp by its second-order Taylor series; n non-approximate, logits per position; r maps from a side stream of fixed random vectors that runs through the same layers, one row for a whole batch, and
/// takes gradients; f the same from the embeddings of a fixed text; e maps from the embeddings of the tokens. "s" is the ordinary model, "r" a uniform one, "rs" a hybrid; with skip, layers other than s are left out, as from a trained hybrid.
/// Not here: a cache for r and f, whose maps are the same for all inputs.
/// </summary>
[From("deconstructing-attention", "§3")]
public sealed class DeconstructedModel
{
    const string Letters = "smanrfe";
    readonly Embedding embedding; readonly Layer[] layers; readonly Norm final; readonly Linear head; readonly Rng random; readonly int[]? text; readonly bool skip;
    public ModelConfig Config { get; }

    sealed record Layer(char Kind, Norm First, Norm Second, FeedForward Feed, Attention? Mixer, MapAttention? Map, FeedForward? Own);

    /// <param name="side">Key of the random vectors of r, of standard deviation 1; they are no parameters.</param>
    /// <param name="text">The tokens of f.</param>
    public DeconstructedModel(ModelConfig config, Weights w, string layout, Rng side = default, int[]? text = null, bool skip = false)
    {
        Config = config.Checked(); (random, this.text, this.skip) = (side, text, skip);
        if (layout.Length == 0 || layout.Any(l => !Letters.Contains(l))) throw new ArgumentException($"layout '{layout}': expected letters of {Letters}");
        if (layout.Contains('f') && text is null) throw new ArgumentException("layout f needs a text");
        embedding = new(w["embed"], config.Vocabulary, config.Dim); var attention = config.Attention(true);
        layers = [.. Enumerable.Range(0, config.Layers).Select(i =>
        {
            var l = w["blocks"][i]; char kind = layout[i % layout.Length]; var a = l["attn"];
            Attention? mixer = kind switch { 's' => new SoftmaxAttention(attention, a), 'a' => new BasedAttention(attention, a, attention.HeadDim), 'n' => new NonApproximateAttention(attention, a), _ => null };
            // 3·C·(4C/3) parameters, as many as four projections.
            return new Layer(kind, config.Norm(l["norm1"], config.Dim), config.Norm(l["norm2"], config.Dim), config.FeedForward(l["mlp"], config.Dim, config.HiddenDim), mixer, kind is 'r' or 'f' or 'e' ? new(attention, a) : null, kind == 'm' ? new SwiGlu(a, config.Dim, config.Dim * 4 / 3) : null);
        })];
        final = config.Norm(w["final_norm"], config.Dim); head = new(w["head"], config.Dim, config.Vocabulary);
    }

    /// <summary>tokens [B·N] → logits [B,N,V].</summary>
    public Tensor Forward(ReadOnlySpan<int> tokens, int batch, Pass pass)
    {
        var e = embedding.Forward(tokens, batch); var x = e; var side = Side(e.Shape[1]);
        foreach (var l in layers)
        {
            if (skip && l.Kind != 's') continue;
            var source = side;
            if (side is not null) side = Through(l, side, side, pass);
            x = Through(l, x, l.Kind == 'e' ? e : source ?? x, pass);
        }
        return head.Forward(final.Forward(x, pass));
    }

    // One layer on x; source is the stream that maps come from.
    static Tensor Through(Layer l, Tensor x, Tensor source, Pass pass)
    {
        var y = l.First.Forward(x, pass);
        x += l.Own is not null ? l.Own.Forward(y, pass) : l.Map is not null ? l.Map.Forward(ReferenceEquals(source, x) ? y : l.First.Forward(source, pass), y) : l.Mixer!.Forward(y, pass);
        return x + l.Feed.Forward(l.Second.Forward(x, pass), pass);
    }

    Tensor? Side(int n)
    {
        if (layers.Any(l => l.Kind == 'r')) return Tensor.Normal(random["side"], [1, Config.Length, Config.Dim]).Rows(0, n);
        if (layers.All(l => l.Kind != 'f')) return null;
        if (text!.Length < n) throw new ArgumentException($"the text has {text.Length} tokens, the input {n}");
        return embedding.Forward(text.AsSpan(0, n), 1);
    }

    /// <summary>The maps [B,H,N,N] of the first layer with maps, [1,…] where they are the same for all inputs.</summary>
    public Tensor Maps(ReadOnlySpan<int> tokens, int batch)
    {
        var e = embedding.Forward(tokens, batch); var side = Side(e.Shape[1]);
        foreach (var l in layers)
        {
            if (l.Map is not null) return l.Map.Maps(l.First.Forward(l.Kind == 'e' ? e : side!, Pass.Eval));
            if (side is not null) side = Through(l, side, side, Pass.Eval);
        }
        throw new InvalidOperationException("no layer of this model has maps of its own");
    }

    public Tensor Loss(ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int batch, Pass pass) => Forward(tokens, batch, pass).CrossEntropy(targets);
}
