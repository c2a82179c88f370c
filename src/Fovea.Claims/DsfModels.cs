using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

// What is trained: one mixer and one MLP, on pairs that are each one token. With 64 channels the values alone hold all pairs and four features are enough; with 32 channels and 32 pairs the state must.
static partial class Dsf
{
    /// <summary>Linear attention with so many features per head, divided by nothing, or by η_i = exp(w·u_i), which no key enters.</summary>
    sealed class Expanded(AttentionConfig c, Weights w, int features, bool normalised) : HeadAttention(c, w, features)
    {
        readonly Linear? eta = normalised ? new(w["eta"], c.Dim, c.Heads) : null;

        protected override Tensor Attend(Heads h, Pass pass)
        {
            var o = Recurrence.Attend(this, h.Q.EluPlusOne(), h.K.EluPlusOne(), h.V, null, pass) * (1 / (Real)features); var (b, heads, n, e) = o.Shape;
            return eta is null ? o : o * (-eta.Forward(h.X)).Exp().SplitHeads(heads).Expand([b, heads, n, e]);
        }
    }

    /// <summary>The same divided by φ(q)·Σ φ(k), as linear attention is.</summary>
    sealed class Divided(AttentionConfig c, Weights w, int features) : FeatureMapAttention(c, w, features)
    {
        public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => (q.EluPlusOne(), k.EluPlusOne());
    }

    /// <summary>h = f∘h + i∘u, y = o∘h: gates of their own, or those of S6, f = σ(−x)^a and i = softplus(x) of one projection. Both begin with f = σ(4), or nothing would last until it is asked for.</summary>
    sealed class GatedNetwork(AttentionConfig c, Weights w, bool coupled) : Attention
    {
        readonly Linear u = new(w["u"], c.Dim, c.Dim), f = new(w["f"], c.Dim, c.Dim), o = new(w["o"], c.Dim, c.Dim), y = new(w["y"], c.Dim, c.Dim);
        readonly Linear? i = coupled ? null : new(w["i"], c.Dim, c.Dim); readonly Tensor? power = coupled ? w.Get("a", [c.Dim], Init.Zeros) : null;

        public override Tensor Forward(Tensor x, Tensor context, Pass pass)
        {
            Tensor gate = f.Forward(x) + (coupled ? -4 : 4), step = gate.Softplus();
            var (keep, take) = i is null ? ((-step * power!.Exp()).Exp(), step) : (gate.Sigmoid(), i.Forward(x).Sigmoid());
            return y.Forward(ElementwiseRecurrence.Run(this, keep, take * u.Forward(x), pass) * o.Forward(x).Sigmoid());
        }
    }

    // Single models learn at different steps.
    const int Models = 3;

    static double Recalled(ClaimRun run, string name, Mixer mixer, int steps = 800, int dim = 32, int keys = 32, int values = 8)
    {
        var text = new MarkedText(run.Rng["table"], 80, keys, values, 32, every: 0);
        var config = new ModelConfig(text.Vocabulary, dim, 1, 2) { Hidden = 64, Length = 80, Position = null }; var held = SmallRuns.HeldOut(run, text, 8, 32);
        return SmallRuns.Mean(Models, i => SmallRuns.Train(run, $"dsf-{name}-{i}", config, text, steps, 16, 6e-3, mixer, number: i), model => SmallRuns.Accuracy(model, held));
    }

    /// <remarks>Softmax without positions learns more slowly here than sums do: 64 features are beyond it (0.80 to 0.91 after 800 steps, 1.00).</remarks>
    [Claim("on associative recall linear attention gets better with its state, most of the way to softmax; dividing by what no key enters costs nothing; the gates of S6 are better for a gated network than its own")]
    static Evidence Recall(ClaimRun run)
    {
        double softmax = Recalled(run, "softmax", ModelConfig.Softmax); double[] sizes = [.. new[] { 4, 16, 64 }.Select(d => Recalled(run, $"features-{(run.Ablated ? 4 : d)}", (_, c, w) => new Divided(c, w, run.Ablated ? 4 : d)))];
        // Dividing slows learning down: single models were up to 5 points behind after 1,000 steps.
        double plain = Recalled(run, "plain", (_, c, w) => new Expanded(c, w, 16, false), 1500, keys: 16), normalised = Recalled(run, "normalised", (_, c, w) => new Expanded(c, w, 16, true), 1500, keys: 16);
        // Networks hold one number per channel: fewer pairs, more channels.
        double Network(bool coupled) => Recalled(run, coupled ? "coupled" : "lstm", (_, c, w) => new GatedNetwork(c, w, coupled), 500, 64, 8, 4); double lstm = Network(false), coupled = Network(true);
        return Evidence.All(Evidence.AtLeast(Math.Min(sizes[1] - sizes[0], sizes[2] - sizes[1]), -0.01, "", $"least rise of the accuracy from 4 ({sizes[0]:f3}) to 16 ({sizes[1]:f3}) to 64 features ({sizes[2]:f3})"), Evidence.AtLeast(sizes[2] - sizes[0], 0.2, "", "whole rise"),
            Evidence.AtMost((softmax - sizes[2]) / Math.Abs(softmax - sizes[0]), 0.5, "", $"distance to softmax ({softmax:f3}) with 64 features over that with 4"), Evidence.AtLeast(normalised - plain, -0.01, "", $"normalised by position beyond not at all ({plain:f3}), 16 features"),
            Evidence.AtLeast(coupled - lstm, 0, "", $"gates of S6 beyond those of the network ({lstm:f3})"));
    }
}
