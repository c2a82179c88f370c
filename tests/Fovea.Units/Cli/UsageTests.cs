namespace Fovea.Units;

public class UsageTests
{
    public static TheoryData<string, string> Bad => new()
    {
        { "compar", "did you mean 'compare'?" },
        { "mechanisms --jsn", "did you mean '--json'?" },
        { "papers show hedgehgo", "did you mean 'hedgehog'?" },
        { "papers show", "Required argument missing" },
        { "papers list --family sequenc", "expected one of" },
        { "papers run", "expected either ids or --all" },
        { "papers run hedgehog --all", "expected either ids or --all" },
        { "papers run hedgehog --family sequence", "expected either ids or --all or --family" },
        { "papers run --family sequenc", "expected one of" },
        { "papers run --all --quick --resume", "--resume: a quick run writes nothing" },
        { "papers run nope", "no paper 'nope'" },
        { "papers run --seed x hedgehog", "'x'" },
        { "bench gem", "did you mean 'gemm'?" },
        { "bench gemm attention-casual", "did you mean 'attention-causal'?" },
        { "bench decode", "did you mean 'decode-f32'?" },
        { "bench --quik", "did you mean '--quick'?" },
        { "bench gemm --against", "--against" },
        { "bench gemm --against {none}", "none.safetensors: does not exist" },
        { "bench gemm --against {out}", "is a folder" },
        { "bench gemm --against {empty}", "not results of fovea bench" },
        { "bench gemm --against {garbage}", "not results of fovea bench" },
        { "bench gemm --against {text}", "not results of fovea bench" },
        { "bench gemm --save {out}", "is a folder" },
        { "bench gemm --save {one}/below", "cannot be written" },
        { "bench gemm --save {out}/no/folder", "cannot be written" },
        { "layer softmx --in a --out b", "did you mean 'softmax'?" },
        { "layer softmax --in", "--in" },
        { "layer softmax --in a", "--out" },
        { "layer softmax --in {none} --out b", "none.safetensors" },
        { "layer softmax --in {empty} --out {out}/y", "at least 8" },
        { "layer softmax --in {garbage} --out {out}/y", "header" },
        { "layer softmax --in {text} --out {out}/y", "safetensors" },
        { "compare --text {none} --out {out}", "does not exist" },
        { "compare --text {empty} --out {out}", "is empty" },
        { "compare --text {one} --out {out}", "too short" },
        { "compare --text {out} --out {out}/x", "is a folder" },
        { "compare --mechanisms softmax,sofmax --out {out}", "did you mean 'softmax'?" },
        { "compare --mechanisms softmax,softmax --out {out}", "named twice" },
        { "compare --mechanisms , --out {out}", "at least one name" },
        { "compare --seconds 0 --out {out}", "--seconds 0: expected a number above 0" },
        { "compare --seconds NaN --out {out}", "--seconds NaN" },
        { "compare --seconds -1 --out {out}", "--seconds -1" },
        { "compare --tokens 0 --out {out}", "--tokens 0: expected a whole number from 1" },
        { "compare --tokens 5 --seconds 5 --out {out}", "expected one of them" },
        { "compare --lengths 0 --out {out}", "--lengths 0: expected a whole number from 1" },
        { "compare --lengths 5,x --out {out}", "--lengths x" },
        { "compare --lengths 99999999999 --out {out}", "--lengths 99999999999" },
        { "compare --out {one}/below", "cannot be written" },
        { "compare --resume --out {out}", "nothing to go on with" },
    };

    [Theory, MemberData(nameof(Bad))]
    public void Bad_input_is_one_clear_line_and_nothing_is_written(string args, string expected)
    {
        string folder = CliRun.Folder(), output = Path.Combine(folder, "out");
        string Make(string name, byte[] bytes) { string p = Path.Combine(folder, name); File.WriteAllBytes(p, bytes); return p; }
        Directory.CreateDirectory(output);
        string line = args.Replace("{out}", output).Replace("{none}", Path.Combine(folder, "none.safetensors")).Replace("{empty}", Make("empty", []))
            .Replace("{one}", Make("one", [65])).Replace("{text}", Make("text", [.. "just some text, no tensors"u8])).Replace("{garbage}", Make("garbage", [.. Enumerable.Range(0, 500).Select(i => (byte)(i * 37 + 200))]));
        var run = CliRun.Of(line.Split(' '));
        Assert.Equal(2, run.Code);
        Assert.Equal("", run.Out);
        Assert.StartsWith("fovea: ", run.Err); Assert.Contains(expected, run.Err);
        Assert.Single(run.Err.Trim().Split('\n'));
        Assert.DoesNotContain("   at ", run.Err);
        Assert.Empty(Directory.GetFileSystemEntries(output));
    }

    [Fact]
    public void Help_is_no_error_and_names_every_command()
    {
        foreach (string[] args in (string[][])[[], ["--help"], ["-h"]])
        {
            var run = CliRun.Of(args);
            Assert.Equal(0, run.Code); Assert.Equal("", run.Err);
            foreach (string name in (string[])["compare", "papers", "mechanisms", "layer", "bench"]) Assert.Contains(name, run.Out);
        }
        Assert.Contains("--lengths", CliRun.Of("compare", "--help").Out);
        Assert.Contains("--set", CliRun.Of("layer", "--help").Out);
    }
}
