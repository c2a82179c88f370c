using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Fovea.Units;

/// <summary>The real program, killed without warning, goes on to the same numbers.</summary>
public sealed class KilledTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("fovea-killed-").FullName;
    public void Dispose() => Directory.Delete(folder, recursive: true);

    Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "fovea.dll"), "compare", "--text", Path.Combine(folder, "text"), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        var p = Process.Start(start)!;
        p.BeginOutputReadLine(); p.BeginErrorReadLine();
        return p;
    }

    [Fact, Trait("Category", "Slow")]
    public async Task A_comparison_that_is_killed_resumes_to_the_same_numbers()
    {
        var cancel = TestContext.Current.CancellationToken;
        await File.WriteAllTextAsync(Path.Combine(folder, "text"), string.Concat(Enumerable.Range(0, 3000).Select(i => $"line {i} of {i * i % 97}\n")), cancel);
        string whole = Path.Combine(folder, "whole"), broken = Path.Combine(folder, "broken");
        string[] plan = ["--tokens", "6000", "--mechanisms", "retention", "--lengths", "64"];
        using (var p = Start([.. plan, "--out", whole])) { await p.WaitForExitAsync(cancel); Assert.Equal(0, p.ExitCode); }
        using (var p = Start([.. plan, "--out", broken]))
        {
            // As soon as there is something to lose: in the middle of a stage.
            while (!p.HasExited && !Directory.Exists(Path.Combine(broken, "checkpoints"))) await Task.Delay(5, cancel);
            while (!p.HasExited && Directory.GetFiles(Path.Combine(broken, "checkpoints"), "*.safetensors").Length == 0) await Task.Delay(5, cancel);
            p.Kill(entireProcessTree: true);
            await p.WaitForExitAsync(cancel);
            Assert.NotEqual(0, p.ExitCode);
        }
        using (var p = Start("--out", broken, "--resume")) { await p.WaitForExitAsync(cancel); Assert.Equal(0, p.ExitCode); }
        JsonNode a = Result(whole), b = Result(broken);
        foreach (string field in new[] { "bitsPerByte", "recall", "params" }) Assert.Equal(a[field]!.ToJsonString(), b[field]!.ToJsonString());
        Assert.DoesNotContain(Directory.GetFiles(broken, "*", SearchOption.AllDirectories), f => f.EndsWith(".tmp", StringComparison.Ordinal));
    }
    static JsonNode Result(string path) => JsonNode.Parse(File.ReadAllText(Path.Combine(path, "results.json")))!["results"]![0]!;
}
