using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>From inputs [B,n,F] to sequences of at most so many symbols, symbol 0 for the end; trained with teacher forcing.</summary>
public abstract class SequenceToSequence
{
    /// <summary>inputs [B,n,F], symbols so far [B·N] → logits of the next one after each prefix of 0 … N symbols [B,N+1,V]; −∞ is allowed.</summary>
    public abstract Tensor Forward(Tensor inputs, ReadOnlySpan<int> symbols);

    /// <summary>Mean cross-entropy in nats per symbol; targets [B·N] end with 0 and then hold −1.</summary>
    public Tensor Loss(Tensor inputs, int[] targets)
    {
        int b = inputs.Shape[0], n = targets.Length / b; var before = new int[b * (n - 1)];
        for (int i = 0; i < before.Length; i++) before[i] = Math.Max(0, targets[i / (n - 1) * n + i % (n - 1)]);
        return Forward(inputs, before).CrossEntropy(targets);
    }

    /// <summary>The likeliest next symbol, step by step, until all rows have ended or there are <paramref name="longest"/> symbols → [B][≤ longest], without the ends. once: no symbol but the end twice.</summary>
    public int[][] Decode(Tensor inputs, int longest, bool once = false)
    {
        int b = inputs.Shape[0]; List<int>[] found = [.. Enumerable.Range(0, b).Select(_ => new List<int>())];
        for (int t = 0; t < longest && found.Any(f => f.Count == t); t++)
        {
            using var scope = Scope.NoGrad();
            // Rows that have ended are continued with ends, which nobody reads.
            int[] before = [.. found.SelectMany(f => f.Concat(Enumerable.Repeat(0, t - f.Count)))];
            var logits = Forward(inputs, before).Rows(t, t + 1); int v = logits.Shape[2];
            for (int r = 0; r < b; r++)
            {
                if (found[r].Count < t) continue;
                var row = logits.Span.Slice(r * v, v);
                if (once) foreach (int x in found[r]) row[x] = Real.NegativeInfinity;
                int best = 0;
                for (int x = 1; x < v; x++) if (row[x] > row[best]) best = x;
                if (best != 0) found[r].Add(best);
            }
        }
        return [.. found.Select(f => f.ToArray())];
    }
}

/// <summary>
/// Pointer network (§2.3): symbols are places of the input, 1 … n, and p(C_i) = softmax over the input's own encodings; the distribution of attention is the output. An encoder LSTM gives
/// e_1 … e_n, a learned e_0 stands for the end, and the decoder LSTM reads the features of the element chosen last, or a learned start.
/// </summary>
[From("pointer-networks", "§2.3")]
public sealed class PointerNetwork(Weights w, int features, int hidden) : SequenceToSequence
{
    readonly Lstm encoder = new(w["encoder"], features, hidden), decoder = new(w["decoder"], features, hidden);
    readonly PointerHead head = new(w["pointer"], hidden, hidden, hidden);
    readonly Tensor start = w.Get("start", [1, 1, features]), nothing = w.Get("end_features", [1, 1, features]);

    public override Tensor Forward(Tensor inputs, ReadOnlySpan<int> symbols)
    {
        Check.Shape(inputs, [-1, -1, features]);
        var (b, n, f) = inputs.Shape; var (e, last) = encoder.Forward(inputs); int steps = symbols.Length / b;
        var table = Tensor.Concat(1, nothing.Expand([b, 1, f]), inputs).Reshape([b * (n + 1), f]); var rows = new int[symbols.Length];
        for (int i = 0; i < rows.Length; i++) rows[i] = i / steps * (n + 1) + symbols[i];
        var first = start.Expand([b, 1, f]); var x = steps == 0 ? first : Tensor.Concat(1, first, table.Gather(rows).Reshape([b, steps, f]));
        return head.Forward(e, decoder.Forward(x, last).Outputs);
    }
}

/// <summary>Points at the rows of any encoding, of an LSTM or of attention: encodings e [B,n,C] and queries d [B,N,·] → logits [B,N,n+1], column 0 for the learned end element.</summary>
[From("pointer-networks", "Eq. 3")]
public sealed class PointerHead(Weights w, int dim, int queryDim, int hidden)
{
    readonly AdditiveScore score = new(w["score"], dim, queryDim, hidden);
    readonly Tensor end = w.Get("end", [1, 1, dim]);
    public Tensor Forward(Tensor e, Tensor d)
    {
        var (b, _, c) = e.Shape;
        return score.Forward(score.Keys(Tensor.Concat(1, end.Expand([b, 1, c]), e)), d);
    }
}

/// <summary>
/// The baseline: an LSTM encoder and decoder with content attention (d'_i = Σ_j a_ij e_j beside d_i) and an output layer over a fixed dictionary of places 1 … longest, which inputs longer
/// than that cannot use (§2.2). Without attention it is plain sequence to sequence (§2.1).
/// </summary>
[From("pointer-networks", "§2.1, §2.2")]
public sealed class DictionaryNetwork : SequenceToSequence
{
    readonly Lstm encoder, decoder; readonly AdditiveScore? score; readonly Linear output; readonly Tensor start, nothing; readonly int features, longest;

    public DictionaryNetwork(Weights w, int features, int hidden, int longest, bool attention = true)
    {
        (this.features, this.longest) = (features, longest);
        encoder = new(w["encoder"], features, hidden); decoder = new(w["decoder"], features, hidden);
        score = attention ? new(w["score"], hidden, hidden, hidden) : null;
        output = new(w["output"], attention ? 2 * hidden : hidden, longest + 1, bias: true);
        start = w.Get("start", [1, 1, features]); nothing = w.Get("end_features", [1, 1, features]);
    }

    public override Tensor Forward(Tensor inputs, ReadOnlySpan<int> symbols)
    {
        Check.Shape(inputs, [-1, -1, features]);
        var (b, n, f) = inputs.Shape; var (e, last) = encoder.Forward(inputs); int steps = symbols.Length / b;
        // A symbol beyond the input has no features; it is read as the end.
        var table = Tensor.Concat(1, nothing.Expand([b, 1, f]), inputs).Reshape([b * (n + 1), f]); var rows = new int[symbols.Length];
        for (int i = 0; i < rows.Length; i++) rows[i] = i / steps * (n + 1) + (symbols[i] <= n ? symbols[i] : 0);
        var first = start.Expand([b, 1, f]); var d = decoder.Forward(steps == 0 ? first : Tensor.Concat(1, first, table.Gather(rows).Reshape([b, steps, f])), last).Outputs;
        return output.Forward(score is null ? d : Tensor.Concat(-1, d, score.Forward(score.Keys(e), d).Softmax().MatMul(e)));
    }
}
