using System.Text;
using System.Text.Json;
using Fovea.Models;
namespace Fovea.Units;

public class JsonTokenizerTests
{
    /// <summary>Tokens, as texts, that a file of these parts makes of a text; every character of it is a token.</summary>
    static string[] Tokens(string parts, string text, params string[] merges)
    {
        string[] vocab = [.. merges.Select(m => m.Replace(" ", "")), .. Enumerable.Range(33, 94).Select(c => ((char)c).ToString()), .. "▁éĠ ÀÃ©ł".Select(c => c.ToString())];
        var ids = vocab.Distinct().Select((t, i) => (t, i)).ToDictionary(x => x.t, x => x.i);
        string json = $$"""{ {{parts}} {{(parts == "" ? "" : ",")}} "model": { "type": "BPE", "vocab": {{JsonSerializer.Serialize(ids)}}, "merges": {{JsonSerializer.Serialize(merges)}} } }""";
        string[] all = [.. ids.Keys];
        var t = SubwordTokenizer.FromJson(Encoding.UTF8.GetBytes(json));
        return [.. t.Encode(text, special: true).Select(i => i < all.Length ? all[i] : "[x]")];
    }
    static string Split(string behaviour, bool invert = false) => $$"""
        "pre_tokenizer": { "type": "Split", "pattern": { "String": "-" }, "behavior": "{{behaviour}}", "invert": {{(invert ? "true" : "false")}} }
        """;

    [Theory]
    [InlineData("Removed", "The final countdown")]
    [InlineData("Isolated", "The - final - - countdown")]
    [InlineData("MergedWithPrevious", "The- final- - countdown")]
    [InlineData("MergedWithNext", "The -final - -countdown")]
    [InlineData("Contiguous", "The - final -- countdown")]
    public void Splits_join_with_their_neighbours(string behaviour, string expected)
    {
        var pieces = new Pieces(Text("The-final--countdown"), true);
        new PatternSplit("-", Enum.Parse<SplitBehaviour>(behaviour)).Apply(pieces);
        Assert.Equal(expected, string.Join(' ', pieces.Ranges.Select(r => Encoding.UTF8.GetString(CodePoints.Encode(pieces[r])))));
        Assert.Equal(string.Concat(expected.Where(c => c != ' ')), string.Concat(Tokens(Split(behaviour), "The-final--countdown")));
    }
    static PieceText Text(string s) { var t = new PieceText(); t.Add(CodePoints.Of(s)); return t; }

    [Fact]
    public void Merges_do_not_cross_pieces()
    {
        Assert.Equal(["a-", "b"], Tokens("", "a-b", "a -"));
        Assert.Equal(["a", "-", "b"], Tokens(Split("Isolated"), "a-b", "a -"));
        Assert.Equal(["-"], Tokens(Split("Removed", invert: true), "a-b"));
    }

    [Fact]
    public void Metaspace_prepends_once_or_always_or_never()
    {
        string Part(string scheme) => $$"""
            "added_tokens": [{ "id": 200, "content": "<x>", "special": true }], "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "{{scheme}}", "split": true }
            """;
        Assert.Equal("▁a▁b[x]▁c", string.Concat(Tokens(Part("always"), "a b<x>c")));
        Assert.Equal("▁a▁b[x]c", string.Concat(Tokens(Part("first"), "a b<x>c")));
        Assert.Equal("a▁b[x]c", string.Concat(Tokens(Part("never"), "a b<x>c")));
    }

    [Fact]
    public void Texts_are_normalised_before_they_are_cut()
    {
        Assert.Equal("abc", string.Concat(Tokens("""
            "normalizer": { "type": "Sequence", "normalizers": [{ "type": "Lowercase" }, { "type": "Strip", "strip_left": true, "strip_right": true }, { "type": "Replace", "pattern": { "Regex": "x{2,}" }, "content": "b" }] }
            """, " AxxXC ")));
        Assert.Equal("é", string.Concat(Tokens(""" "normalizer": { "type": "NFC" } """, "e\u0301")));
        Assert.Equal("!éa", string.Concat(Tokens(""" "normalizer": { "type": "Prepend", "prepend": "!" } """, "éa")));
    }

    [Fact]
    public void Byte_level_tokens_are_bytes()
    {
        Assert.Equal(["Ġ", "a", "Ã", "©"], Tokens(""" "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": true } """, "aé"));
        Assert.Equal(["Ġa", "Ã©"], Tokens(""" "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": true } """, "aé", "Ġ a", "Ã ©"));
    }

    [Fact]
    public void The_template_gives_first_and_last_tokens()
    {
        string json = """
            { "added_tokens": [{ "id": 1, "content": "<s>", "special": true }, { "id": 2, "content": "</s>", "special": true }],
              "post_processor": { "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }, { "SpecialToken": { "id": "</s>", "type_id": 0 } }],
                "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] }, "</s>": { "id": "</s>", "ids": [2], "tokens": ["</s>"] } } },
              "model": { "type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1.5], ["b", -2]] } }
            """;
        // "<s>" is the id of "a" as well: added tokens take the ids that they name.
        var t = SubwordTokenizer.FromJson(Encoding.UTF8.GetBytes(json.Replace("\"id\": 1,", "\"id\": 3,").Replace("\"id\": 2,", "\"id\": 4,").Replace("[1]", "[3]").Replace("[2]", "[4]")), bos: "<s>", eos: "</s>");
        Assert.Equal([3, 1, 2, 4], t.Encode("ab", special: false, boundaries: true));
        Assert.Equal((3, 4, true, 5), (t.Bos, t.Eos, t.Ends(4), t.VocabularySize));
    }

    [Theory]
    [InlineData(""" "normalizer": { "type": "BertNormalizer" } """, "normalizer: the normalizer 'BertNormalizer' is not supported")]
    [InlineData(""" "pre_tokenizer": { "type": "Sequence", "pretokenizers": [{ "type": "Digits" }, { "type": "UnicodeScripts" }] } """, "pre_tokenizer.pretokenizers[1]: the pre-tokenizer 'UnicodeScripts' is not supported")]
    [InlineData(""" "decoder": { "type": "CTC" } """, "decoder: the decoder 'CTC' is not supported")]
    [InlineData(""" "pre_tokenizer": { "type": "Split", "pattern": { "Regex": "\\p{Greek}" }, "behavior": "Isolated" } """, "the property 'Greek' is not supported")]
    [InlineData(""" "pre_tokenizer": { "type": 7 } """, "pre_tokenizer.type is a JSON Number, expected a text")]
    [InlineData(""" "added_tokens": [{ "id": 2000000000, "content": "x y" }] """, "has id 2000000000, expected 0 to")]
    public void What_is_not_supported_is_named(string parts, string message) => Assert.Contains(message, Assert.Throws<InvalidDataException>(() => Tokens(parts, "a")).Message);

    [Fact]
    public void A_merge_of_unknown_tokens_is_refused()
    {
        Assert.Contains("needs the token", Assert.Throws<InvalidDataException>(() => SubwordTokenizer.FromJson("""{ "model": { "type": "BPE", "vocab": { "a": 0 }, "merges": ["a b"] } }"""u8.ToArray())).Message);
        Assert.Contains("expected two parts", Assert.Throws<InvalidDataException>(() => SubwordTokenizer.FromJson("""{ "model": { "type": "BPE", "vocab": { "a": 0 }, "merges": ["ab"] } }"""u8.ToArray())).Message);
    }
}
