using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>A_ts = cos(2πts/T), the real part of the Fourier matrix over time (FNet, arXiv 2105.03824), by fast transforms. The transform over channels is the same for all tokens and so belongs to V.</summary>
[From("unified-token-mixing", "fixed mixing, FNet")]
public sealed class FourierMixer : TokenMixer
{
    public override bool DataDependent => false;
    public override Tensor Forward(Tensor q, Tensor k, Tensor v)
    {
        // The matrix is symmetric, so a gradient takes the same way back.
        var y = Transform(v.Transpose(), v.Shape[2]);
        return Tensor.Record(y, [v], y => { using var scope = Scope.NoGrad(); Map.AddTo(Transform(Tensor.From(y.Grad, y.Shape).Transpose(), v.Shape[2]).Span, v.Grad); });
    }
    // Rows x [..,T] → [..,T] transformed, and back to [..,T,E].
    static Tensor Transform(Tensor x, int n)
    {
        Tensor re = Tensor.From(x.Span, x.Shape), im = Tensor.Zeros(x.Shape);
        Fft.Forward(re.Span, im.Span, x.Shape.Size / n, n);
        return re.Transpose();
    }
    public override Tensor Materialise(Tensor q, Tensor k)
    {
        var (b, h, n, _) = q.Shape; var a = Tensor.Empty([n, n]);
        for (int i = 0; i < n * n; i++) a.Span[i] = (Real)Math.Cos(2 * Math.PI * ((long)(i / n) * (i % n) % n) / n);
        return a.Expand([b, h, n, n]);
    }
    public override double Cost(int tokens, int dim) => 2.0 * tokens * Math.Log2(Math.Max(2, tokens)) * dim;
}

/// <summary>A is learned, [H,T,T], for one length (MLP-Mixer, arXiv 2105.01601). It has no fast form.</summary>
[From("unified-token-mixing", "fixed mixing, MLP-Mixer")]
public sealed class LearnedMixer(Tensor a) : TokenMixer
{
    public override bool DataDependent => false;
    public override Tensor Forward(Tensor q, Tensor k, Tensor v) => Materialise(q, k).MatMul(v);
    public override Tensor Materialise(Tensor q, Tensor k) { var (b, h, n, _) = q.Shape; Check.Shape(a, [h, n, n]); return a.Expand([b, h, n, n]); }
    public override double Cost(int tokens, int dim) => (double)tokens * tokens * dim;
}

/// <summary>A_ts = Σ_n c_n λ_n^(t−s) b_n for s ≤ t: a state space with S decays λ in (0,1) per head, λ, b, c [H,S] (S4D, arXiv 2206.11893, real), by a scan.</summary>
[From("unified-token-mixing", "state space")]
public sealed class StateSpaceMixer(Tensor lambda, Tensor b, Tensor c) : TokenMixer
{
    public override bool DataDependent => false;
    public override Tensor Forward(Tensor q, Tensor k, Tensor v)
    {
        var (batch, h, n, e) = v.Shape; int s = lambda.Shape[1];
        Tensor Wide(Tensor x) => x.Reshape([1, h, 1, 1, s]).Expand([batch, h, n, e, s]);
        var states = ElementwiseRecurrence.Run(this, Wide(lambda).Reshape([batch * h, n, e * s]), (v.Reshape([batch, h, n, e, 1]).Expand([batch, h, n, e, s]) * Wide(b)).Reshape([batch * h, n, e * s]), Pass.Eval);
        return (states.Reshape([batch, h, n, e, s]) * Wide(c)).Sum(4).Reshape(v.Shape);
    }
    public override Tensor Materialise(Tensor q, Tensor k)
    {
        var (batch, h, n, _) = q.Shape; int states = lambda.Shape[1]; var a = Tensor.Zeros([batch, h, n, n]);
        for (int r = 0; r < batch * h * n; r++)
            for (int s = 0; s <= r % n; s++)
                for (int i = 0; i < states; i++)
                {
                    int at = r / n % h * states + i;
                    a.Span[r * n + s] += (Real)(c.Span[at] * Math.Pow(lambda.Span[at], r % n - s) * b.Span[at]);
                }
        return a;
    }
    public override double Cost(int tokens, int dim) => (double)tokens * dim * lambda.Shape[1];
}
