using System.Text.RegularExpressions;
using Fovea.Models;
namespace Fovea.Units;

public class TokenPatternTests
{
    static List<(int, int)> All(string pattern, int[] text)
    {
        var found = new List<(int, int)>(); var p = Pattern.Parse(pattern); var run = new PatternRun();
        for (int from = 0; from <= text.Length && run.Find(p, text, from, out int start, out int end); from = end > start ? end : end + 1) found.Add((start, end));
        return found;
    }

    [Theory]
    [InlineData(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    [InlineData(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")]
    [InlineData(@"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")]
    [InlineData(@"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}")]
    [InlineData(@"\d{1,3}(?=(?:\d{3})*(?!\d))|\p{L}\p{M}*(?: \p{L}\p{M}*)*")]
    [InlineData(@"(?:ab|a)(?:bc|c)?|x*?y|[^a-y]{2,4}?|(?<=a)b|(?<!a)b")]
    [InlineData(@"(?=(a|b)c)|\s\S")]
    public void Matches_are_those_of_another_engine(string pattern)
    {
        var reference = new Regex(pattern, RegexOptions.CultureInvariant);
        for (int i = 0; i < 120; i++)
        {
            // Only characters that are one UTF-16 unit; the other engine takes the rest apart.
            var rng = new Rng(8)[i];
            string text = string.Concat(Vocabularies.Text(rng, i).Where(c => !char.IsSurrogate(c)).Select((c, j) => rng["kind"].Uniform(j) < 0.4 ? "abcxy1 A'\n"[(int)(10 * rng["letter"].Uniform(j))] : c));
            Assert.Equal(reference.Matches(text).Select(m => (m.Index, m.Index + m.Length)), All(pattern, CodePoints.Of(text)));
        }
    }

    [Fact]
    public void Characters_beyond_the_first_plane_are_one()
    {
        Assert.Equal([(0, 2), (2, 3)], All(@"\p{L}+|.", CodePoints.Of("𝒜𐐷😀")));
        Assert.Equal([(1, 2)], All("[😀-😂]", CodePoints.Of("x😁")));
    }

    [Fact]
    public void Sets_can_be_cut_with_each_other()
    {
        Assert.Equal([(0, 2), (3, 4)], All(@"[\p{L}&&[^a-z]]+", CodePoints.Of("AÉbC")));
        Assert.Equal([(0, 2)], All(@"\p{Han}+", CodePoints.Of("漢字かな")));
        Assert.Equal([(0, 2), (2, 4)], All("(?i:'s)", CodePoints.Of("'ſ'S")));
    }

    [Theory]
    [InlineData("(a", "a group that is not closed")]
    [InlineData("[a", "a set that is not closed")]
    [InlineData("a)", "an unmatched ')'")]
    [InlineData("(a*)*", "repetition of something that can be empty")]
    [InlineData("a{2}{2}", "a repetition of a repetition")]
    [InlineData(@"(a)\1", @"the escape '\1'")]
    [InlineData(@"\p{Greek}", "the property 'Greek'")]
    [InlineData("(?<name>a)", "this kind of group")]
    [InlineData("(?>a)", "this kind of group")]
    public void What_is_not_supported_is_named(string pattern, string what) => Assert.Contains(what, Assert.Throws<InvalidDataException>(() => Pattern.Parse(pattern)).Message);

    [Fact]
    public void A_pattern_that_goes_back_and_forth_for_ever_is_stopped() =>
        Assert.Contains("takes too long", Assert.Throws<InvalidDataException>(() => All("(?:a+b?)+c", CodePoints.Of(new string('a', 60)))).Message);
}
