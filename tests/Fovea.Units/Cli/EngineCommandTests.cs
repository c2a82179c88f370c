using System.Text.Json.Nodes;
namespace Fovea.Units;

/// <summary>The commands around language models, on one that has hardly been trained.</summary>
public class EngineCommandTests
{
    static readonly Lazy<string> model = new(() =>
    {
        string path = Path.Combine(CliRun.Folder(), "small.gguf");
        var run = CliRun.Of("train", "--out", path, "--phases", "48x4,96x2", "--tokens-per-step", "192", "--dim", "32", "--layers", "2", "--heads", "2", "--kv-heads", "1", "--hidden", "64", "--vocabulary", "400", "--json");
        Assert.Equal(0, run.Code);
        Assert.Equal("48x4,96x2", (string)run.Json["phases"]!); Assert.True(File.Exists(Path.ChangeExtension(path, ".json")));
        return path;
    });

    [Fact]
    public void A_text_is_written_and_the_same_seed_writes_the_same()
    {
        JsonNode Write(params string[] more) => CliRun.Of(["generate", "The old lamp", "--model", model.Value, "--max-tokens", "12", "--json", .. more]).Json;
        var a = Write(); var b = Write();
        Assert.Equal((string)a["text"]!, (string)b["text"]!); Assert.InRange((int)a["writtenTokens"]!, 1, 12); Assert.True((long)a["cacheBytes"]! > 0);
        Assert.NotEqual((string)a["text"]!, (string)Write("--seed", "2")["text"]!);
        foreach (string cache in (string[])["streamingllm", "snapkv(window=4)", "quest(page=2,fullLayers=0)"]) Assert.NotEmpty((string)Write("--cache", cache, "--budget", "4", "--kv", "q8")["text"]!);
    }

    [Fact]
    public void Perplexity_and_needles_are_told_with_what_a_limited_cache_costs()
    {
        string text = Path.Combine(CliRun.Folder(), "text.txt"); File.WriteAllText(text, Fovea.Models.Almanac.Document(new Rng(5), 800));
        var full = CliRun.Of("perplexity", text, "--model", model.Value, "--json").Json; var cut = CliRun.Of("perplexity", text, "--model", model.Value, "--cache", "recentwindow", "--budget", "8", "--chunk", "16", "--length", "90", "--json").Json;
        Assert.Null(full["divergence"]); Assert.InRange((double)cut["divergence"]!, 1e-9, 10); Assert.True((long)cut["cacheBytes"]! > 0); Assert.InRange((double)full["perplexity"]!, 1, 5000);
        string svg = Path.Combine(CliRun.Folder(), "needle.svg"); var grid = CliRun.Of("needle", "--model", model.Value, "--lengths", "96,128", "--depths", "2", "--trials", "1", "--out", svg, "--json").Json.AsArray();
        Assert.Equal([96, 128], grid.Select(r => (int)r!["tokens"]!)); Assert.StartsWith("<svg", File.ReadAllText(svg));
    }

    [Fact]
    public void A_draft_changes_nothing_but_the_time_and_its_share_is_told()
    {
        string draft = Path.Combine(CliRun.Folder(), "draft.gguf"); CliRun.Of("convert", model.Value, draft, "--kind", "Q4_0", "--json");
        string[] write = ["generate", "The old lamp", "--model", model.Value, "--max-tokens", "20", "--temperature", "0"];
        var plain = CliRun.Of([.. write, "--json"]).Json; var drafted = CliRun.Of([.. write, "--draft", draft, "--draft-tokens", "3", "--json"]).Json;
        Assert.Equal((string)plain["text"]!, (string)drafted["text"]!); Assert.Equal(0, (int)plain["proposedTokens"]!); Assert.InRange((int)drafted["acceptedTokens"]!, 1, (int)drafted["proposedTokens"]!);
        Assert.Contains("proposed tokens accepted (", CliRun.Of([.. write, "--draft", draft]).Err);
        string other = Path.Combine(CliRun.Folder(), "other.gguf"); CliRun.Of("train", "--out", other, "--phases", "48x1", "--tokens-per-step", "48", "--dim", "32", "--layers", "1", "--heads", "1", "--kv-heads", "1", "--hidden", "32", "--vocabulary", "300", "--json");
        var wrong = CliRun.Of([.. write, "--draft", other]); Assert.Equal(2, wrong.Code); Assert.Contains("expected a model of the same vocabulary", wrong.Err);
    }

    [Fact]
    public void A_model_is_converted_and_still_runs()
    {
        string to = Path.Combine(CliRun.Folder(), "q8.gguf"); var run = CliRun.Of("convert", model.Value, to, "--kind", "Q8_0", "--json").Json;
        Assert.True((long)run["bytes"]! < (long)run["bytesBefore"]!);
        Assert.NotEmpty((string)CliRun.Of("generate", "The", "--model", to, "--max-tokens", "4", "--json").Json["text"]!);
    }

    [Fact]
    public void A_folder_of_Hugging_Face_becomes_one_file()
    {
        using var files = new EngineModels(); string to = Path.Combine(CliRun.Folder(), "made.gguf"), folder = FolderConversionTests.Folder(files, ""); var run = CliRun.Of("convert", folder, to, "--kind", "F32", "--json");
        Assert.Equal(0, run.Code); Assert.Equal("F32", (string)run.Json["kind"]!); string Of(string model) => (string)CliRun.Of("generate", "the hand", "--model", model, "--max-tokens", "12", "--json").Json["text"]!;
        Assert.Equal(Of(folder), Of(to));
    }

    [Theory]
    [InlineData("/nowhere.gguf", "generate", "x", "--model", "/nowhere.gguf")]
    [InlineData("does not exist", "convert", "/nowhere.gguf", "/tmp/x.gguf", "--kind", "F16")]
    [InlineData("no cache rule 'snapkw'; did you mean 'snapkv'", "generate", "x", "--model", "m", "--cache", "snapkw")]
    [InlineData("'q7' is no format", "generate", "x", "--model", "m", "--kv", "q7")]
    [InlineData("temperature is -1", "generate", "x", "--model", "m", "--temperature", "-1")]
    [InlineData("expected lengths with updates", "train", "--phases", "256")]
    [InlineData("--budget 0: a cache keeps at least one entry", "needle", "--model", "m", "--budget", "0")]
    public void What_is_wrong_is_one_line(string message, params string[] args)
    {
        var run = CliRun.Of(args);
        Assert.Equal(2, run.Code); Assert.Contains(message, run.Err); Assert.Single(run.Err.Trim().Split('\n'));
    }
}
