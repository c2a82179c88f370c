using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
namespace Fovea.Claims;

/// <summary>Runs the claims of papers, one after the other.</summary>
public sealed class ClaimRunner(Fixtures fixtures, TimeProvider? clock = null)
{
    readonly TimeProvider clock = clock ?? TimeProvider.System;

    /// <summary>
    /// Runs a paper's claims (with quick: only the quick ones) on one seed. A claim that throws does not hold, and its error is kept;
    /// cancelling throws. The run holds if it has claims and all of them do.
    /// </summary>
    public PaperRun Run(PaperCode paper, int seed, bool ablated = false, bool quick = false, IProgress<string>? progress = null, CancellationToken cancel = default)
    {
        var results = new List<ClaimResult>(); long start = clock.GetTimestamp();
        foreach (var claim in paper.Claims.Where(c => c.Quick || !quick))
        {
            cancel.ThrowIfCancellationRequested();
            progress?.Report($"{paper.Paper.Id}: {claim.Statement}");
            results.AddRange(One(claim, new(seed, ablated, quick, fixtures, progress, cancel)));
        }
        return new(paper.Paper.Id, seed, ablated, results.Count > 0 && results.All(r => r.Holds), Seconds(start), Commit, Machine, results);
    }

    IEnumerable<ClaimResult> One(Claim claim, ClaimRun run)
    {
        long start = clock.GetTimestamp();
        try
        {
            var evidence = claim.Run(run) ?? throw new InvalidOperationException("the claim returned nothing");
            double seconds = Seconds(start);
            return [.. evidence.Measurements.Select(m => new ClaimResult(claim.Name, claim.Statement, Finite(m.Value), m.Relation == Relation.AtMost ? "≤" : "≥", Finite(m.Bound), m.Unit, m.Note, m.Holds, seconds))];
        }
        catch (Exception e) when (e is not (OperationCanceledException or OutOfMemoryException))
        {
            return [new(claim.Name, claim.Statement, null, "", null, "", "", false, Seconds(start), $"{e.GetType().Name}: {e.Message}")];
        }
    }
    double Seconds(long start) => Math.Round(clock.GetElapsedTime(start).TotalSeconds, 3);
    static double? Finite(double x) => double.IsFinite(x) ? x : null;

    /// <summary>Version of this build: number, and the commit where the build knew it.</summary>
    public static string Commit { get; } = typeof(ClaimRunner).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>Processor, cores and runtime, as far as the system tells.</summary>
    public static string Machine { get; } = $"{Processor()}, {Environment.ProcessorCount} cores, {RuntimeInformation.RuntimeIdentifier}, {RuntimeInformation.FrameworkDescription}";
    static string Processor()
    {
        const string info = "/proc/cpuinfo";
        string? line = File.Exists(info) ? File.ReadLines(info).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) : null;
        return line is null ? RuntimeInformation.ProcessArchitecture.ToString() : line[(line.IndexOf(':') + 1)..].Trim();
    }
}
