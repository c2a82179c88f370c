using Fovea.Models;
namespace Fovea.Claims;

/// <summary>In-context linear regression with a change: y_t = a·x_t with x_t of length 1 in four dimensions, and another a from a drawn place on. Token t carries x_t, x_{t−1} and y_{t−1}; what is predicted is y_t.</summary>
sealed class SwitchModel
{
    const int Dim = 4, Length = 64;
    readonly Linear embed, head; readonly Block block; readonly Norm final;

    public SwitchModel(Weights w, Mixer? mixer)
    {
        var c = new ModelConfig(1, 32, 1, 2) { Hidden = 64, Length = Length, Position = new Mechanisms.Rope(share: 0.25) };
        embed = new(w["embed"], 2 * Dim + 1, c.Dim, bias: true); block = new(c, w["block"], 0, causal: true, mixer ?? ModelConfig.Softmax); final = c.Norm(w["norm"], c.Dim); head = new(w["head"], c.Dim, 1, bias: true);
    }

    /// <summary>[B,N,9] → [B,N,1]</summary>
    public Tensor Forward(Tensor x, Pass pass) { var y = block.Forward(embed.Forward(x), null, pass); pass.Layer = -1; return head.Forward(final.Forward(y, pass)); }

    /// <summary>Inputs, targets, and which targets [B·N] lie four tokens or more after the change.</summary>
    public static (Tensor X, Tensor Y, bool[] After) Batch(Rng rng, int step, int size)
    {
        Tensor x = Tensor.Zeros([size, Length, 2 * Dim + 1]), y = Tensor.Zeros([size, Length, 1]); var after = new bool[size * Length]; var at = new Real[Length * Dim]; var maps = new Real[2 * Dim];
        for (int b = 0; b < size; b++)
        {
            var key = rng[step][b]; key["x"].Normal(at); key["maps"].Normal(maps); int change = 16 + (int)(key["change"].Uniform(0) * 24);
            for (int t = 0; t < Length; t++)
            {
                var xt = at.AsSpan(t * Dim, Dim); System.Numerics.Tensors.TensorPrimitives.Divide<Real>(xt, System.Numerics.Tensors.TensorPrimitives.Norm<Real>(xt), xt); int row = b * Length + t, width = 2 * Dim + 1;
                y.Span[row] = System.Numerics.Tensors.TensorPrimitives.Dot<Real>(xt, maps.AsSpan(t < change ? 0 : Dim, Dim)); after[row] = t >= change + 4;
                xt.CopyTo(x.Span[(row * width)..]);
                if (t > 0) { at.AsSpan((t - 1) * Dim, Dim).CopyTo(x.Span[(row * width + Dim)..]); x.Span[row * width + 2 * Dim] = y.Span[row - 1]; }
            }
        }
        return (x, y, after);
    }
}
