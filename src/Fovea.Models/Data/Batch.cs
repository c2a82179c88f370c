using System.Numerics.Tensors;
namespace Fovea.Models;

/// <summary>
/// Size rows of Length tokens, row by row: [Size, Length]. The target at a place is the token that should come after it;
/// −1 means that nothing is asked there and the loss skips it.
/// </summary>
public sealed class Batch
{
    public int[] Inputs { get; }
    public int[] Targets { get; }
    public int Size { get; }
    public int Length { get; }

    public Batch(int[] inputs, int[] targets, int size, int length)
    {
        if (size < 1 || length < 1) throw new ArgumentException($"a batch has at least one row of one token, found {size} rows of {length}");
        if (inputs.Length != (long)size * length) throw new ArgumentException($"inputs holds {inputs.Length} tokens, expected {size} × {length}", nameof(inputs));
        if (targets.Length != inputs.Length) throw new ArgumentException($"targets holds {targets.Length} tokens, expected {inputs.Length}", nameof(targets));
        (Inputs, Targets, Size, Length) = (inputs, targets, size, length);
    }

    public ReadOnlySpan<int> Input(int row) => Inputs.AsSpan(row * Length, Length);
    public ReadOnlySpan<int> Target(int row) => Targets.AsSpan(row * Length, Length);
    /// <summary>How many places ask for something.</summary>
    public int Asked => Targets.Count(t => t >= 0);
    /// <summary>At how many of them the likeliest token of logits [Size,Length,V] is the target.</summary>
    public int Right(Tensor logits) => Right(logits, Targets);
    /// <summary>In how many rows of logits [targets,V] the largest is the target; negative targets do not count.</summary>
    public static int Right(Tensor logits, ReadOnlySpan<int> targets)
    {
        int v = logits.Shape[-1], right = 0;
        if (logits.Shape.Size != (long)targets.Length * v) throw new ArgumentException($"logits are {logits.Shape}, expected {targets.Length} rows of the vocabulary", nameof(logits));
        for (int t = 0; t < targets.Length; t++) if (targets[t] >= 0 && TensorPrimitives.IndexOfMax<Real>(logits.Span.Slice(t * v, v)) == targets[t]) right++;
        return right;
    }
}

/// <summary>An endless supply of batches: row b of step s is a function of (rng, s, b) and of nothing else.</summary>
public abstract class Source
{
    /// <summary>Tokens are 0 … Vocabulary − 1.</summary>
    public abstract int Vocabulary { get; }
    /// <summary>Tokens per row.</summary>
    public abstract int Length { get; }

    /// <summary>The batch of a step; asking twice gives the same numbers, and a smaller batch is the start of a larger one.</summary>
    public Batch Batch(Rng rng, int step, int size)
    {
        if (size < 1) throw new ArgumentOutOfRangeException(nameof(size), size, "size must be at least 1");
        var inputs = new int[size * Length]; var targets = new int[size * Length];
        for (int b = 0; b < size; b++) Fill(new Dice(rng[step][b]), inputs.AsSpan(b * Length, Length), targets.AsSpan(b * Length, Length));
        return new(inputs, targets, size, Length);
    }

    /// <summary>Writes one row; both spans hold Length tokens and are overwritten entirely.</summary>
    private protected abstract void Fill(Dice dice, Span<int> inputs, Span<int> targets);
    internal void Write(Dice dice, Span<int> inputs, Span<int> targets) => Fill(dice, inputs, targets);

    /// <summary>Inputs are all tokens but the last, targets all but the first.</summary>
    private protected static void Next(ReadOnlySpan<int> tokens, Span<int> inputs, Span<int> targets) { tokens[..^1].CopyTo(inputs); tokens[1..].CopyTo(targets); }
}

/// <summary>The draws of one key, in order.</summary>
sealed class Dice(Rng rng)
{
    int drawn;
    public double Uniform() => rng.Uniform(drawn++);
    /// <summary>0 … below − 1.</summary>
    public int Next(int below) => Math.Min(below - 1, (int)(Uniform() * below));
    public T Pick<T>(ReadOnlySpan<T> from) => from[Next(from.Length)];
    /// <summary>Brings so many of them, drawn without putting back, to the front.</summary>
    public void Draw<T>(Span<T> x, int count) { for (int i = 0; i < count; i++) { int j = i + Next(x.Length - i); (x[i], x[j]) = (x[j], x[i]); } }
    public void Shuffle<T>(Span<T> x) { for (int i = x.Length - 1; i > 0; i--) { int j = Next(i + 1); (x[i], x[j]) = (x[j], x[i]); } }
}
