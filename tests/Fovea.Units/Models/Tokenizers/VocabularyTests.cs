using System.Text;
using Fovea.Models;
namespace Fovea.Units;

public class VocabularyTests
{
    [Theory, InlineData("gpt-2"), InlineData("llama-spm"), InlineData("qwen2")]
    public void Ids_are_those_of_the_reference(string name)
    {
        var (file, reference) = Vocabularies.Open(name);
        using var _ = file;
        var t = SubwordTokenizer.FromGguf(file, name);
        Assert.NotEmpty(reference);
        foreach (var (text, ids) in reference)
        {
            Assert.Equal(ids, t.Encode(text));
            Assert.Equal(text, t.DecodeText(ids));
        }
    }

    [Theory, InlineData("gpt-2"), InlineData("llama-spm"), InlineData("qwen2")]
    public void Both_kinds_of_file_give_the_same_ids(string name)
    {
        var (file, reference) = Vocabularies.Open(name);
        using var _ = file;
        SubwordTokenizer gguf = SubwordTokenizer.FromGguf(file, name), json = SubwordTokenizer.FromJson(Vocabularies.Json(file, name), name);
        foreach (var (text, ids) in reference) Assert.Equal(ids, json.Encode(text));
        for (int i = 0; i < 60; i++)
        {
            string text = Vocabularies.Text(new Rng(5)[i], 3 * i);
            Assert.Equal(gguf.Encode(text), json.Encode(text));
            Assert.Equal(text, json.DecodeText(json.Encode(text)));
        }
    }

    [Theory, InlineData("gpt-2"), InlineData("llama-spm"), InlineData("qwen2")]
    public void Every_text_comes_back(string name)
    {
        var (file, _) = Vocabularies.Open(name);
        using var __ = file;
        var t = SubwordTokenizer.FromGguf(file, name);
        for (int i = 0; i < 100; i++)
        {
            string text = Vocabularies.Text(new Rng(6)[i], 5 * i);
            int[] ids = t.Encode(text);
            Assert.Equal(text, t.DecodeText(ids));
            var stream = new Detokenizer(t); var all = new StringBuilder();
            foreach (int id in ids)
            {
                string part = stream.Push(id);
                Assert.DoesNotContain("\ufffd", part);
                all.Append(part);
            }
            Assert.Equal(text, all.ToString());
        }
    }

    [Fact]
    public void Byte_level_vocabularies_keep_any_bytes()
    {
        var (file, _) = Vocabularies.Open("gpt-2");
        using var __ = file;
        var t = SubwordTokenizer.FromGguf(file); var rng = new Rng(7);
        for (int i = 0; i < 200; i++)
        {
            var bytes = new byte[i];
            for (int j = 0; j < i; j++) bytes[j] = (byte)(256 * rng[i].Uniform(j));
            Assert.Equal(bytes, t.Decode(t.Encode(bytes)));
        }
    }

    [Fact]
    public void Control_tokens_are_text_unless_they_are_asked_for()
    {
        var (file, _) = Vocabularies.Open("qwen2");
        using var __ = file;
        var t = SubwordTokenizer.FromGguf(file);
        int start = t.Special("<|im_start|>")!.Value, end = t.Special("<|im_end|>")!.Value;
        Assert.Equal([start, .. t.Encode("user"), end], t.Encode("<|im_start|>user<|im_end|>", special: true));
        Assert.DoesNotContain(start, t.Encode("<|im_start|>user"));
        Assert.Equal("user", t.DecodeText([start, .. t.Encode("user"), end]));
        Assert.Equal("<|im_start|>user"u8.ToArray(), t.Decode([start, .. t.Encode("user")], showControl: true));
        Assert.True(t.Ends(end));
        Assert.False(t.Ends(start));
    }

    [Fact]
    public void The_first_token_is_added_where_the_vocabulary_wants_it()
    {
        var (file, _) = Vocabularies.Open("llama-spm");
        using var __ = file;
        var t = SubwordTokenizer.FromGguf(file);
        Assert.Equal([1, .. t.Encode("a b")], t.Encode("a b", special: false, boundaries: true));
        // Text behind a special token begins anew, with a space of its own.
        Assert.Equal([.. t.Encode("a"), 2, .. t.Encode("b")], t.Encode("a</s>b", special: true));
        Assert.Equal((1, 2), (t.Bos, t.Eos));
    }

    [Fact]
    public void A_word_of_a_million_letters_is_no_trouble()
    {
        var (file, _) = Vocabularies.Open("gpt-2");
        using var __ = file;
        var t = SubwordTokenizer.FromGguf(file); string word = new('a', 1_000_000);
        Assert.Equal(word, t.DecodeText(t.Encode(word)));
    }
}
