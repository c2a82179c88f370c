using System.Text.Json.Nodes;
using Fovea.Claims;
using Fovea.Mechanisms;
namespace Fovea.Units;

public class CommandTests
{
    [Fact]
    public void Papers_list_prints_the_promised_fields()
    {
        var all = CliRun.Of("papers", "list", "--json").Json.AsArray();
        Assert.Equal(219, all.Count);
        Assert.All(all, p => Assert.Equal(["id", "name", "title", "year", "family", "kind", "tier", "status"], p!.AsObject().Select(f => f.Key)));
        Assert.All(all, p => Assert.Contains((string)p!["status"]!, (string[])["missing", "built", "failed", "unproven", "proven"]));
        var lens = CliRun.Of("papers", "list", "--family", "lens", "--json").Json.AsArray();
        Assert.Equal(28, lens.Count); Assert.All(lens, p => Assert.Equal("lens", (string)p!["family"]!));
        Assert.Contains("hedgehog", CliRun.Of("papers", "list").Out);
    }

    [Fact]
    public void Explain_counts_what_a_mechanism_computes()
    {
        var e = CliRun.Of("explain", "sliding-window", "--length", "256", "--set", "window=64", "--json").Json;
        Assert.Equal(7, (int)e["tiles"]!); Assert.Equal(16, (int)e["allTiles"]!); Assert.Equal(64 * 256 - 63 * 64 / 2, (int)e["pairs"]!); Assert.InRange((double)e["growthExponent"]!, 0.9, 1.2);
        Assert.Contains("of the dense work", CliRun.Of("explain", "sliding-window", "--length", "256").Out);
        Assert.Contains("has no such parameter; did you mean 'window'", CliRun.Of("explain", "sliding-window", "--set", "windw=3").Err);
        Assert.Contains("--length 1: expected 2 to", CliRun.Of("explain", "softmax", "--length", "1").Err);
    }

    [Fact]
    public void Papers_show_names_the_code()
    {
        var paper = CliRun.Of("papers", "show", "hedgehog", "--json").Json;
        Assert.Equal("hedgehog", (string)paper["id"]!); Assert.Equal("2402.04347", (string)paper["arxiv"]!);
        Assert.Contains(typeof(HedgehogAttention).FullName, paper["code"]!.AsArray().Select(c => (string)c!));
        Assert.NotNull(paper["claims"]); Assert.Contains("HedgehogAttention", CliRun.Of("papers", "show", "2402.04347").Out);
    }

    [Fact]
    public void The_table_of_papers_in_the_documentation_is_what_the_command_writes()
    {
        string root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Here())!, "..", "..", "..")), found = Path.Combine(root, "docs", "papers.md"), folder = Path.Combine(CliRun.Folder(), "docs");
        Directory.CreateDirectory(folder);
        var run = CliRun.Of("papers", "table", "--evidence", Path.Combine(root, "evidence"), "--sources", Path.Combine(root, "src"), "--out", Path.Combine(root, "docs", "papers.tmp"));
        try
        {
            Assert.Equal((0, ""), (run.Code, run.Err));
            string text = File.ReadAllText(Path.Combine(root, "docs", "papers.tmp"));
            Assert.True(text == File.ReadAllText(found), "docs/papers.md is not up to date; write it with 'fovea papers table'");
            Assert.Contains("[HedgehogAttention](../src/Fovea.Mechanisms/Linear/Hedgehog.cs)", text);
        }
        finally { File.Delete(Path.Combine(root, "docs", "papers.tmp")); }
        Assert.Contains("does not exist", CliRun.Of("papers", "table", "--out", Path.Combine(folder, "none", "x.md")).Err);
    }
    static string Here([System.Runtime.CompilerServices.CallerFilePath] string path = "") => path;

    [Fact]
    public void Quick_claims_of_all_papers_run_and_hold()
    {
        var run = CliRun.Of("papers", "run", "--all", "--quick", "--json");
        Assert.Equal(0, run.Code); Assert.IsType<JsonArray>(run.Json);
    }

    [Fact]
    public void A_run_of_a_family_that_was_cut_off_goes_on()
    {
        string folder = CliRun.Folder(); var store = new EvidenceStore(folder); string[] family = [.. Catalogue.Open().Papers.Where(p => p.Family == "sequence").Select(p => p.Id)];
        void Write(string id, bool ablated, string commit) => store.Add(new(id, 5, ablated, !ablated, 1234.5, commit, "", []));
        CliRun Run(CancellationToken cancel, params string[] more) => CliRun.Of(cancel, ["papers", "run", "--family", "sequence", "--seed", "5", "--resume", "--evidence", folder, "--cache", folder, "--json", .. more]);
        foreach (string id in family) { Write(id, false, ClaimRunner.Commit); Write(id, true, ClaimRunner.Commit); }
        foreach (var run in new[] { Run(default), Run(default, "--ablated") })
        {
            Assert.Equal(0, run.Code); Assert.Equal(family.Order(StringComparer.Ordinal), run.Json.AsArray().Select(r => (string)r!["id"]!).Order(StringComparer.Ordinal));
            Assert.All(run.Json.AsArray(), r => Assert.Equal(1234.5, (double)r!["seconds"]!));
        }
        // What another build has written is measured again: this run is cut off at once.
        Write(family[0], false, "another");
        using var cut = new CancellationTokenSource(); cut.Cancel();
        Assert.NotEqual(0, Run(cut.Token).Code);
    }

    [Fact]
    public void Mechanisms_are_listed_with_their_parameters()
    {
        var all = CliRun.Of("mechanisms", "--json").Json.AsArray();
        Assert.Equal(Mechanism.All.Select(m => m.Name), all.Select(m => (string)m!["name"]!));
        var window = all.Single(m => (string)m!["name"]! == "sliding-window")!;
        Assert.Equal(("window", "int", 64), ((string)window["parameters"]![0]!["name"]!, (string)window["parameters"]![0]!["type"]!, (int)window["parameters"]![0]!["default"]!));
        Assert.Contains("Causal", window["traits"]!.AsArray().Select(t => (string)t!)); Assert.Equal("2004.05150", (string)window["paper"]!);
    }

    [Fact]
    public void A_layer_run_from_files_gives_what_the_library_gives()
    {
        string folder = CliRun.Folder(), input = Path.Combine(folder, "x.safetensors"), output = Path.Combine(folder, "y.safetensors");
        var weights = Weights.Random(new Rng(3)); var layer = Mechanism.Find("sliding-window").New(new(8, 2), weights, new Dictionary<string, object> { ["window"] = 3 });
        var x = Tensor.Normal(new Rng(4), [2, 7, 8]); var dy = Tensor.Normal(new Rng(5), [2, 7, 8]);
        Safetensors.Write(input, [new("x", x), new("dy", dy), .. weights.All]);
        var run = CliRun.Of("layer", "sliding-window", "--in", input, "--out", output, "--set", "heads=2", "window=3", "--grad", "--json");
        Assert.Equal((0, ""), (run.Code, run.Err));
        Assert.Equal("[2,7,8]", run.Json["outputs"]!["y"]!.ToJsonString());
        var file = Safetensors.Read(output);
        using var scope = Scope.Train();
        x.RequiresGrad = true;
        var y = layer.Forward(x, Pass.Eval);
        Assert.Equal(y.Span.ToArray(), file["y"].Span.ToArray());
        y.Backward(dy.Span);
        Assert.Equal(x.Grad.ToArray(), file["grad.x"].Span.ToArray());
        Assert.Equal(weights.All["q_proj.weight"].Grad.ToArray(), file["grad.q_proj.weight"].Span.ToArray());
    }

    [Fact]
    public void A_layer_can_draw_its_weights_and_then_writes_them()
    {
        string folder = CliRun.Folder(), input = Path.Combine(folder, "x.safetensors"), output = Path.Combine(folder, "y.safetensors");
        Safetensors.Write(input, [new("x", Tensor.Normal(new Rng(4), [1, 5, 8]))]);
        Assert.Equal(0, CliRun.Of("layer", "softmax", "--in", input, "--out", output, "--seed", "3").Code);
        Assert.Equal(Weights.Random(new Rng(3))["q_proj"].Get("weight", [8, 8]).Span.ToArray(), Safetensors.Read(output)["weight.q_proj.weight"].Span.ToArray());
    }

    [Theory]
    [InlineData("--set heads=3", "3 heads")]
    [InlineData("--set window=3", "'softmax' has no such parameter")]
    [InlineData("--set head=2", "did you mean 'heads'?")]
    [InlineData("--set heads=x", "expected int")]
    [InlineData("--set heads", "expected name=value")]
    [InlineData("", "no q_proj.weight")]
    public void A_layer_that_cannot_be_made_says_why_and_writes_nothing(string more, string expected)
    {
        string folder = CliRun.Folder(), input = Path.Combine(folder, "x.safetensors"), output = Path.Combine(folder, "y.safetensors");
        Safetensors.Write(input, [new("x", Tensor.Normal(new Rng(4), [1, 5, 8]))]);
        var run = CliRun.Of([.. $"layer softmax --in {input} --out {output} {more}".Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        Assert.Equal(2, run.Code); Assert.Contains(expected, run.Err); Assert.False(File.Exists(output));
    }

    [Fact]
    public void A_weight_that_no_one_asks_for_is_an_error()
    {
        string folder = CliRun.Folder(), input = Path.Combine(folder, "x.safetensors");
        var weights = Weights.Random(new Rng(3)); Mechanism.Find("softmax").New(new(8, 1), weights);
        Safetensors.Write(input, [new("x", Tensor.Normal(new Rng(4), [1, 5, 8])), .. weights.All, new("q_prj.weight", Tensor.From([1], [1]))]);
        var run = CliRun.Of("layer", "softmax", "--in", input, "--out", Path.Combine(folder, "y"));
        Assert.Equal(2, run.Code); Assert.Contains("has no weight 'q_prj.weight'", run.Err);
    }
}
