using System.Globalization;
namespace Fovea;

/// <summary>What a training run does; everything that decides its numbers.</summary>
public sealed record TrainerOptions
{
    public int Steps { get; init; } = 1000;
    public Schedule Schedule { get; init; } = new Constant(1e-3);
    /// <summary>Gradients are scaled down to this norm; infinity for never.</summary>
    public double Clip { get; init; } = 1;
    /// <summary>Micro-batches whose gradients are added up for one update.</summary>
    public int Accumulate { get; init; } = 1;
    /// <summary>Key for dropout and other draws of the passes.</summary>
    public Rng Rng { get; init; } = new(1);
    /// <summary>How intermediate results wait for Backward; null: as they are.</summary>
    public SavedTensors? Saved { get; init; }
    /// <summary>Checkpoint file, or null for none.</summary>
    public string? Checkpoint { get; init; }
    /// <summary>Updates between two checkpoints.</summary>
    public int CheckpointEvery { get; init; } = 100;
}

/// <summary>
/// The training loop. The caller's function computes the loss of micro-batch number i (0, 1, 2 …): the data's position is that number,
/// so a run that resumes from a checkpoint continues with the same batches, the same keys and the same bits.
/// </summary>
public sealed class Trainer(Weights weights, Optimiser optimiser, TrainerOptions options)
{
    readonly List<double> losses = [];
    /// <summary>Mean loss in nats of each update so far.</summary>
    public IReadOnlyList<double> Losses => losses;
    /// <summary>Updates made so far.</summary>
    public int Step => optimiser.Step;
    public TrainerOptions Options => options;

    /// <summary>Loads the checkpoint file if there is one; returns whether it did. Throws if the file does not fit this model.</summary>
    public bool Resume()
    {
        if (options.Checkpoint is not { } path || !File.Exists(path)) return false;
        var file = Safetensors.Open(path);
        if (!file.Metadata.TryGetValue("fovea.step", out string? text) || !int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int step))
            throw new InvalidDataException($"{path}: no training step in the metadata; expected a file that a trainer wrote");
        foreach (var (name, p) in weights.All) Take(path, file, "weights/" + name, p.Shape).CopyTo(p.Span);
        optimiser.State.Clear();
        foreach (var (name, t) in file.Tensors)
            if (name.StartsWith("optimiser/", StringComparison.Ordinal)) optimiser.State[name["optimiser/".Length..]] = t;
        losses.Clear();
        // Losses are written as the bits of a double, so that the resumed curve is the same to the last one.
        foreach (string s in file.Metadata.GetValueOrDefault("fovea.losses", "").Split(' ', StringSplitOptions.RemoveEmptyEntries))
            losses.Add(BitConverter.UInt64BitsToDouble(ulong.Parse(s, NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
        if (losses.Count != step) throw new InvalidDataException($"{path}: {losses.Count} losses for {step} steps");
        optimiser.Step = step;
        return true;
    }
    static Span<Real> Take(string path, SafetensorsFile file, string name, Shape shape) =>
        !file.Tensors.TryGetValue(name, out var t) ? throw new InvalidDataException($"{path}: no tensor {name} {shape}")
        : t.Shape != shape ? throw new InvalidDataException($"{path}: {name} is {t.Shape}, the model has {shape}") : t.Span;

    /// <summary>Writes the checkpoint file atomically: weights, optimiser state, step and losses. Does nothing without a path.</summary>
    public void Save()
    {
        if (options.Checkpoint is not { } path) return;
        var all = new Dictionary<string, Tensor>();
        foreach (var (name, p) in weights.All) all["weights/" + name] = p;
        foreach (var (name, t) in optimiser.State) all["optimiser/" + name] = t;
        Safetensors.Write(path, all, new Dictionary<string, string>
        {
            ["fovea.step"] = Step.ToString(CultureInfo.InvariantCulture),
            ["fovea.losses"] = string.Join(' ', losses.Select(l => BitConverter.DoubleToUInt64Bits(l).ToString("x16", CultureInfo.InvariantCulture))),
        });
    }

    /// <summary>
    /// Runs until Steps updates are made; after each calls watch (which may be null) with the number made. Cancelling ends between two updates, after writing a checkpoint.
    /// loss(i, pass) returns the scalar loss of micro-batch i. Throws ArithmeticException if a loss or gradient is not finite.
    /// </summary>
    public void Run(Func<int, Pass, Tensor> loss, Action<int>? watch = null, CancellationToken cancel = default)
    {
        while (Step < options.Steps)
        {
            if (cancel.IsCancellationRequested) { Save(); cancel.ThrowIfCancellationRequested(); }
            double mean = 0;
            for (int a = 0; a < options.Accumulate; a++)
            {
                int number = Step * options.Accumulate + a;
                using var scope = Scope.Train();
                var pass = new Pass { Training = true, Rng = options.Rng[number], Saved = options.Saved };
                var l = loss(number, pass);
                foreach (var p in pass.Penalties) l += p;
                double value = l.Item;
                if (!double.IsFinite(value)) throw new ArithmeticException($"the loss of step {Step + 1} is {value.ToString(CultureInfo.InvariantCulture)}");
                mean += value / options.Accumulate;
                l.Backward(1 / (Real)options.Accumulate);
            }
            Gradients.Clip(weights.All, options.Clip);
            optimiser.Update(weights.All, options.Schedule.Rate(Step));
            weights.ZeroGrad();
            losses.Add(mean);
            if (Step % options.CheckpointEvery == 0 || Step == options.Steps) Save();
            watch?.Invoke(Step);
        }
    }
}
