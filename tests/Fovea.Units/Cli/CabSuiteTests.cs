using System.Text.Json.Nodes;
using Fovea.Cli;
namespace Fovea.Units;

public class CabSuiteTests
{
    static string[] Args(string folder, string mechanisms, params string[] more) => ["compare", "--suite", "cab", "--quick", "--out", folder, "--mechanisms", mechanisms, "--lengths", "16,32,64", "--recall-steps", "1", .. more];

    [Fact]
    public void It_trains_the_declared_patterns_and_prints_indices_and_lengths()
    {
        string folder = CliRun.Folder(); var run = CliRun.Of(Args(folder, "softmax,nystrom,sliding-window", "--json"));
        Assert.Equal((0, ""), (run.Code, run.Err));
        Assert.True((bool)run.Json["complete"]!);
        var cells = run.Json["cells"]!.AsArray().Select(c => ((string)c!["mechanism"]!, (string)c["task"]!)).ToList();
        Assert.Equal(["masked-text", "needle-text", "questions", "summary", "costs"], cells.Where(c => c.Item1 == "softmax").Select(c => c.Item2));
        Assert.Equal(["masked-text", "questions", "costs"], cells.Where(c => c.Item1 == "nystrom").Select(c => c.Item2));
        Assert.Equal(["needle-text", "costs"], cells.Where(c => c.Item1 == "sliding-window").Select(c => c.Item2));
        var rows = run.Json["rows"]!.AsArray();
        Assert.Null(rows[1]!["index"]!["CausalSelf"]); Assert.NotNull(rows[1]!["index"]!["NoncausalSelf"]);
        // Two of them are compared, so their indices are opposite.
        Assert.Equal(0, (double)rows[0]!["index"]!["NoncausalSelf"]! + (double)rows[1]!["index"]!["NoncausalSelf"]!, 9);
        Assert.True(JsonNode.DeepEquals(run.Json, JsonNode.Parse(File.ReadAllText(Path.Combine(folder, CabGrid.ResultsFile)))));
    }

    [Fact]
    public void A_stopped_run_goes_on_with_the_same_settings_only()
    {
        string folder = CliRun.Folder();
        Assert.Equal(130, CliRun.Of(new CancellationToken(true), Args(folder, "sliding-window")).Code);
        Assert.Equal(2, CliRun.Of(Args(folder, "sliding-window", "--resume", "--seed", "2")).Code);
        var table = CliRun.Of(Args(folder, "sliding-window", "--resume"));
        Assert.Equal(0, table.Code); Assert.Contains("cheaper in time from", table.Out);
        Assert.Equal(2, CliRun.Of("compare", "--suite", "recall", "--quick", "--out", folder).Code);
    }
}
