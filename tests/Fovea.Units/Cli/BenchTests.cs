using System.Text.Json.Nodes;
using Fovea.Cli;
namespace Fovea.Units;

public class BenchTests
{
    static string Results(string text) { string path = Path.Combine(CliRun.Folder(), "results.json"); File.WriteAllText(path, text); return path; }
    static string Row(string name, double fraction, string size = "8×8", int threads = 1) => $$"""{"name":"{{name}}","size":"{{size}}","threads":{{threads}},"ms":1,"fraction":{{fraction.ToString(System.Globalization.CultureInfo.InvariantCulture)}}}""";
    static Baseline Of(params string[] rows) => Baseline.Read(Results($"[{string.Join(',', rows)}]"));
    static RowKey Key(string name, string size = "8×8", int threads = 1) => new(name, size, threads);

    [Fact]
    public void A_list_names_every_benchmark_and_measures_nothing()
    {
        string[] promised = ["gemm", "attention", "attention-causal", "attention-backward", "attention-score-mods", "attention-sparse", "decode-f32", "decode-bf16", "decode-f16", "decode-int8", "decode-int4", "gemv-q8", "gemv-q4", "gemv-f16", "linear", "rowops", "conv", "train"];
        var names = CliRun.Of("bench", "--list", "--json").Json.AsArray().Select(b => (string)b!["name"]!).ToList();
        Assert.Equal(names.Distinct(), names); Assert.Subset(names.ToHashSet(), promised.ToHashSet());
        Assert.Contains("attention-sparse", CliRun.Of("bench", "--list").Out);
        Assert.Equal("linear", (string)CliRun.Of("bench", "linear", "--list", "--json").Json.AsArray().Single()!["name"]!);
        foreach (string option in (string[])["--quick", "--against", "--save", "--list", "attention-score-mods"]) Assert.Contains(option, CliRun.Of("bench", "--help").Out);
    }

    [Fact]
    public void What_is_more_than_a_tenth_below_has_fallen()
    {
        var c = Of(Row("a", 0.8), Row("b", 0.8), Row("c", 0.8), Row("d", 0.8)).Compare([(Key("a"), 0.721), (Key("b"), 0.719), (Key("c"), 2), (Key("d"), double.NaN)]);
        Assert.Equal(["b", "d"], c.Fallen.Select(f => f.Key.Name)); Assert.Equal((4, 0, 0), (c.Rows.Count, c.New, c.Absent));
        Assert.Equal(0.719 / 0.8, c.Rows[1].Factor, 12);
    }

    [Fact]
    public void Rows_are_the_same_by_name_size_and_threads_and_limits_are_not_compared()
    {
        var before = Of(Row("a", 0.9), Row("a", 0.5, threads: 2), Row("a", 0.7, "9×9"), Row("limit: read", 1));
        var c = before.Compare([(Key("a", threads: 2), 0.5), (Key("a", "9×9"), 0.1), (Key("z"), 0.1), (Key("limit: read"), 0.1)]);
        Assert.Equal([Key("a", "9×9")], c.Fallen.Select(f => f.Key)); Assert.Equal((2, 1, 1), (c.Rows.Count, c.New, c.Absent));
        Assert.Equal(0.9, before.Before(Key("a"))); Assert.Null(before.Before(Key("b")));
    }

    [Theory]
    [InlineData("{}", "it has no rows")]
    [InlineData("3", "it has no rows")]
    [InlineData("[3]", "row 0 is no object")]
    [InlineData("""[{"name":"a","size":"1","threads":1}]""", "row 0 has no fraction")]
    [InlineData("""[{"name":"a","size":"1","threads":"1","fraction":1}]""", "row 0 has no threads")]
    [InlineData("""{"rows":[{"name":"a","size":"1","threads":1,"fraction":null}]}""", "row 0 has no fraction")]
    [InlineData("""{"rows":[{"name":"a","size":"1","threads":1,"fraction":-1}]}""", "fraction -1, expected a positive number")]
    [InlineData("""[{"name":"a","size":"1","threads":1,"fraction":1},{"name":"a","size":"1","threads":1,"fraction":1}]""", "row 1 is there twice: a, 1, 1 thread")]
    [InlineData("""{"rows":[""", "not results of fovea bench")]
    public void A_file_that_holds_something_else_is_refused_before_anything_is_measured(string text, string expected)
    {
        var run = CliRun.Of("bench", "linear", "--against", Results(text));
        Assert.Equal((2, ""), (run.Code, run.Out)); Assert.Contains(expected, run.Err); Assert.Single(run.Err.Trim().Split('\n'));
    }

    [Fact]
    public void A_fraction_is_that_of_the_tighter_limit_unless_the_row_is_held_against_another()
    {
        var compute = new Timing("x", "x", "1", 1, new(0.5, 0.6, 3), Flops: 40, Bytes: 1, new(100, 10));
        Assert.Equal((0.8, 0.2, 0.8), (compute.FractionOfPeak, compute.FractionOfBandwidth, compute.Fraction));
        Assert.Equal(0.9, (compute with { Bytes = 4.5 }).Fraction, 12); Assert.Equal(0.3, (compute with { Relative = new("plain", 0.3) }).Fraction);
    }

    [Fact]
    public void Rows_hold_the_promised_fields_and_cancelling_stops()
    {
        var rows = CliRun.Of("bench", "decode-f32", "--quick", "--json").Json.AsArray();
        Assert.True(rows.Count >= 4);
        foreach (var row in rows)
            Assert.Equal(["name", "size", "ms", "gflops", "fractionOfPeak", "bytesPerSecond", "fractionOfBandwidth", "threads", "benchmark", "medianMs", "samples", "fraction"], row!.AsObject().Select(f => f.Key));
        Assert.Equal(1, (double)rows[0]!["fractionOfPeak"]!); Assert.True((double)rows[2]!["ms"]! > 0); Assert.True((double)rows[2]!["medianMs"]! >= (double)rows[2]!["ms"]!);
        Assert.Equal("decode-f32", (string)rows[2]!["benchmark"]!); Assert.Equal(rows.Count, rows.Select(r => ((string)r!["name"]!, (string)r["size"]!, (int)r["threads"]!)).Distinct().Count());
        Assert.Equal(130, CliRun.Of(new CancellationToken(true), "bench", "decode-f32", "--quick").Code);
    }

    [Fact, Trait("Category", "Slow")]
    public void What_was_saved_is_compared_with_and_a_fall_fails()
    {
        string folder = CliRun.Folder(), saved = Path.Combine(folder, "saved.json"), high = Path.Combine(folder, "high.json"), low = Path.Combine(folder, "low.json");
        Assert.Equal(0, CliRun.Of("bench", "linear", "--quick", "--save", saved).Code);
        Assert.Equal([saved], Directory.GetFiles(folder));
        var all = JsonNode.Parse(File.ReadAllText(saved))!; int rows = all["rows"]!.AsArray().Count(r => (string)r!["benchmark"]! == "linear");
        Assert.NotEqual("", (string)all["machine"]!); Assert.True(rows >= 2);
        // No machine changes by a factor of thousands from one minute to the next.
        void Scaled(string path, double by)
        {
            var copy = all.DeepClone();
            foreach (var row in copy["rows"]!.AsArray()) row!["fraction"] = (double)row["fraction"]! * by;
            File.WriteAllText(path, copy.ToJsonString());
        }
        Scaled(high, 1e4); Scaled(low, 1e-4);
        var fell = CliRun.Of("bench", "linear", "--quick", "--against", high);
        Assert.Equal(1, fell.Code); Assert.Contains("fell: linear attention forward", fell.Out); Assert.Contains($"{rows} rows compared, {rows} fell by more than 10 %; 0 not in the file, 0 only there", fell.Out);
        var held = CliRun.Of("bench", "linear", "--quick", "--against", low, "--save", saved, "--json");
        Assert.Equal(0, held.Code); Assert.Contains($"{rows} rows compared, 0 fell", held.Err);
        Assert.True((double)held.Json.AsArray().First(r => (string)r!["benchmark"]! == "linear")!["fractionBefore"]! > 0);
        Assert.NotEqual(all.ToJsonString(), JsonNode.Parse(File.ReadAllText(saved))!.ToJsonString());
    }
}
