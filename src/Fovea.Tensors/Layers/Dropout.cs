namespace Fovea;

/// <summary>Sets each element to zero with probability rate while training, and scales the rest; what falls depends on the pass's key and this layer's path.</summary>
public sealed class Dropout(Weights w, double rate)
{
    public Tensor Forward(Tensor x, Pass pass) => pass.Training && rate > 0 ? x.Dropout(pass.Rng[w.Path], rate) : x;
}
