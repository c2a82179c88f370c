namespace Fovea.Models;

/// <summary>The event vocabulary of performance data (Music Transformer §4.2): 128 note-on, 128 note-off, 100 time shifts of 10 to 1,000 ms, 32 velocities.</summary>
[From("music-transformer", "§4.2")]
public static class MusicEvents
{
    public const int Vocabulary = 128 + 128 + 100 + 32;
    public static int NoteOn(int pitch) => Within(pitch, 128, nameof(pitch));
    public static int NoteOff(int pitch) => 128 + Within(pitch, 128, nameof(pitch));
    /// <summary>A wait of 1 to 100 steps of 10 ms.</summary>
    public static int TimeShift(int steps) => 256 + Within(steps - 1, 100, nameof(steps));
    public static int Velocity(int level) => 356 + Within(level, 32, nameof(level));

    /// <summary>The same events with all pitches moved by so many semitones: the augmentation of the paper. Throws if a pitch leaves 0 … 127.</summary>
    public static int[] Transpose(ReadOnlySpan<int> events, int semitones)
    {
        var y = events.ToArray();
        for (int i = 0; i < y.Length; i++)
            if (y[i] < 128) y[i] = NoteOn(y[i] + semitones); else if (y[i] < 256) y[i] = NoteOff(y[i] - 128 + semitones);
        return y;
    }

    static int Within(int value, int count, string name) => (uint)value < (uint)count ? value : throw new ArgumentOutOfRangeException(name, value, $"must be within {count} values");
}

/// <summary>
/// Made-up melodies in rondo form A B A C A D …: a section is a motif of five notes and the same transposed; A is the same each time, note for note. A note is three events:
/// on, a wait, off. Every place is a target. Key, motifs, rhythms and transpositions are drawn per row.
/// </summary>
public sealed class Melodies(int length = 192) : Source
{
    const int Notes = 5, Turns = 2;
    /// <summary>Events of one section.</summary>
    public const int Section = 3 * Notes * Turns;
    public override int Length { get; } = length >= 1 ? length : throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 1");
    public override int Vocabulary => MusicEvents.Vocabulary;
    /// <summary>Whether the event at this place was heard before, in the first section.</summary>
    public static bool Repeats(int place) => place >= Section && place / Section % 2 == 0;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        var events = new List<int>(); int key = 52 + dice.Next(16); int[] refrain = Draw(dice, key);
        for (int section = 0; events.Count <= Length; section++) events.AddRange(section % 2 == 0 ? refrain : Draw(dice, key));
        Next([.. events[..(Length + 1)]], inputs, targets);
    }

    static int[] Draw(Dice dice, int key)
    {
        ReadOnlySpan<int> scale = [0, 2, 4, 5, 7, 9, 11, 12];
        var motif = new int[3 * Notes];
        for (int i = 0; i < Notes; i++)
        {
            int pitch = key + dice.Pick(scale);
            (motif[3 * i], motif[3 * i + 1], motif[3 * i + 2]) = (MusicEvents.NoteOn(pitch), MusicEvents.TimeShift(12 << dice.Next(3)), MusicEvents.NoteOff(pitch));
        }
        var section = new List<int>(motif);
        for (int t = 1; t < Turns; t++) section.AddRange(MusicEvents.Transpose(motif, dice.Next(11) - 5));
        return [.. section];
    }
}
