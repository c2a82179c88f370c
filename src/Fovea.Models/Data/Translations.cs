namespace Fovea.Models;

/// <summary>
/// Made-up translations: a source of words, and a target of as many, word for word by a fixed table but with neighbours exchanged; every fourth word of the target has one of two forms, by agreement with the first word of the source, however far
/// that is. Words of the source are 0 … Words − 1, forms of the target Words + 2·w + form, <see cref="Begin"/> begins a target. With repeat the source is translated so many times in a row.
/// </summary>
public sealed class Translations(Rng table, int length = 24, int words = 16, int repeat = 1)
{
    public int Length { get; } = length >= 2 && length % 2 == 0 ? length : throw new ArgumentOutOfRangeException(nameof(length), length, "length must be even and at least 2");
    public int Words { get; } = words >= 2 ? words : throw new ArgumentOutOfRangeException(nameof(words), words, "words must be at least 2");
    readonly int repeat = repeat >= 1 ? repeat : throw new ArgumentOutOfRangeException(nameof(repeat), repeat, "repeat must be at least 1");
    readonly int[] translation = table["words"].Order(words);
    public int Begin => 3 * Words;
    public int Vocabulary => Begin + 1;

    /// <summary>Source [Size·Length] and target of Repeat·Length tokens; row b of step s is a function of (rng, s, b) and of nothing else.</summary>
    public (int[] Source, Batch Target) Batch(Rng rng, int step, int size)
    {
        int n = repeat * Length; int[] source = new int[size * Length], inputs = new int[size * n], targets = new int[size * n];
        for (int b = 0; b < size; b++)
        {
            var key = rng[step][b];
            for (int i = 0; i < Length; i++) source[b * Length + i] = key.Below(i, Words);
            for (int i = 0; i < n; i++)
            {
                int word = translation[source[b * Length + (i % Length ^ 1)]], form = i % 4 == 3 ? source[b * Length] % 2 : 0;
                targets[b * n + i] = Words + 2 * word + form; inputs[b * n + i] = i == 0 ? Begin : targets[b * n + i - 1];
            }
        }
        return (source, new(inputs, targets, size, n));
    }
}
