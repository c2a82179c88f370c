using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
namespace Fovea.Cli;

/// <summary>What suites of many small models share: their file of results.</summary>
static class Suites
{
    /// <summary>What an earlier run left at the path. Throws if there is nothing, if it is something else, or if it was made with another plan.</summary>
    public static T Left<T>(string path, JsonTypeInfo<T> type, Func<T, bool> samePlan) where T : class
    {
        if (!File.Exists(path)) throw new UsageException($"--resume: {path} does not exist; nothing to go on with");
        T old;
        try { old = JsonSerializer.Deserialize(File.ReadAllBytes(path), type) ?? throw new JsonException("it is empty"); }
        catch (JsonException e) { throw new InvalidDataException($"{path}: not the results of this suite: {e.Message}"); }
        return samePlan(old) ? old : throw new UsageException($"--resume: {path} was made with other settings");
    }

    public static void Save<T>(string path, T results, JsonTypeInfo<T> type) => AtomicFile.WriteText(path, JsonSerializer.Serialize(results, type) + "\n");

    public static bool Same<T>(T a, T b, JsonTypeInfo<T> type) => JsonSerializer.Serialize(a, type) == JsonSerializer.Serialize(b, type);
}
