using System.Text.Json.Nodes;
using System.Xml.Linq;
using Fovea.Cli;
namespace Fovea.Units;

public class CompareTests
{
    static string[] Args(string text, string folder, params string[] more) =>
        ["compare", "--text", text, "--out", folder, "--mechanisms", "softmax,gated-linear", "--tokens", "6000", "--lengths", "16,48,160", "--recall-steps", "5", .. more];

    [Fact]
    public void It_writes_a_report_and_prints_the_promised_fields()
    {
        string folder = Path.Combine(CliRun.Folder(), "report");
        var run = CliRun.Of(Args(CliRun.TextFile(20_000), folder, "--json"));
        Assert.Equal((0, ""), (run.Code, run.Err));
        Assert.Equal("text.txt", (string)run.Json["corpus"]!["name"]!); Assert.Equal(20_000, (int)run.Json["corpus"]!["bytes"]!);
        var results = run.Json["results"]!.AsArray();
        Assert.Equal(["softmax", "gated-linear"], results.Select(r => (string)r!["mechanism"]!));
        foreach (var r in results)
        {
            Assert.InRange((double)r!["bitsPerByte"]!, 0.1, 9); Assert.InRange((double)r["recall"]!, 0, 1); Assert.True((long)r["params"]! > 100_000);
            Assert.True((double)r["trainTokensPerSecond"]! > 0); Assert.True((double)r["decodeMicroseconds"]! > 0); Assert.NotNull(r["growth"]);
            Assert.Equal(["16", "48", "160"], r["prefillMs"]!.AsObject().Select(p => p.Key)); Assert.Equal(["16", "48", "160"], r["stateBytes"]!.AsObject().Select(p => p.Key));
        }
        // keys and values of two layers of 128 floats, against one 32 × 32 matrix per head
        Assert.Equal(2 * 2 * 128 * 4 * 160, (int)results[0]!["stateBytes"]!["160"]!);
        Assert.Equal(2 * 4 * 32 * 32 * 4, (int)results[1]!["stateBytes"]!["160"]!); Assert.Equal((int)results[1]!["stateBytes"]!["16"]!, (int)results[1]!["stateBytes"]!["160"]!);
        Assert.Equal(["checkpoints", "models", "report.html", "results.json"], Directory.GetFileSystemEntries(folder).Select(Path.GetFileName).Order());
        Assert.True(JsonNode.DeepEquals(run.Json, JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "results.json")))));
        Page(File.ReadAllText(Path.Combine(folder, "report.html")));
        foreach (string mechanism in (string[])["softmax", "gated-linear"])
        {
            var written = CliRun.Of("generate", "The ", "--model", Path.Combine(folder, "models", mechanism + ".safetensors"), "--max-tokens", "9", "--json");
            Assert.Equal(0, written.Code); Assert.Equal(9, (int)written.Json["writtenTokens"]!); Assert.True((long)written.Json["cacheBytes"]! > 0);
        }
    }

    [Fact]
    public void A_run_that_was_stopped_goes_on_with_the_same_bits()
    {
        string text = CliRun.TextFile(20_000); var source = Texts.Open(text);
        var plan = new Plan(1, source.Name, source.Bytes.Length, source.Hash, ["softmax", "linear"], [16, 32], 12_000) { RecallSteps = 6, Dim = 32 }.For(source);
        string whole = CliRun.Folder(), parts = CliRun.Folder();
        var expected = new Comparison(plan, source, whole, []).Run((_, _) => { }, default);
        Assert.True(expected.Complete);

        // Stopped in the middle of every stage: each time one piece further.
        IReadOnlyList<MechanismResult> earlier = []; ComparisonResults? got = null;
        for (int stops = 1; got is null; stops++)
        {
            using var cancel = new CancellationTokenSource(); int left = 2 + stops % 3;
            try { got = new Comparison(plan, source, parts, earlier).Run((_, _) => { if (--left <= 0) cancel.Cancel(); }, stops < 25 ? cancel.Token : default); }
            catch (OperationCanceledException)
            {
                var kept = System.Text.Json.JsonSerializer.Deserialize(File.ReadAllText(Path.Combine(parts, "results.json")), CompareJson.Default.ComparisonResults)!;
                Assert.False(kept.Complete); Assert.Equal(plan.Tokens, kept.Plan.Tokens);
                Page(File.ReadAllText(Path.Combine(parts, "report.html")));
                earlier = kept.Results;
            }
            Assert.True(stops > 3 || got is null, "the run was not stopped");
        }
        foreach (var (a, b) in expected.Results.Zip(got.Results))
        {
            Assert.Equal((a.Mechanism, a.BitsPerByte, a.Recall, a.Params, a.WorkGrowth), (b.Mechanism, b.BitsPerByte, b.Recall, b.Params, b.WorkGrowth));
            Assert.Equal(a.Curve, b.Curve); Assert.Equal(a.StateBytes, b.StateBytes); Assert.Equal(a.PeakBytes, b.PeakBytes);
        }
    }

    [Fact]
    public void Cancelling_ends_with_130_and_resuming_finishes()
    {
        string text = CliRun.TextFile(20_000), folder = CliRun.Folder();
        Assert.Equal(130, CliRun.Of(new CancellationToken(true), Args(text, folder)).Code);
        Assert.False((bool)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "results.json")))!["complete"]!);
        Assert.Equal(2, CliRun.Of("compare", "--resume", "--out", folder).Code);      // another text
        var run = CliRun.Of("compare", "--resume", "--out", folder, "--text", text, "--json");
        Assert.Equal(0, run.Code); Assert.True((bool)run.Json["complete"]!);
    }

    [Fact]
    public void The_own_text_is_there_and_long_enough()
    {
        var own = Texts.Open(null);
        Assert.True(own.Bytes.Length > 100_000);
        Assert.Contains("namespace Fovea", System.Text.Encoding.UTF8.GetString(own.Bytes));
    }

    [Fact]
    public void The_fitted_exponent_of_a_power_is_that_power()
    {
        Assert.Equal(1.7, Measurements.Exponent(new[] { 64, 100, 512, 4096 }.ToDictionary(n => n, n => 3 * Math.Pow(n, 1.7)))!.Value, 9);
        Assert.Null(Measurements.Exponent(new Dictionary<int, double> { [5] = 3 }));
    }

    [Fact]
    public void Hostile_names_and_numbers_leave_the_page_well_formed()
    {
        var plan = new Plan(1, "<script>alert(1)</script>", 10, "x", ["a<b>&\"c"], [8, 16], 100);
        var bad = new MechanismResult("a<b>&\"c") { Curve = [new(0, double.NaN), new(5, double.PositiveInfinity)], Error = "</p><b>", PrefillMs = new() { [8] = 0, [16] = -1 }, Recall = double.NaN };
        string page = Report.Html(new(new("<script>alert(1)</script>", 10, 1), [bad], plan, "machine & co", false));
        Page(page);
        Assert.DoesNotContain("<script", page); Assert.DoesNotContain("NaN", page); Assert.DoesNotContain("∞", page);
    }

    [Theory]
    [InlineData(1, 1, false), InlineData(0.001, 1000000, true), InlineData(-5, 5, false), InlineData(128, 4096, true), InlineData(0.2, 0.2001, false), InlineData(7, 7, true)]
    public void Ticks_lie_inside_the_scale_and_places_inside_the_plot(double low, double high, bool log)
    {
        var s = Scale.Over([low, high], log, 10, 110);
        Assert.InRange(s.Ticks.Length, 1, 12);
        Assert.All(s.Ticks, t => Assert.InRange(s.At(t), 10 - 1e-6, 110 + 1e-6));
        Assert.InRange(s.At(low), 10, 110); Assert.InRange(s.At(high), s.At(low), 110);
    }

    /// <summary>The page is XML but for the doctype and two void elements; every plot has a title, a description and a viewBox.</summary>
    static void Page(string html)
    {
        Assert.DoesNotContain("http://", html.Replace("http://www.w3.org/2000/svg", "")); Assert.DoesNotContain("https://", html);
        string xml = html.Replace("<!doctype html>", "").Replace("<meta charset=\"utf-8\">", "").Replace("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">", "");
        XNamespace ns = "http://www.w3.org/2000/svg"; var page = XDocument.Parse(xml); var plots = page.Descendants(ns + "svg").ToList();
        Assert.Equal(5, plots.Count);
        Assert.All(plots, p => { Assert.NotEmpty(p.Element(ns + "title")!.Value); Assert.NotEmpty(p.Element(ns + "desc")!.Value); Assert.NotNull(p.Attribute("viewBox")); });
        Assert.Contains("prefers-color-scheme:dark", html);
    }

    [Fact]
    public void The_recall_suite_draws_recall_against_state_and_goes_on_where_it_stopped()
    {
        string folder = Path.Combine(CliRun.Folder(), "frontier"); string[] args = ["compare", "--suite", "recall", "--mechanisms", "softmax,linear", "--widths", "32,16", "--recall-steps", "3", "--out", folder, "--json"];
        var run = CliRun.Of(args);
        Assert.Equal((0, ""), (run.Code, run.Err));
        var points = run.Json["points"]!.AsArray();
        Assert.Equal(["softmax 16", "softmax 32", "linear 16", "linear 32"], points.Select(p => $"{p!["mechanism"]} {p["width"]}"));
        // Keys and values of two layers and 24 tokens.
        Assert.Equal(2 * 2 * 24 * 16 * sizeof(float), (int)points[0]!["stateBytes"]!); Assert.All(points, p => Assert.InRange((double)p!["recall"]!, 0, 1));
        var svg = XDocument.Load(Path.Combine(folder, "recall.svg"));
        Assert.Equal(4, svg.Descendants().Count(e => e.Name.LocalName == "polyline") * 2);

        // What is there is not trained again: a result that no training gives stays.
        string path = Path.Combine(folder, "recall.json"); var kept = JsonNode.Parse(File.ReadAllText(path))!;
        kept["points"]![1]!["recall"] = 0.125; kept["points"]!.AsArray().RemoveAt(3); File.WriteAllText(path, kept.ToJsonString());
        var again = CliRun.Of([.. args, "--resume"]).Json;
        Assert.Equal(0.125, (double)again["points"]![1]!["recall"]!); Assert.True(JsonNode.DeepEquals(points[3], again["points"]![3]));
        Assert.Contains("other settings", CliRun.Of([.. args, "--resume", "--seed", "5"]).Err); Assert.Contains("multiples of 16", CliRun.Of("compare", "--suite", "recall", "--widths", "24", "--out", folder).Err);
    }
}
