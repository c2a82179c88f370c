using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Fovea.Units;

/// <summary>What project references cannot say.</summary>
public sealed partial class Architecture
{
    static string Root([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "..", ".."));
    static IEnumerable<string> Sources(string under) => Directory.EnumerateFiles(Path.Combine(Root(), under), "*.cs", SearchOption.AllDirectories)
        .Where(f => !f.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}") && !f.Contains($"{Path.DirectorySeparatorChar}bin{Path.DirectorySeparatorChar}"));
    static string Code(string file) => Comments().Replace(File.ReadAllText(file), "");

    [Theory]
    [InlineData(@"System\.Runtime\.Intrinsics|\bVector<|\bVector(128|256|512)\b", "registers")]
    [InlineData(@"\bunsafe\b|\bstackalloc [A-Za-z]+\*", "unsafe code")]
    [InlineData(@"\bParallel\.|\bnew Thread\(|\bTask\.Run\(", "threads")]
    public void Only_kernels_use(string pattern, string what) =>
        Assert.All(Sources("src").Where(f => !f.Contains("Fovea.Kernels") && !f.Contains("Fovea.Cli")), f => Assert.False(Regex.IsMatch(Code(f), pattern), $"{what} in {f}"));

    [Fact]
    public void Randomness_comes_from_keys_and_time_from_outside() =>
        Assert.All(Sources("src"), f => Assert.False(Regex.IsMatch(Code(f), @"new Random\(|Random\.Shared|DateTime\.(Utc)?Now|Guid\.NewGuid"), f));

    [Fact]
    public void The_unstable_softmax_of_the_framework_is_not_used() =>
        Assert.All(Sources("src"), f => Assert.DoesNotContain("TensorPrimitives.SoftMax", Code(f)));

    [Fact]
    public void The_element_type_has_one_name_where_the_double_build_compiles() =>
        Assert.All(new[] { "src/Fovea.Tensors", "src/Fovea.Mechanisms", "src/Fovea.Models" }.SelectMany(Sources).Where(f => !Path.GetFileName(f).StartsWith("Safetensors", StringComparison.Ordinal)),
            f => Assert.False(Regex.IsMatch(Texts().Replace(Code(f), ""), @"\bfloat\b(?!"")|\bMathF\.|\b\d+(\.\d+)?f\b"), f));

    [Fact]
    public void Files_hold_one_idea() => Assert.All(Sources("src"), f => Assert.True(File.ReadLines(f).Count() <= 300, f));

    [Fact]
    public void Mechanism_and_claim_files_are_small()
    {
        Assert.All(Sources("src/Fovea.Mechanisms"), f => Assert.True(File.ReadLines(f).Count() <= 150, f));
        Assert.All(Sources("src/Fovea.Claims").Where(f => f.Contains("Papers")), f => Assert.True(File.ReadLines(f).Count() <= 120, f));
    }

    [Fact]
    public void Bounds_of_laws_stand_in_the_table_with_a_reason()
    {
        string table = File.ReadAllText(Path.Combine(Root(), "docs", "numerics.md"));
        foreach (var bound in typeof(Testing.Bounds).GetFields())
            Assert.Matches($@"\| {bound.Name} \| {Regex.Escape(Convert.ToDouble(bound.GetRawConstantValue()).ToString("0.#######e-0").Replace("e0", ""))}|\| {bound.Name} \| {bound.GetRawConstantValue()}", table);
    }

    [GeneratedRegex(@"//[^\n]*|/\*.*?\*/", RegexOptions.Singleline)] private static partial Regex Comments();
    [GeneratedRegex("""
        "(\\.|[^"\\\n])*"
        """)] private static partial Regex Texts();
}
