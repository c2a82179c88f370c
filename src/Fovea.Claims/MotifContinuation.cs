using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>Lets a model go on after a melody whose motif has begun to return, and compares what it plays with the motif.</summary>
static class MotifContinuation
{
    /// <summary>Share of 64 sampled continuations of 16 events that come within edit distance 4 of the motif.</summary>
    public static double Share(ClaimRun run, DecoderModel model)
    {
        const int size = 64, events = 16, prime = 2 * Melodies.Section + 6; int close = 0;
        var pieces = new Melodies(prime + events).Batch(run.Rng["primes"], 0, size);
        var made = SmallRuns.Sample(model, [.. Enumerable.Range(0, size).SelectMany(b => pieces.Input(b)[..prime].ToArray())], size, events, run.Rng["samples"]);
        for (int b = 0; b < size; b++) if (Mechanism.Distance(Letters(made[b]), Letters(pieces.Input(b)[6..(6 + events)])) <= 4) close++;
        return (double)close / size;
    }
    static string Letters(ReadOnlySpan<int> events) { var s = new char[events.Length]; for (int i = 0; i < s.Length; i++) s[i] = (char)(events[i] + 1); return new(s); }
}
