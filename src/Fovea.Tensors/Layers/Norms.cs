namespace Fovea;

/// <summary>A normalisation of the last axis, or of channels.</summary>
public abstract class Norm
{
    public abstract Tensor Forward(Tensor x, Pass pass);
}

/// <summary>(x − mean)/√(var + ε) · weight + bias over the last axis.</summary>
public sealed class LayerNorm(Weights w, int dim, bool bias = true, double eps = 1e-5) : Norm
{
    readonly Tensor gain = w.Get("weight", [dim], Init.Ones);
    readonly Tensor? shift = bias ? w.Get("bias", [dim], Init.Zeros) : null;
    public override Tensor Forward(Tensor x, Pass pass) => x.LayerNorm(gain, shift, (Real)eps);
}

/// <summary>x/√(mean x² + ε) · weight over the last axis (arXiv 1910.07467).</summary>
public sealed class RmsNorm(Weights w, int dim, double eps = 1e-6) : Norm
{
    readonly Tensor gain = w.Get("weight", [dim], Init.Ones);
    public override Tensor Forward(Tensor x, Pass pass) => x.RmsNorm(gain, (Real)eps);
}

/// <summary>x √C/‖x‖ over the last axis, no parameters (transnormerllm, SRMSNorm); ε = 1e-6 is under the root.</summary>
[From("transnormerllm", "SRMSNorm")]
public sealed class SimpleRmsNorm : Norm
{
    public override Tensor Forward(Tensor x, Pass pass) => x.RmsNorm(null, (Real)1e-6);
}

/// <summary>Statistics over groups of channels and all positions of [B,C,…] (arXiv 1803.08494).</summary>
public sealed class GroupNorm(Weights w, int channels, int groups, double eps = 1e-5) : Norm
{
    readonly Tensor gain = w.Get("weight", [channels], Init.Ones), shift = w.Get("bias", [channels], Init.Zeros);
    public override Tensor Forward(Tensor x, Pass pass) => x.GroupNorm(gain, shift, groups, (Real)eps);
}

/// <summary>
/// Statistics per channel of [B,C,…] over batch and positions while training; running averages otherwise (arXiv 1502.03167).
/// The averages are entries of the state dict ("running_mean", "running_var") but no parameters: nothing flows into them.
/// </summary>
public sealed class BatchNorm : Norm
{
    readonly Tensor gain, shift, mean, variance; readonly int channels; readonly Real eps, momentum;

    public BatchNorm(Weights w, int channels, double eps = 1e-5, double momentum = 0.1)
    {
        (this.channels, this.eps, this.momentum) = (channels, (Real)eps, (Real)momentum);
        gain = w.Get("weight", [channels], Init.Ones); shift = w.Get("bias", [channels], Init.Zeros);
        mean = w.Get("running_mean", [channels], Init.Zeros); variance = w.Get("running_var", [channels], Init.Ones);
        mean.RequiresGrad = variance.RequiresGrad = false;
    }

    public override Tensor Forward(Tensor x, Pass pass)
    {
        if (x.Shape.Rank < 2 || x.Shape[1] != channels) throw new ShapeException($"x is {x.Shape}, expected [B, {channels}, …]");
        int b = x.Shape[0], s = x.Shape.Size / (b * channels);
        var flat = x.Reshape([b, channels, s]);
        Tensor y;
        if (pass.Training)
        {
            // Channels first, so that one row is one channel.
            var rows = flat.Permute(1, 0, 2).Reshape([channels, b * s]);
            var m = rows.Mean(1); var centred = rows - m; var v = centred.Square().Mean(1);
            for (int c = 0; c < channels; c++)
            {
                int n = b * s;
                mean.Span[c] += momentum * (m.Span[c] - mean.Span[c]);
                variance.Span[c] += momentum * (v.Span[c] * n / Math.Max(1, n - 1) - variance.Span[c]);
            }
            y = (centred / (v + eps).Sqrt()).Reshape([channels, b, s]).Permute(1, 0, 2);
        }
        else y = (flat - mean.Reshape([channels, 1])) / (variance + eps).Sqrt().Reshape([channels, 1]);
        return (y * gain.Reshape([channels, 1]) + shift.Reshape([channels, 1])).Reshape(x.Shape);
    }
}
