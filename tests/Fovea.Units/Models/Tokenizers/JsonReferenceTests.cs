using System.Text;
using System.Text.Json;
using Fovea.Models;
namespace Fovea.Units;

/// <summary>Corners in which the reference implementation of tokenizer.json is not what one would guess; the expected ids and texts are its own.</summary>
public class JsonReferenceTests
{
    static SubwordTokenizer Read(string json) => SubwordTokenizer.FromJson(Encoding.UTF8.GetBytes(json));
    static string Part(string? json, string name) => json is null ? "" : $"\"{name}\": {json},";
    /// <summary>Single characters by id, in the order of <paramref name="letters"/>, then merges.</summary>
    static SubwordTokenizer Letters(string letters, string[] merges, string? normaliser = null, string? cuts = null, string? added = null, string? decoder = null)
    {
        var ids = letters.EnumerateRunes().Select(r => r.ToString()).Concat(merges.Select(m => m.Replace(" ", ""))).Select((t, i) => (t, i)).ToDictionary(x => x.t, x => x.i);
        return Read($$"""{ {{Part(normaliser, "normalizer")}}{{Part(cuts, "pre_tokenizer")}}{{Part(added, "added_tokens")}}{{Part(decoder, "decoder")}} "model": { "type": "BPE", "vocab": {{JsonSerializer.Serialize(ids)}}, "merges": {{JsonSerializer.Serialize(merges)}} } }""");
    }
    static string Normalised(string type, string text)
    {
        var t = new PieceText();
        t.Add(CodePoints.Of(text));
        using var json = JsonDocument.Parse($$"""{ "type": "{{type}}" }""");
        return Encoding.UTF8.GetString(CodePoints.Encode(JsonNormalisers.Read(new(json.RootElement, "n"))!.Apply(t).All));
    }

    [Theory]
    [InlineData("NFKC", "\ua7f2\u32fe", "\ua7f2ヲ")]             // the first is younger than Unicode 9
    [InlineData("NFC", "\u0997\u09fe\u09bc", "\u0997\u09fe\u09bc")]
    [InlineData("StripAccents", "a\u0301\u1abf\u1cf2", "a\u1abf")]
    [InlineData("Lowercase", "\U00016ea0\ua7d2Σ\u0130", "\U00016ebb\ua7d3σi\u0307")]
    [InlineData("Nmt", "a\u0001\tb\u200b\u2581c\u007f", "a b  c")]
    public void Normalisers_know_the_characters_that_the_reference_knows(string type, string text, string expected) => Assert.Equal(expected, Normalised(type, text));

    [Theory]
    [InlineData(@"\w", "²¼Ⓐ🄰_ⅷ\u0301", "")]
    [InlineData(@"\w", "⁴\u200d", "⁴\u200d")]
    [InlineData(@"\p{Han}", "漢\U0002b739\U0002b73f", "\U0002b73f")]
    [InlineData("x*", "xya", "ya")]                                     // finds nothing in front of y, too
    public void Patterns_know_the_characters_that_the_reference_knows(string pattern, string text, string left)
    {
        var t = new PieceText();
        t.Add(CodePoints.Of(text));
        Assert.Equal(left, Encoding.UTF8.GetString(CodePoints.Encode(new ReplaceText(Pattern.Parse(pattern), []).Apply(t).All)));
    }

    [Fact]
    public void White_space_leaves_joiners_within_words_and_young_punctuation_is_none()
    {
        Assert.Equal([4], Letters("ab\u200d", ["a \u200d", "a\u200d b"], cuts: """{ "type": "Whitespace" }""").Encode("a\u200db"));
        Assert.Equal([4, 2], Letters("ab!\u2e43", ["a b"], cuts: """{ "type": "Punctuation" }""").Encode("ab!"));
        Assert.Equal([3], Letters("a\u2e43b", ["a \u2e43"], cuts: """{ "type": "Punctuation" }""").Encode("a\u2e43"));
        Assert.Equal([0, 1], Letters("ab-", ["a b"], cuts: """{ "type": "CharDelimiterSplit", "delimiter": "-" }""").Encode("a-b"));
    }

    [Theory]
    [InlineData("Contiguous", "(?=b)", "a|b")]
    [InlineData("MergedWithPrevious", "x*", "ax|b")]
    [InlineData("Removed", "x*", "a|b")]
    [InlineData("Isolated", @"\b", "axb")]
    public void Empty_matches_keep_their_neighbours_apart(string behaviour, string pattern, string expected)
    {
        string text = pattern == "(?=b)" ? "ab" : "axb";
        var t = new PieceText();
        t.Add(CodePoints.Of(text));
        var pieces = new Pieces(t, true);
        new PatternSplit(pattern, Enum.Parse<SplitBehaviour>(behaviour)).Apply(pieces);
        Assert.Equal(expected, string.Join('|', pieces.Ranges.Select(r => Encoding.UTF8.GetString(CodePoints.Encode(pieces[r])))));
    }

    [Fact]
    public void What_stands_on_both_sides_of_an_unknown_character_may_merge() => Assert.Equal([2], Letters("ab", ["a b"]).Encode("a€b"));

    [Fact]
    public void A_token_that_has_taken_all_spaces_is_not_found_in_them_again()
    {
        string Added(bool left) => $$"""[{ "id": 2, "content": "\n\n", "lstrip": {{(left ? "true" : "false")}}, "rstrip": true }]""";
        Assert.Equal([0, 2, 1], Letters("ab", [], added: Added(true)).Encode("a\n\n\n\n\n\nb"));
        Assert.Equal([0, 2, 2, 2, 1], Letters("ab", [], added: Added(false)).Encode("a\n\n\n\n\n\nb"));
    }

    [Fact]
    public void The_text_of_the_unknown_token_is_that_token_and_not_its_bytes()
    {
        string bytes = string.Concat(Enumerable.Range(0, 256).Select(b => $", [\"<0x{b:X2}>\", -5]"));
        var t = Read($$"""{ "model": { "type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": [["<unk>", 0], ["a", -1]{{bytes}}] } }""");
        Assert.Equal([1, 0, 1], t.Encode("a<unk>a"));
        Assert.Equal([1, 2 + 'b', 1], t.Encode("aba"));
    }

    [Theory]
    [InlineData("-11.053184011006493", -11.053184011006492)]
    [InlineData("0.1", 0.1)]
    [InlineData("-2.5e1", -25)]
    [InlineData("123456789012345678901234567890", 123456789012345678901234567890.0)]
    [InlineData("0", 0)]
    public void Scores_are_read_with_the_rounding_of_the_reference(string json, double expected)
    {
        using var document = JsonDocument.Parse(json);
        Assert.Equal(expected, new JsonPart(document.RootElement, "n").Decimal());
    }

    [Fact]
    public void A_metaspace_loses_the_spaces_of_the_first_token()
    {
        var t = Letters("▁a", ["▁ ▁"], decoder: """{ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always" }""");
        Assert.Equal("a  a", t.DecodeText([2, 1, 2, 1]));
        Assert.Equal(" a", t.DecodeText([0, 0, 1]));
        foreach (int[] ids in (int[][])[[2, 1, 2, 1], [0, 0, 1]])
        {
            var stream = new Detokenizer(t);
            Assert.Equal(t.DecodeText(ids), string.Concat(ids.Select(stream.Push)));
        }
    }

    [Fact]
    public void Added_tokens_in_the_byte_alphabet_are_bytes()
    {
        var t = Letters("aÃ©", [], cuts: """{ "type": "ByteLevel" }""", decoder: """{ "type": "ByteLevel" }""", added: """[{ "id": 3, "content": "é" }, { "id": 4, "content": "<é >" }]""");
        Assert.Equal([0xe9], t.Decode([3]));
        Assert.Equal("é<é >", t.DecodeText([1, 2, 4]));
    }
}
