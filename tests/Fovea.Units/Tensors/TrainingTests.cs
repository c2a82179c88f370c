using Fovea.Mechanisms;
using Fovea.Models;

namespace Fovea.Units;

public sealed class TrainingTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("fovea-training-").FullName;
    public void Dispose() => Directory.Delete(folder, recursive: true);

    static readonly ModelConfig Tiny = new(17, 16, 2, 2) { Length = 16, Hidden = 24, Dropout = 0.1 };

    static (Trainer, Func<int, Pass, Tensor>, Weights) Run(string? checkpoint, int steps, int accumulate = 2)
    {
        var w = Weights.Random(new Rng(4)); var model = new DecoderModel(Tiny, w, (i, c, v) => i == 0 ? new SoftmaxAttention(c, v) : new GatedLinearAttention(c, v));
        var trainer = new Trainer(w, new AdamW(), new TrainerOptions { Steps = steps, Schedule = new WarmupCosine(3e-3, 5, 40), Accumulate = accumulate, Rng = new Rng(9), Checkpoint = checkpoint, CheckpointEvery = 7 });
        Tensor Loss(int i, Pass pass)
        {
            var r = new Rng(77)[i]; var tokens = new int[2 * 12]; var targets = new int[2 * 12];
            for (int t = 0; t < tokens.Length; t++) { tokens[t] = r.Below(t, 17); targets[t] = (tokens[t] + 1) % 17; }
            return model.Loss(tokens, targets, 2, pass);
        }
        return (trainer, Loss, w);
    }

    [Fact]
    public void A_resumed_run_continues_with_the_same_bits()
    {
        var (whole, loss, w) = Run(null, 40);
        whole.Run(loss);
        string path = Path.Combine(folder, "run.safetensors");
        foreach (int stop in new[] { 3, 7, 16, 29 })
        {
            var (first, firstLoss, _) = Run(path, 40);
            using var cancel = new CancellationTokenSource();
            // Cancelled runs write where they are; a killed one (below) leaves the last multiple of seven.
            first.Resume();
            Assert.ThrowsAny<OperationCanceledException>(() => first.Run(firstLoss, step => { if (step == stop) cancel.Cancel(); }, cancel.Token));
            Assert.Equal(stop, first.Step);
        }
        var (last, lastLoss, resumed) = Run(path, 40);
        Assert.True(last.Resume());
        Assert.Equal(29, last.Step);
        last.Run(lastLoss);
        Assert.Equal(whole.Losses, last.Losses);
        foreach (var (name, p) in w.All) Assert.True(p.Span.SequenceEqual(resumed.All[name].Span), name);
        Assert.True(whole.Losses[^1] < whole.Losses[0]);
    }

    [Fact]
    public void A_run_stopped_while_it_computes_resumes_from_its_last_checkpoint_with_the_same_bits()
    {
        var (whole, loss, _) = Run(null, 24);
        whole.Run(loss);
        string path = Path.Combine(folder, "killed.safetensors");
        var (first, firstLoss, _) = Run(path, 24);
        Assert.Throws<InvalidOperationException>(() => first.Run((i, pass) => i == 2 * 17 + 1 ? throw new InvalidOperationException("the lights go out") : firstLoss(i, pass)));
        var (second, secondLoss, _) = Run(path, 24);
        Assert.True(second.Resume());
        Assert.Equal(14, second.Step);
        second.Run(secondLoss);
        Assert.Equal(whole.Losses, second.Losses);
    }

    [Fact]
    public void A_checkpoint_of_another_model_is_refused()
    {
        string path = Path.Combine(folder, "other.safetensors");
        var w = Weights.Random(new Rng(4)); _ = new Linear(w, 3, 4);
        new Trainer(w, new AdamW(), new TrainerOptions { Checkpoint = path }).Save();
        var (trainer, _, _) = Run(path, 5);
        Assert.Contains("weights/", Assert.Throws<InvalidDataException>(() => trainer.Resume()).Message);
        Safetensors.Write(path, w.All);
        Assert.Contains("training step", Assert.Throws<InvalidDataException>(() => trainer.Resume()).Message);
    }

    [Fact]
    public void Accumulated_micro_batches_give_the_gradient_of_their_mean()
    {
        var a = Weights.Random(new Rng(4)); var x = Tensor.Normal(new Rng(1), [6, 5]);
        var linear = new Linear(a, 5, 3);
        Real[] Gradient(int parts)
        {
            a.ZeroGrad();
            for (int i = 0; i < parts; i++)
            {
                using var scope = Scope.Train();
                linear.Forward(x.Slice(0, i * 6 / parts, (i + 1) * 6 / parts)).Square().Mean().Backward(1f / parts);
            }
            return linear.Weight.Grad.ToArray();
        }
        var whole = Gradient(1); var pieces = Gradient(3);
        for (int i = 0; i < whole.Length; i++) Assert.Equal(whole[i], pieces[i], 1e-6f);
    }

    [Fact]
    public void A_loss_that_is_not_finite_stops_the_run_and_says_where()
    {
        var (trainer, _, w) = Run(null, 5);
        var e = Assert.Throws<ArithmeticException>(() => trainer.Run((_, _) => w.All.Values.First().Sum() * Real.NaN));
        Assert.Contains("step 1", e.Message);
    }

    [Fact]
    public void Clipping_scales_to_the_norm_and_reports_what_it_was()
    {
        var w = Weights.Random(new Rng(4)); var p = w.Get("p", [3]); p.Grad[0] = 3; p.Grad[2] = 4;
        Assert.Equal(5, Gradients.Clip(w.All, 1), 1e-12);
        Assert.Equal(1, Gradients.Norm(w.All), 1e-6);
        p.Grad[1] = Real.NaN;
        Assert.Contains("p", Assert.Throws<ArithmeticException>(() => Gradients.Clip(w.All, 1)).Message);
    }

    [Fact]
    public void Adam_with_decoupled_decay_follows_its_formula()
    {
        var w = Weights.Random(new Rng(4)); var p = w.Get("p", [2, 3]); var start = p.Span.ToArray().Select(x => (double)x).ToArray();
        double[] m = new double[6], v = new double[6];
        var adam = new AdamW(0.9, 0.99, 1e-8, 0.2);
        for (int step = 1; step <= 5; step++)
        {
            for (int i = 0; i < 6; i++)
            {
                double g = Math.Sin(step * (i + 1)); p.Grad[i] = (Real)g;
                m[i] = 0.9 * m[i] + 0.1 * g; v[i] = 0.99 * v[i] + 0.01 * g * g;
                start[i] -= 0.01 * 0.2 * start[i] + 0.01 * (m[i] / (1 - Math.Pow(0.9, step))) / (Math.Sqrt(v[i] / (1 - Math.Pow(0.99, step))) + 1e-8);
            }
            adam.Update(w.All, 0.01);
        }
        for (int i = 0; i < 6; i++) Assert.Equal(start[i], p.Span[i], 1e-5);
    }

    [Fact]
    public void The_schedule_warms_up_and_falls_along_a_cosine()
    {
        var s = new WarmupCosine(1, 10, 110, 0.1);
        Assert.Equal(0.1, s.Rate(0), 1e-12); Assert.Equal(1, s.Rate(9), 1e-12); Assert.Equal(1, s.Rate(10), 1e-12);
        Assert.Equal(0.55, s.Rate(60), 1e-12); Assert.Equal(0.1, s.Rate(110), 1e-12); Assert.Equal(0.1, s.Rate(500), 1e-12);
    }

    [Fact]
    public void Steady_state_training_allocates_little()
    {
        var w = Weights.Random(new Rng(4)); var model = new DecoderModel(new(256, 64, 4, 4) { Length = 32 }, w);
        var trainer = new Trainer(w, new AdamW(), new TrainerOptions { Steps = 60, Schedule = new Constant(1e-3) });
        var tokens = new int[2 * 32]; long before = 0; int measured = 0;
        trainer.Run((_, pass) => model.Loss(tokens, tokens, 2, pass), step =>
        {
            if (step == 20) before = GC.GetAllocatedBytesForCurrentThread();
            if (step == 60) measured = (int)((GC.GetAllocatedBytesForCurrentThread() - before) / 40);
        });
        Assert.InRange(measured, 1, 100_000);
    }
}
