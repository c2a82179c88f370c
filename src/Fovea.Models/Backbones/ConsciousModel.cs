using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>What a thought says: logits of the asked value [B,values], the conscious state [B,C], the unconscious one [B,M,C], and the slots that each step chose [steps][B·k].</summary>
public sealed record Thought(Tensor Logits, Tensor Conscious, Tensor Unconscious, IReadOnlyList<int[]> Chosen);

/// <summary>
/// A small build of the consciousness prior: every variable is a slot, an embedding of what it is and what value it has (the asked one is hidden); one layer of self-attention makes of them the unconscious state h. From c₀ = 0 a few steps
/// follow: a query from c_{t−1} and the task scores the keys of h, the <c>k</c> best slots pass the bottleneck with their own embeddings, and a small network makes c_t of them; the last one answers. While training the choice is made
/// stochastic by Gumbel noise and sharper by a falling temperature. A verifier says whether a conscious state belongs to an unconscious one. The paper gives no experiments; this follows its elements h, c, z and V. Left out: the choice of
/// what to predict, which here is asked, and utterances.
/// </summary>
[From("consciousness-prior", "§2")]
public sealed class ConsciousModel
{
    readonly Embedding what, task; readonly Block encoder; readonly Norm norm; readonly Linear query, key, check, read; readonly Mlp think, answer, judge; readonly int variables, values, dim, k, steps;

    /// <param name="k">Slots that pass per step; all of them for dense attention.</param>
    public ConsciousModel(Weights w, int variables, int values, int dim = 32, int k = 3, int steps = 2)
    {
        if (k < 1 || k > variables || steps < 1) throw new ArgumentException($"{k} of {variables} slots in {steps} steps");
        (this.variables, this.values, this.dim, this.k, this.steps) = (variables, values, dim, k, steps); var c = new ModelConfig(1, dim, 1, 4) { Position = null, Hidden = 2 * dim };
        what = new(w["slots"], variables * (values + 1), dim); task = new(w["task"], variables, dim);
        encoder = new(c, w["encoder"], 0, causal: false, ModelConfig.Softmax); norm = c.Norm(w["norm"], dim);
        query = new(w["query"], 2 * dim, dim); key = new(w["key"], dim, dim); check = new(w["check"], dim, dim); read = new(w["read"], dim, dim);
        think = new(w["think"], 3 * dim, 4 * dim); answer = new(w["answer"], 3 * dim, 4 * dim); judge = new(w["judge"], 3 * dim, 2 * dim);
    }

    /// <param name="temperature">What scores are divided by.</param>
    public Thought Forward(WorldBatch worlds, Pass pass, double temperature = 0.3)
    {
        int b = worlds.Size, m = variables;
        if (worlds.Variables != m) throw new ShapeException($"worlds of {worlds.Variables} variables, the model has {m}");
        var x = what.Forward([.. worlds.Values.Select((v, i) => i % m * (values + 1) + (i % m == worlds.Asked[i / m] ? values : v))], b) * 20; var asked = task.Forward(worlds.Asked, b).Reshape([b, dim]) * 20;
        var h = norm.Forward(encoder.Forward(x, null, pass), pass); var keys = key.Forward(h); var c = Tensor.Zeros([b, dim]); var chosen = new List<int[]>(); var hidden = Tensor.Zeros([b, m]);
        for (int i = 0; i < b; i++) hidden.Span[i * m + worlds.Asked[i]] = Real.NegativeInfinity;
        for (int t = 0; t < steps; t++)
        {
            var scores = query.Forward(Tensor.Concat(-1, c, asked)).Reshape([b, 1, dim]).MatMulT(keys).Reshape([b, m]) * (1 / Real.Sqrt(dim));
            if (pass.Training && k < m) scores += Noise(pass.Rng["gumbel"][t], [b, m]);
            // Dense attention may look at the hidden slot, which says nothing; with k of them it would be wasted.
            var (seen, slots) = Bottleneck.Read(k < m ? scores * (Real)(1 / temperature) + hidden : scores, x, k);
            chosen.Add(slots); c += think.Forward(Tensor.Concat(-1, c, seen, asked), pass).Slice(-1, 0, dim);
            c = c.RmsNorm(null, (Real)1e-6);
            if (t == steps - 1) return new(answer.Forward(Tensor.Concat(-1, c, seen, asked), pass).Slice(-1, 0, values), c, h, chosen);
        }
        throw new InvalidOperationException("a thought has at least one step");
    }

    static Tensor Noise(Rng rng, Shape shape)
    {
        var y = Tensor.Empty(shape);
        for (int i = 0; i < y.Shape.Size; i++) y.Span[i] = (Real)(-Math.Log(-Math.Log(rng.Uniform(i) + 1e-12) + 1e-12));
        return y;
    }

    /// <summary>Mean cross-entropy of the asked values in nats.</summary>
    public Tensor Loss(WorldBatch worlds, Pass pass, double temperature) => Forward(worlds, pass, temperature).Logits.CrossEntropy([.. Enumerable.Range(0, worlds.Size).Select(worlds.Answer)]);

    /// <summary>How consistent conscious states [B,C] are with unconscious ones [B,M,C], a logit each [B,1]: what the thought looks up in h, against the thought.</summary>
    public Tensor Verify(Tensor conscious, Tensor unconscious, Pass pass)
    {
        int b = conscious.Shape[0]; var found = Bottleneck.Read(check.Forward(conscious).Reshape([b, 1, dim]).MatMulT(unconscious).Reshape([b, variables]), unconscious, variables).Read;
        return judge.Forward(Tensor.Concat(-1, conscious, found, conscious * read.Forward(found)), pass).Slice(-1, 0, 1);
    }
}
