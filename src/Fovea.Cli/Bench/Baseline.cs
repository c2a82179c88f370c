using System.Text.Json;
using System.Text.Json.Nodes;
using Fovea.Claims;
namespace Fovea.Cli;

/// <summary>Results of an earlier run, to compare fractions of limits with; times of different days say little.</summary>
sealed class Baseline(string machine, IReadOnlyDictionary<RowKey, double> fractions)
{
    /// <summary>By how much a fraction may be below the earlier one before it counts as fallen.</summary>
    public const double Tolerance = 0.1;
    public string Machine => machine;

    /// <summary>A row that both runs have.</summary>
    public sealed record Change(RowKey Key, double Before, double Now)
    {
        public double Factor => Now / Before;
        public bool Fell => !(Now >= Before * (1 - Tolerance));
    }
    /// <param name="Rows">What both have.</param>
    /// <param name="New">Rows that only this run has.</param>
    /// <param name="Absent">Rows that only the earlier run has.</param>
    public sealed record Comparison(IReadOnlyList<Change> Rows, int New, int Absent) { public IEnumerable<Change> Fallen => Rows.Where(r => r.Fell); }

    public double? Before(RowKey key) => fractions.TryGetValue(key, out double f) ? f : null;

    public Comparison Compare(IEnumerable<(RowKey Key, double Fraction)> now)
    {
        var rows = new List<Change>(); int fresh = 0;
        foreach (var (key, fraction) in now.Where(r => !r.Key.IsLimit)) if (Before(key) is { } before) rows.Add(new(key, before, fraction)); else fresh++;
        return new(rows, fresh, fractions.Keys.Count(k => !k.IsLimit) - rows.Count);
    }

    /// <summary>Reads what <see cref="Save"/> wrote, or the rows that <c>fovea bench --json</c> prints.</summary>
    public static Baseline Read(string path)
    {
        if (Directory.Exists(path)) throw new UsageException($"--against {path}: is a folder, expected results of fovea bench");
        if (!File.Exists(path)) throw new UsageException($"--against {path}: does not exist");
        try
        {
            var root = JsonNode.Parse(File.ReadAllText(path)); var fractions = new Dictionary<RowKey, double>();
            var rows = root as JsonArray ?? (root as JsonObject)?["rows"] as JsonArray ?? throw new InvalidDataException("it has no rows");
            for (int i = 0; i < rows.Count; i++)
            {
                if (rows[i] is not JsonObject row) throw new InvalidDataException($"row {i} is no object");
                var key = new RowKey(Field<string>(row, i, "name"), Field<string>(row, i, "size"), Field<int>(row, i, "threads")); double fraction = Field<double>(row, i, "fraction");
                if (!(fraction > 0 && double.IsFinite(fraction))) throw new InvalidDataException($"row {i} has the fraction {fraction}, expected a positive number");
                if (!fractions.TryAdd(key, fraction)) throw new InvalidDataException($"row {i} is there twice: {key}");
            }
            return new((root as JsonObject)?["machine"] is JsonValue m && m.TryGetValue(out string? name) ? name : "", fractions);
        }
        catch (Exception e) when (e is JsonException or InvalidDataException) { throw new UsageException($"--against {path}: not results of fovea bench: {e.Message}"); }
    }

    static T Field<T>(JsonObject row, int i, string name) => row[name] is JsonValue v && v.TryGetValue(out T? x) ? x : throw new InvalidDataException($"row {i} has no {name}");

    /// <summary>Throws if <see cref="Save"/> would fail after all has been measured.</summary>
    public static void CheckTarget(string path)
    {
        if (Directory.Exists(path)) throw new UsageException($"--save {path}: is a folder, expected a file");
        string probe = path + ".probe";
        try { AtomicFile.WriteText(probe, ""); File.Delete(probe); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException) { throw new UsageException($"--save {path}: cannot be written: {e.Message}"); }
    }

    public static void Save(string path, JsonArray rows) => AtomicFile.WriteText(path, Output.Text(new JsonObject { ["machine"] = ClaimRunner.Machine, ["rows"] = rows }) + "\n");
}
