namespace Fovea;

/// <summary>Works on each position alone: [B,N,C] → [B,N,C].</summary>
public abstract class FeedForward
{
    public abstract Tensor Forward(Tensor x, Pass pass);
}

/// <summary>W₂ gelu(W₁ x): two linear layers with a GELU between.</summary>
public sealed class Mlp(Weights w, int dim, int hidden, bool bias = true) : FeedForward
{
    readonly Linear up = new(w["up"], dim, hidden, bias), down = new(w["down"], hidden, dim, bias);
    public override Tensor Forward(Tensor x, Pass pass)
    {
        var h = pass.At(Part.MlpPre, up.Forward(x));
        return pass.At(Part.MlpOut, down.Forward(pass.At(Part.MlpPost, h.Gelu())));
    }
}

/// <summary>W₂ (silu(W_g x) ∘ W₁ x) (arXiv 2002.05202).</summary>
public sealed class SwiGlu(Weights w, int dim, int hidden) : FeedForward
{
    readonly Linear gate = new(w["gate"], dim, hidden), up = new(w["up"], dim, hidden), down = new(w["down"], hidden, dim);
    public override Tensor Forward(Tensor x, Pass pass)
    {
        var g = pass.At(Part.MlpPre, gate.Forward(x));
        return pass.At(Part.MlpOut, down.Forward(pass.At(Part.MlpPost, Tensor.SwiGlu(g, up.Forward(x)))));
    }
}

/// <summary>W₂ ((W_g x) ∘ (W₁ x)), no activation (transnormerllm, SGLU).</summary>
[From("transnormerllm", "SGLU")]
public sealed class SimpleGlu(Weights w, int dim, int hidden) : FeedForward
{
    readonly Linear gate = new(w["gate"], dim, hidden), up = new(w["up"], dim, hidden), down = new(w["down"], hidden, dim);
    public override Tensor Forward(Tensor x, Pass pass)
    {
        var g = pass.At(Part.MlpPre, gate.Forward(x));
        return pass.At(Part.MlpOut, down.Forward(pass.At(Part.MlpPost, g * up.Forward(x))));
    }
}
