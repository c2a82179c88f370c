namespace Fovea;

/// <summary>What an LSTM carries from step to step: output h [B,C] and cell c [B,C].</summary>
public readonly record struct LstmState(Tensor H, Tensor C);

/// <summary>
/// Long short-term memory: i, f, o = σ(W x + U h + b), g = tanh(…), c ← f∘c + i∘g, h = o∘tanh(c). Parameters input [4C,In], recurrent [4C,C] and bias [4C] in the order i, f, g, o;
/// the bias of f starts at 1, so that a new cell remembers.
/// </summary>
public sealed class Lstm(Weights w, int @in, int hidden)
{
    readonly Tensor input = w.Get("input", [4 * hidden, @in]), recurrent = w.Get("recurrent", [4 * hidden, hidden]), bias = w.Get("bias", [4 * hidden], t => t.Span.Slice(hidden, hidden).Fill(1));

    /// <summary>The state before the first step: zeros.</summary>
    public LstmState Start(int batch) => new(Tensor.Zeros([batch, hidden]), Tensor.Zeros([batch, hidden]));

    /// <summary>One step: x [B,In].</summary>
    public LstmState Step(Tensor x, LstmState s)
    {
        Check.Shape(x, [s.H.Shape[0], @in]);
        return Cell(x.MatMulT(input) + bias, s);
    }

    /// <summary>A whole sequence: x [B,N,In] → outputs [B,N,C] and the last state. Starts from zeros if there is no state.</summary>
    public (Tensor Outputs, LstmState Last) Forward(Tensor x, LstmState? state = null)
    {
        Check.Shape(x, [-1, -1, @in]);
        var (b, n, _) = x.Shape; var s = state ?? Start(b); var outputs = new Tensor[n];
        // What the inputs say is one product for all steps.
        var all = x.MatMulT(input) + bias;
        for (int t = 0; t < n; t++)
        {
            s = Cell(all.Rows(t, t + 1).Reshape([b, 4 * hidden]), s);
            outputs[t] = s.H.Reshape([b, 1, hidden]);
        }
        return (Tensor.Concat(1, outputs), s);
    }

    LstmState Cell(Tensor fromInput, LstmState s)
    {
        var a = fromInput + s.H.MatMulT(recurrent);
        Tensor Part(int i) => a.Slice(1, i * hidden, (i + 1) * hidden);
        var c = Part(1).Sigmoid() * s.C + Part(0).Sigmoid() * Part(2).Tanh();
        return new(Part(3).Sigmoid() * c.Tanh(), c);
    }
}
