namespace Fovea.Models;

/// <summary>
/// Summaries: a source of filler tokens in which one fact of each key lies anywhere, and the target, the facts in the order of their keys. Tokens 0 … Fillers − 1 are filler, Fillers + k·Values + v is the fact
/// v of key k, <see cref="Begin"/> begins a target, and Begin + 1 + k asks for key k. Chance is 1 / Values.
/// </summary>
public sealed class MarkedFacts
{
    public MarkedFacts(int length = 128, int keys = 8, int values = 8, int fillers = 8)
    {
        if (keys < 1 || values < 2 || fillers < 1 || length < keys) throw new ArgumentException($"{keys} keys, {values} values and {fillers} fillers make no source of {length} tokens");
        (Length, Keys, Values, Fillers) = (length, keys, values, fillers);
    }
    /// <summary>Tokens of a source; a target has as many as there are keys.</summary>
    public int Length { get; }
    public int Keys { get; }
    public int Values { get; }
    public int Fillers { get; }
    public int Begin => Fillers + Keys * Values;
    public int Vocabulary => Begin + 1 + Keys;

    /// <summary>Source [Size·Length] and target; the target's inputs begin with <see cref="Begin"/> and go on with the facts before. Row b of step s is a function of (rng, s, b) and of nothing else.</summary>
    public (int[] Source, Batch Target) Batch(Rng rng, int step, int size) => Make(rng, step, size, asked: false);

    /// <summary>Source [Size·Length], and questions for all keys in random order with their facts.</summary>
    public (int[] Source, Batch Target) Questions(Rng rng, int step, int size) => Make(rng, step, size, asked: true);

    (int[] Source, Batch Target) Make(Rng rng, int step, int size, bool asked)
    {
        int[] source = new int[size * Length], inputs = new int[size * Keys], targets = new int[size * Keys];
        for (int b = 0; b < size; b++)
        {
            var dice = new Dice(rng[step][b]); var places = new int[Length]; var row = source.AsSpan(b * Length, Length);
            for (int i = 0; i < Length; i++) { places[i] = i; row[i] = dice.Next(Fillers); }
            dice.Shuffle<int>(places);
            for (int k = 0; k < Keys; k++) row[places[k]] = Fillers + k * Values + dice.Next(Values);
            var order = new int[Keys];
            for (int k = 0; k < Keys; k++) order[k] = k;
            if (asked) dice.Shuffle<int>(order);
            for (int k = 0; k < Keys; k++)
            {
                targets[b * Keys + k] = row[places[order[k]]];
                inputs[b * Keys + k] = asked ? Begin + 1 + order[k] : k == 0 ? Begin : targets[b * Keys + k - 1];
            }
        }
        return (source, new(inputs, targets, size, Keys));
    }
}
