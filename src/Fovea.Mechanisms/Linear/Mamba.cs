namespace Fovea.Mechanisms;

/// <summary>Places in a Mamba layer where activations can be watched or rounded: the input of a linear layer or of the scan.</summary>
public enum MambaPlace
{
    /// <summary>u, before W_in.</summary>
    Input,
    /// <summary>x, before the convolution.</summary>
    Convolution,
    /// <summary>x, as the scan and W_x read it.</summary>
    Scan,
    /// <summary>The low-rank Δ, before W_Δ.</summary>
    Rank,
    /// <summary>Δ after its softplus.</summary>
    Step,
    /// <summary>What x is written with, B.</summary>
    Write,
    /// <summary>What the state is read with, C.</summary>
    Read,
    /// <summary>z, before its SiLU.</summary>
    Gate,
    /// <summary>y after the gate, before W_out.</summary>
    Output,
}

/// <summary>The linear layers of a Mamba layer.</summary>
public enum MambaProduct { In, Select, Step, Out }

/// <summary>
/// Mamba (arXiv 2312.00752, as Quamba §2 and §4 quantises it): [x, z] = W_in u with 2·C channels each; x = SiLU(causal convolution over four tokens); [Δ, B, C] = W_x x with ranks ⌈C/16⌉, S and S; Δ = softplus(W_Δ Δ + b);
/// A = −exp(A_log), at first −1 … −S; h_t = exp(Δ_t A) ∘ h_{t−1} + Δ_t B_t x_t; y_t = C_t·h_t + D x_t; out = W_out (y ∘ SiLU(z)). b starts as the inverse softplus of log-uniform numbers from 0.001 to 0.1, D at 1. The state is S numbers for each of
/// the 2·C channels, and three tokens of the convolution. It has no heads and looks back only.
/// </summary>
[From("quamba", "§2, §4")]
[From("2312.00752", "§3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class MambaAttention : Attention
{
    readonly int channels, width, states, rank; readonly Tensor taps, convBias, logA, skip, stepBias; readonly Linear[] linear; readonly Func<Tensor, Tensor>?[] replaced = new Func<Tensor, Tensor>?[4];
    // The scan has a state of its own beside the convolution's.
    readonly object scan = new();

    public MambaAttention(AttentionConfig c, Weights w, int states = 16)
    {
        if (!c.Causal) throw new ArgumentException("a scan looks back only; it needs Causal = true");
        if (states < 1) throw new ArgumentException($"states is {states}, expected at least 1");
        (channels, width, this.states, rank) = (c.Dim, 2 * c.Dim, states, (c.Dim + 15) / 16);
        linear = [new(w["in_proj"], channels, 2 * width), new(w["x_proj"], width, rank + 2 * states), new(w["dt_proj"], rank, width), new(w["out_proj"], width, channels)];
        taps = w["conv"].Get("weight", [width, 4]); convBias = w["conv"].Get("bias", [width], Init.Zeros);
        stepBias = w["dt_proj"].Get("bias", [width], t => { for (int i = 0; i < width; i++) { double s = 0.001 * Math.Pow(100, w.Rng["dt"].Uniform(i)); t.Span[i] = (Real)Math.Log(Math.Exp(s) - 1); } });
        logA = w.Get("A_log", [width, states], t => { for (int i = 0; i < t.Shape.Size; i++) t.Span[i] = (Real)Math.Log(1 + i % states); }); skip = w.Get("D", [width], Init.Ones);
    }

    /// <summary>Looks at activations, or goes on with others; null: nothing.</summary>
    public Func<MambaPlace, Tensor, Tensor>? Watch { get; set; }
    /// <summary>A factor per channel after the gate, or null. With the columns of W_out divided by it, the layer computes the same.</summary>
    public Tensor? OutputGain { get; set; }
    public Linear Product(MambaProduct p) => linear[(int)p];
    /// <summary>Computes a product in another way, such as with integers; without the bias of the step.</summary>
    public void Replace(MambaProduct p, Func<Tensor, Tensor> product) => replaced[(int)p] = product;

    Tensor At(MambaPlace place, Tensor x) => Watch?.Invoke(place, x) ?? x;
    Tensor Times(MambaProduct p, Tensor x) => replaced[(int)p]?.Invoke(x) ?? linear[(int)p].Forward(x);

    public override Tensor Forward(Tensor x, Tensor context, Pass pass)
    {
        Check.Shape(x, [-1, -1, channels]);
        if (!ReferenceEquals(x, context)) throw new ArgumentException("a scan reads its own input only");
        var u = Times(MambaProduct.In, At(MambaPlace.Input, x));
        var conv = ShortConvolution.Run(this, At(MambaPlace.Convolution, u.Slice(-1, 0, width)), taps, convBias, pass);
        var y = Scan(At(MambaPlace.Scan, conv.Silu()), pass) * At(MambaPlace.Gate, u.Slice(-1, width, 2 * width)).Silu();
        if (OutputGain is { } gain) y *= gain;
        return pass.At(Part.AttnOut, Times(MambaProduct.Out, At(MambaPlace.Output, pass.At(Part.Z, y))));
    }

    Tensor Scan(Tensor x, Pass pass)
    {
        var (b, n, _) = x.Shape; var s = Times(MambaProduct.Select, x);
        var step = At(MambaPlace.Step, (Times(MambaProduct.Step, At(MambaPlace.Rank, s.Slice(-1, 0, rank))) + stepBias).Softplus()).Reshape([b, n, width, 1]);
        Tensor write = At(MambaPlace.Write, s.Slice(-1, rank, rank + states)), read = At(MambaPlace.Read, s.Slice(-1, rank + states, rank + 2 * states));
        Shape wide = [b, n, width, states]; var decay = (step.Expand(wide) * -logA.Exp()).Exp();
        var input = (step * x.Reshape([b, n, width, 1])).Expand(wide) * write.Reshape([b, n, 1, states]);
        var h = ElementwiseRecurrence.Run(scan, decay.Reshape([b, n, width * states]), input.Reshape([b, n, width * states]), pass);
        return h.Reshape([b, n, width, states]).MatMul(read.Reshape([b, n, states, 1])).Reshape(x.Shape) + x * skip;
    }
}
