using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>Training and measuring of the small language models that claims compare. Models of one run and number start from the same key and see the same batches.</summary>
static class SmallRuns
{
    /// <summary>What the model of a run with this number draws from.</summary>
    public static Rng Key(ClaimRun run, int number) => number == 0 ? run.Rng : run.Rng["model"][number];

    /// <summary>Weights to train from, whose embeddings start at this size in place of 0.02: what is found by comparing tokens is learned sooner from large ones.</summary>
    public static Weights Embedded(ClaimRun run, int number, ModelConfig config, Real size = (Real)0.6)
    {
        // The first to ask for a weight says where it starts.
        var start = Weights.Random(Key(run, number)["weights"]); var embed = start["embed"];
        embed.Get("weight", [config.Vocabulary, config.Dim], t => embed.Rng["weight"].Normal(t.Span, size));
        return start;
    }

    /// <summary>A decoder trained on a source, or read from the cache under its name, which must tell apart all that this run compares.</summary>
    public static DecoderModel Train(ClaimRun run, string name, ModelConfig config, Source data, int steps, int batch, double rate = 3e-3, Mixer? mixer = null, Weights? from = null, int number = 0)
    {
        var rng = Key(run, number);
        var w = run.Trained(name, () =>
        {
            var w = from ?? Weights.Random(rng["weights"]);
            var model = new DecoderModel(config, w, mixer);
            new Trainer(w, new AdamW(decay: 0.01), new() { Steps = steps, Schedule = new WarmupCosine(rate, steps / 10, steps), Rng = rng["passes"] }).Run((i, pass) =>
            {
                var b = data.Batch(rng["train"], i, batch);
                return model.Loss(b.Inputs, b.Targets, b.Size, pass);
            }, step => { if (step % 20 == 0) run.Report($"{name}: step {step} of {steps}"); }, run.Cancel);
            return w;
        });
        return new(config, w, mixer);
    }

    /// <summary>What is measured on the models of a run, numbered from 0, on average.</summary>
    public static double Mean(int models, Func<int, DecoderModel> of, Func<DecoderModel, double> measure) => Enumerable.Range(0, models).Average(i => measure(of(i)));

    /// <summary>Held-out batches, the same for all models of a run.</summary>
    public static IEnumerable<Batch> HeldOut(ClaimRun run, Source data, int batches, int size) => Enumerable.Range(0, batches).Select(i => data.Batch(run.Rng["held out"], i, size));

    /// <summary>Cross-entropy in nats of every place of a batch, [B·N]; 0 where nothing is asked.</summary>
    public static double[] Losses(DecoderModel model, Batch b)
    {
        using var scope = Scope.NoGrad();
        return [.. model.Forward(b.Inputs, b.Size, Pass.Eval).CrossEntropyRows(b.Targets).Span.ToArray().Select(x => (double)x)];
    }

    /// <summary>Mean cross-entropy in nats over what is asked.</summary>
    public static double Loss(DecoderModel model, IEnumerable<Batch> batches)
    {
        double sum = 0; int asked = 0;
        foreach (var b in batches) { sum += Losses(model, b).Sum(); asked += b.Asked; }
        return sum / asked;
    }

    /// <summary>Share of what is asked where the likeliest token is the target.</summary>
    public static double Accuracy(DecoderModel model, IEnumerable<Batch> batches)
    {
        int right = 0, asked = 0;
        foreach (var b in batches)
        {
            using var scope = Scope.NoGrad();
            right += b.Right(model.Forward(b.Inputs, b.Size, Pass.Eval)); asked += b.Asked;
        }
        return (double)right / asked;
    }

    /// <summary>Tokens one by one; → loss in nats of each, [length][streams].</summary>
    public static double[][] Stream(DecoderModel model, Batch text, Memory memory)
    {
        var losses = new double[text.Length][]; var tokens = new int[text.Size]; var targets = new int[text.Size];
        for (int t = 0; t < text.Length; t++)
        {
            for (int b = 0; b < text.Size; b++) (tokens[b], targets[b]) = (text.Input(b)[t], text.Target(b)[t]);
            using var scope = Scope.NoGrad();
            losses[t] = [.. model.Forward(tokens, text.Size, new Pass { Memory = memory }).CrossEntropyRows(targets).Span.ToArray().Select(x => (double)x)];
        }
        return losses;
    }

    /// <summary>So many tokens after each of size prompts of one length, [size][tokens], each drawn with the probability that the model gives it.</summary>
    public static int[][] Sample(DecoderModel model, int[] prompts, int size, int tokens, Rng rng)
    {
        int[][] made = [.. Enumerable.Range(0, size).Select(_ => new int[tokens])]; var memory = new Memory(); int[] next = prompts;
        for (int t = 0; t < tokens; t++)
        {
            using var scope = Scope.NoGrad();
            var p = model.Forward(next, size, new Pass { Memory = memory }); int n = p.Shape[1], v = p.Shape[2];
            p = p.Rows(n - 1, n).Softmax(); next = new int[size];
            for (int b = 0; b < size; b++)
            {
                double u = rng[t].Uniform(b); int x = 0;
                while (x < v - 1 && (u -= p.Span[b * v + x]) > 0) x++;
                next[b] = made[b][t] = x;
            }
        }
        return made;
    }

    /// <summary>The largest absolute difference; not a number if shapes differ or something is.</summary>
    public static double Apart(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b)
    {
        if (a.Length != b.Length) return double.NaN;
        double worst = 0;
        for (int i = 0; i < a.Length; i++) worst = double.IsNaN(worst) || Real.IsNaN(a[i] - b[i]) ? double.NaN : Math.Max(worst, Math.Abs(a[i] - b[i]));
        return worst;
    }
}
