using Fovea.Models;
namespace Fovea.Units;

public class GgufTokenizerTests
{
    static SubwordTokenizer Read(GgufWriter w) { var to = new MemoryStream(); w.Save(to); return SubwordTokenizer.FromGguf(GgufFile.Open(to.ToArray()), "f"); }
    static GgufWriter Vocabulary(string model, string[] tokens, int[] kinds) => new GgufWriter("toy").Set("tokenizer.ggml.model", model).Set("tokenizer.ggml.tokens", tokens).Set("tokenizer.ggml.token_type", kinds);

    [Fact]
    public void A_unigram_vocabulary_takes_the_best_sum_and_ends_the_text()
    {
        var t = Read(Vocabulary("t5", ["<pad>", "</s>", "<unk>", "▁", "a", "▁a", "aa", "b"], [3, 3, 2, 1, 1, 1, 1, 1])
            .Set("tokenizer.ggml.scores", (float[])[0, 0, 0, -2, -3, -4, -3.5f, -3]).Set("tokenizer.ggml.add_space_prefix", true).Set("tokenizer.ggml.remove_extra_whitespaces", true));
        // "▁aab": ▁ + aa + b = −8.5 against ▁a + a + b = −10.
        Assert.Equal([3, 6, 7], t.Encode("aab"));
        Assert.Equal([3, 6, 7, 5, 1], t.Encode("  aab   a ", special: false, boundaries: true));
        Assert.Equal([3, 2, 7], t.Encode("xyb"));
        Assert.Equal("aab a", t.DecodeText(t.Encode("aab a")));
    }

    [Fact]
    public void Spaces_behind_the_special_tokens_of_phi_go_along()
    {
        string[] tokens = ["<unk>", "<s>", "</s>", "<|end|>", "▁", "a", "▁a"];
        GgufWriter Of(string name) => Vocabulary("llama", tokens, [2, 3, 3, 3, 1, 1, 1]).Set("tokenizer.ggml.scores", (float[])[0, 0, 0, 0, -1, -2, -3]).Set("general.name", name);
        Assert.Equal([3, 6], Read(Of("Phi-3 mini")).Encode("<|end|>  a", special: true));
        Assert.Equal([3, 4, 4, 6], Read(Of("other")).Encode("<|end|>  a", special: true));
    }

    [Fact]
    public void Texts_of_known_ends_are_control_tokens_even_where_the_file_does_not_say_so()
    {
        var t = Read(Vocabulary("gpt2", ["a", "<|im_end|>", "Ġ", "<|channel|>"], [1, 1, 1, 3]).Set("tokenizer.ggml.pre", "gpt-2").Set("tokenizer.ggml.merges", (string[])[]));
        Assert.Equal([0, 1], t.Encode("a<|im_end|>", special: true));
        Assert.True(t.Ends(1));
        Assert.Equal("a", t.DecodeText([0, 1]));
        Assert.Equal("<|channel|>", t.DecodeText([3]));
    }

    [Theory]
    [InlineData("gpt2", "nobody", "metadata 'tokenizer.ggml.pre' is 'nobody', a way to cut text that is not known")]
    [InlineData("bert", "gpt-2", "metadata 'tokenizer.ggml.model' is 'bert', expected gpt2, llama, t5 or gemma4")]
    public void What_is_not_known_is_named(string model, string pre, string message) =>
        Assert.Equal("f: " + message, Assert.Throws<InvalidDataException>(() => Read(Vocabulary(model, ["a"], [1]).Set("tokenizer.ggml.pre", pre).Set("tokenizer.ggml.merges", (string[])[]))).Message);

    [Fact]
    public void Tokens_that_occur_twice_and_columns_that_are_short_are_refused()
    {
        Assert.Contains("token 'a' has ids 0 and 1", Assert.Throws<InvalidDataException>(() => Read(Vocabulary("llama", ["a", "a"], [1, 1]))).Message);
        Assert.Contains("'tokenizer.ggml.token_type' has 1 entries for 2 tokens", Assert.Throws<InvalidDataException>(() => Read(Vocabulary("llama", ["a", "b"], [1]))).Message);
    }

    [Theory]
    [InlineData("deepseek-llm", "  \u3000\u3002", "  |\u3000|\u3002")]      // white space beyond ASCII is in no range
    [InlineData("tiny_aya", "  1234567 HelloWorld", " | |1|234|567| HelloWorld")]
    [InlineData("afmoe", "abc12345ລາວdef", "abc|12|345|ລາວ|def")]
    [InlineData("youtu", "12、한글a", "1|2|、|한글|a")]
    [InlineData("kimi-k2", "漢字かなHi's 1234", "漢字|かなHi's| |123|4")]
    [InlineData("jais-2", "       a", "    |  | a")]
    [InlineData("granite-embed-multi-97m", "e\u0301X", "e\u0301|X")]
    [InlineData("gpt-4o", "e\u0301X", "e|\u0301X")]
    public void Rules_cut_as_their_own_implementation_does(string name, string text, string expected) => Assert.Equal(expected, string.Join('|', Cut(GgufRule.Of(name, "f").Steps, text)));

    static IEnumerable<string> Cut(PieceStep[] steps, string s)
    {
        var text = new PieceText();
        text.Add(CodePoints.Of(s));
        var pieces = new Pieces(text, true);
        foreach (var step in steps) step.Apply(pieces);
        return pieces.Ranges.Select(r => System.Text.Encoding.UTF8.GetString(CodePoints.Encode(pieces[r])));
    }

    public static TheoryData<string> Rules => [.. "gpt-2 llama-bpe dbrx qwen2 qwen35 deepseek-llm deepseek-coder deepseek-v3 falcon starcoder bloom viking tekken gpt-4o chameleon tiny_aya superbpe bailingmoe seed-coder exaone-moe minicpm5 afmoe youtu kimi-k2 jais-2 granite-embed-multi-97m gemma4 default".Split(' ')];

    [Theory, MemberData(nameof(Rules))]
    public void Every_rule_keeps_every_character(string name)
    {
        var rule = GgufRule.Of(name, "f");
        for (int i = 0; i < 40; i++)
        {
            var text = new PieceText();
            text.Add(CodePoints.Of(Vocabularies.Text(new Rng(13)[i], 4 * i)));
            var pieces = new Pieces(text, true);
            foreach (var step in rule.Steps) step.Apply(pieces);
            Assert.Equal(text.All.ToArray(), pieces.Ranges.SelectMany(r => pieces[r].ToArray()));
        }
    }
}
