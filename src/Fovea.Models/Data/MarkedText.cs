namespace Fovea.Models;

/// <summary>
/// Needles in filler: tokens that are key and value at once, anywhere in text of an order-2 chain, and at the end of the row questions, each a token that names a key; the target there is the needle
/// with that key. Tokens 0 … Fillers − 1 are filler, Fillers + k·Values + v is the needle of key k and value v, and Fillers + Keys·Values + k asks for key k. Every key has one needle per row. As key and
/// value are one token, one layer that sees the needle suffices. Chance is 1 / Values.
/// </summary>
public sealed class MarkedText : Source
{
    readonly double[] chain; readonly int nearest, farthest, every, window, spread;

    /// <param name="table">The key of the filler's transition table, the same for training and test.</param>
    /// <param name="questions">Questions at the end of the row.</param>
    /// <param name="nearest">Tokens from a needle to the first question, at least.</param>
    /// <param name="farthest">The same at most; the whole row if null.</param>
    /// <param name="every">Each so-manieth place of the filler is asked for as well, for the next token; 0: none.</param>
    /// <param name="spread">So many more questions at drawn places after the first needle in place of filler: models that see little at a time learn from the near ones.</param>
    public MarkedText(Rng table, int length = 256, int keys = 1, int values = 8, int questions = 8, int nearest = 1, int? farthest = null, int every = 4, int fillers = 8, int spread = 0)
    {
        window = length - questions;
        if (keys < 1 || values < 2 || fillers < 2 || questions < 1) throw new ArgumentException($"{keys} keys, {values} values, {fillers} fillers and {questions} questions make no text");
        this.nearest = nearest; this.farthest = farthest ?? window; this.every = every; this.spread = spread;
        if (nearest < 1 || this.farthest > window || this.farthest - nearest + 1 < keys) throw new ArgumentException($"distances {nearest} to {this.farthest} do not hold {keys} needles in the {window} tokens before the questions");
        (Length, Keys, Values, Questions, Fillers) = (length, keys, values, questions, fillers);
        chain = new double[fillers * fillers * fillers];
        for (int r = 0; r < fillers * fillers; r++)
        {
            double sum = 0;
            for (int j = 0; j < fillers; j++) chain[r * fillers + j] = sum += Math.Exp(4 * table[r].Uniform(j));
            for (int j = 0; j < fillers; j++) chain[r * fillers + j] /= sum;
        }
    }

    public override int Length { get; }
    public override int Vocabulary => Fillers + Keys * Values + Keys;
    public int Keys { get; }
    public int Values { get; }
    public int Questions { get; }
    public int Fillers { get; }

    /// <summary>Whether a target is a needle.</summary>
    public bool IsNeedle(int target) => target >= Fillers;
    /// <summary>The same batch with needles alone asked for, or filler alone.</summary>
    public Batch Only(Batch b, bool needles) => new(b.Inputs, [.. b.Targets.Select(t => t >= 0 && IsNeedle(t) == needles ? t : -1)], b.Size, b.Length);

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        targets.Fill(-1);
        int a = dice.Next(Fillers), b = dice.Next(Fillers);
        for (int i = 0; i < window; i++)
        {
            double u = dice.Uniform(); int row = (a * Fillers + b) * Fillers, next = 0;
            while (next < Fillers - 1 && chain[row + next] < u) next++;
            inputs[i] = next;
            if (every > 0 && i > 1 && i % every == 0) targets[i - 1] = next;
            (a, b) = (b, next);
        }
        var at = new int[Keys]; var needle = new int[Keys];
        for (int k = 0; k < Keys; k++)
        {
            do at[k] = window - nearest - dice.Next(farthest - nearest + 1); while (at.AsSpan(0, k).Contains(at[k]));
            inputs[at[k]] = needle[k] = Fillers + k * Values + dice.Next(Values);
            // The chain does not foresee a needle.
            if (at[k] > 0) targets[at[k] - 1] = -1;
        }
        int first = window;
        foreach (int x in at) first = Math.Min(first, x);
        for (int s = 0; s < spread && first < window - 1; s++)
        {
            int i = first + 1 + dice.Next(window - first - 1), k = dice.Next(Keys);
            if (inputs[i] >= Fillers) continue;
            inputs[i] = Fillers + Keys * Values + k; targets[i] = at[k] < i ? needle[k] : -1;
            if (targets[i - 1] < Fillers) targets[i - 1] = -1;
        }
        for (int i = window; i < Length; i++) { int k = dice.Next(Keys); (inputs[i], targets[i]) = (Fillers + Keys * Values + k, needle[k]); }
    }
}
