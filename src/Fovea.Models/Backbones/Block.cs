using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>One pre-norm layer: x + mixer(norm x), then x + ff(norm x); with a context, x + cross(norm x, context) between.</summary>
public sealed class Block(ModelConfig c, Weights w, int layer, bool causal, Mixer mixer, Mixer? cross = null)
{
    readonly Norm first = c.Norm(w["norm1"], c.Dim), second = c.Norm(w["norm2"], c.Dim);
    readonly Norm? between = cross is null ? null : c.Norm(w["norm_cross"], c.Dim);
    readonly Attention attention = mixer(layer, c.Attention(causal), w["attn"]);
    readonly Attention? crossing = cross?.Invoke(layer, c.Attention(causal: false) with { Position = null }, w["cross"]);
    readonly FeedForward feed = c.FeedForward(w["mlp"], c.Dim, c.HiddenDim);
    readonly Dropout drop1 = new(w["drop1"], c.Dropout), drop2 = new(w["drop2"], c.Dropout);

    /// <summary>The token mixer of this layer.</summary>
    public Attention Mixer => attention;

    /// <summary>x [B,N,C], context [B,M,C] or null → [B,N,C].</summary>
    public Tensor Forward(Tensor x, Tensor? context, Pass pass)
    {
        pass.Layer = layer;
        var section = pass.Saved?.Open(pass);
        x = pass.At(Part.ResidPre, x);
        x += drop1.Forward(attention.Forward(first.Forward(x, pass), pass), pass);
        if (crossing is not null)
            x += crossing.Forward(between!.Forward(x, pass), context ?? throw new ArgumentNullException(nameof(context), "this block reads a context"), pass);
        x = pass.At(Part.ResidMid, x);
        x += drop2.Forward(feed.Forward(second.Forward(x, pass), pass), pass);
        x = pass.At(Part.ResidPost, x);
        section?.Close(x);
        return x;
    }
}
