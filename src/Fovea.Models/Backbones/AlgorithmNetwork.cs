using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>
/// A network for algorithms on n numbers (Positional Attention §5): a linear layer from one number to C channels, layers z = W₂ relu(W₁ [x, mix(x)]) with what is mixed beside x and not added to it, and a linear
/// layer back to one number per place. No normalisation and no masks; one scratch place of zeros is appended.
/// </summary>
[From("positional-attention", "§5")]
public sealed class AlgorithmNetwork
{
    readonly Linear first, last; readonly (Func<Tensor, Tensor> Mix, Linear Up, Linear Down)[] layers;

    /// <param name="mixer">Makes the token mixer of a layer from its weights: [B,N,C] → [B,N,C].</param>
    public AlgorithmNetwork(Weights w, int dim, int depth, Func<Weights, Func<Tensor, Tensor>> mixer)
    {
        first = new(w["first"], 1, dim, bias: true); last = new(w["last"], dim, 1, bias: true);
        layers = [.. Enumerable.Range(0, depth).Select(i => w["layers"][i]).Select(l => (mixer(l["attn"]), new Linear(l["up"], 2 * dim, 2 * dim, bias: true), new Linear(l["down"], 2 * dim, dim, bias: true)))];
    }

    /// <summary>x [B,N] → [B,N].</summary>
    public Tensor Forward(Tensor x)
    {
        var (b, n) = x.Shape;
        var y = first.Forward(Tensor.Concat(1, x, Tensor.Zeros([b, 1])).Reshape([b, n + 1, 1]));
        foreach (var (mix, up, down) in layers) y = down.Forward(up.Forward(Tensor.Concat(-1, y, mix(y))).Relu());
        return last.Forward(y).Reshape([b, n + 1]).Slice(1, 0, n);
    }
}
