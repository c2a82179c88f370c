using Fovea.Claims;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>
/// Runs a plan, one mechanism after the other, and keeps results.json and report.html up to date: whenever it stops,
/// the folder says what was done, and a resumed run goes on from there with the same numbers.
/// </summary>
sealed class Comparison(Plan plan, SourceText text, string folder, IReadOnlyList<MechanismResult> earlier)
{
    public const string ResultsFile = "results.json", CheckpointFolder = "checkpoints", ModelFolder = "models";
    readonly Dictionary<string, MechanismResult> results = earlier.ToDictionary(r => r.Mechanism);
    public string ReportPath => Path.Combine(folder, "report.html");

    /// <summary>Clears what an earlier comparison left in the folder, and writes down the plan.</summary>
    public void Start()
    {
        foreach (string file in Directory.GetFiles(Path.Combine(folder, CheckpointFolder), "*.safetensors")) File.Delete(file);
        Save();
    }

    public ComparisonResults Run(Action<string, double> progress, CancellationToken cancel)
    {
        Directory.CreateDirectory(Path.Combine(folder, CheckpointFolder)); Directory.CreateDirectory(Path.Combine(folder, ModelFolder));
        try
        {
            for (int i = 0; i < plan.Mechanisms.Length; i++)
            {
                string name = plan.Mechanisms[i];
                if (results.TryGetValue(name, out var old) && old.Complete) continue;
                results[name] = One(MixerSpec.Parse(name), old ?? new(name), (what, done) => progress($"{name}: {what}", (i + done) / plan.Mechanisms.Length), cancel);
                Save();
            }
            return All();
        }
        finally { Save(); }
    }

    // What stands for a mixer in the name of a file: brackets and stars are not for all file systems.
    static string FileName(string mixer) => string.Concat(mixer.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' ? c : '_'));

    MechanismResult One(MixerSpec mechanism, MechanismResult result, Action<string, double> progress, CancellationToken cancel)
    {
        string Checkpoint(string kind) => Path.Combine(folder, CheckpointFolder, $"{FileName(mechanism.Name)}.{kind}.safetensors");
        try
        {
            cancel.ThrowIfCancellationRequested();
            var model = Training.Language(plan, text, mechanism, Checkpoint("text"), Path.Combine(folder, ModelFolder, FileName(mechanism.Name) + ".safetensors"), result.Curve, done => progress("training", 0.6 * done), (count, rate) =>
            {
                results[mechanism.Name] = result = result with { Params = count, TrainTokensPerSecond = rate ?? result.TrainTokensPerSecond };
                Save();
            }, cancel);
            results[mechanism.Name] = result = result with { BitsPerByte = result.Curve[^1].BitsPerByte };
            Save();
            result = result with { Recall = Training.Recall(plan, mechanism, Checkpoint("recall"), done => progress("recall", 0.6 + 0.3 * done), cancel) };
            results[mechanism.Name] = result;
            result = Measurements.Take(model, plan, mechanism.Traits.HasFlag(Traits.Incremental), result, done => progress("measuring", 0.9 + 0.1 * done), cancel);
            return result with { Complete = true };
        }
        // A mechanism that diverges, or cannot be made at this size, is a result too; the others go on.
        catch (Exception e) when (e is ArithmeticException or ArgumentException or NotSupportedException)
        {
            return result with { Error = e.Message, Complete = true };
        }
    }

    ComparisonResults All()
    {
        var done = plan.Mechanisms.Where(results.ContainsKey).Select(m => results[m]).ToList();
        return new(new(text.Name, text.Bytes.Length, plan.Corpus(text).HeldOutBytes), done, plan, ClaimRunner.Machine, done.Count == plan.Mechanisms.Length && done.All(r => r.Complete));
    }

    void Save()
    {
        var all = All();
        AtomicFile.WriteText(Path.Combine(folder, ResultsFile), CompareJson.Text(all) + "\n");
        AtomicFile.WriteText(ReportPath, Report.Html(all));
    }
}
