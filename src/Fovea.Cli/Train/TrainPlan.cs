using System.Globalization;
using System.Text;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>Updates at one length of text: each reads about the same number of tokens, in rows of Length.</summary>
sealed record TrainPhase(int Length, int Steps)
{
    /// <summary>"256x1500": updates at a length.</summary>
    public static TrainPhase[] Parse(string text) => [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(part =>
    {
        string[] two = part.Split('x');
        return two.Length == 2 && int.TryParse(two[0], NumberStyles.None, CultureInfo.InvariantCulture, out int length) && int.TryParse(two[1], NumberStyles.None, CultureInfo.InvariantCulture, out int steps) && length is >= 2 and <= 1 << 20 && steps is >= 1 and <= 10_000_000
            ? new TrainPhase(length, steps) : throw new UsageException($"--phases {part}: expected lengths with updates, like 256x1500,4096x200");
    })];
    public override string ToString() => $"{Length}x{Steps}";
}

/// <summary>Everything that decides the numbers of a training run.</summary>
sealed record TrainPlan(int Seed, int Dim, int Layers, int Heads, int KvHeads, int Hidden, int Vocabulary, TrainPhase[] Phases, int TokensPerStep, double Rate, double RopeBase, double Yarn, string? From = null)
{
    public int Steps => Phases.Sum(p => p.Steps);
    public int Longest => Phases.Max(p => p.Length);
    public Rng Rng => new Rng((ulong)Seed)["train"];

    /// <summary>The length of the texts of an update, from 0.</summary>
    public int LengthAt(int step) { foreach (var p in Phases) { if (step < p.Steps) return p.Length; step -= p.Steps; } return Phases[^1].Length; }

    /// <summary>Merges learned from generated text without its digits, so that numbers are read digit by digit.</summary>
    public BytePairTokenizer Merges(ReadOnlySpan<byte> own)
    {
        if (!own.IsEmpty) return BytePairTokenizer.Train(own, Vocabulary - 1);
        var text = new StringBuilder();
        for (int i = 0; text.Length < 2_000_000; i++) foreach (char c in Almanac.Document(new Rng(1)["train"]["merges"][i], 20_000)) text.Append(char.IsAsciiDigit(c) ? '\n' : c);
        return BytePairTokenizer.Train(Encoding.ASCII.GetBytes(text.ToString()), Vocabulary - 1);
    }

    public ModelConfig Config(int vocabulary) => new(vocabulary, Dim, Layers, Heads) { KvHeads = KvHeads, Hidden = Hidden, Length = Longest, Position = new Rope(RopeBase, Yarn > 1 ? new YarnScaling(Yarn, (int)(Longest / Yarn)) : null) };
}
