using Fovea.Engine;
using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Units;

public class LanguageModelTests
{
    [Theory, InlineData(200), InlineData(70), InlineData(7), InlineData(1)]
    public void A_folder_gives_the_logits_that_the_models_own_class_gives_however_it_is_read(int piece)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(200);
        using var s = model.Start();
        Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, piece), files.Expected(tokens)), 0, 2e-5);
        Assert.Equal(tokens, s.Tokens.ToArray());
    }

    [Fact]
    public void A_file_with_neighbouring_rotary_channels_gives_the_same()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.Gguf()); int[] tokens = EngineModels.Text(70);
        using var s = model.Start();
        Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, 33), files.Expected(tokens)), 0, 2e-5);
    }

    [Theory, InlineData(GgufKind.F16, 0.01), InlineData(GgufKind.Q8_0, 0.05), InlineData(GgufKind.Q4_0, 0.6)]
    public void Rounded_weights_change_little(GgufKind kind, double most)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.Gguf(kind)); int[] tokens = EngineModels.Text(40);
        using var s = model.Start();
        double apart = EngineModels.Apart(EngineModels.Read(s, tokens, 40), files.Expected(tokens));
        Assert.InRange(apart, 1e-6, most);
    }

    [Fact]
    public void Sequences_read_together_are_as_they_are_alone()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int v = model.Vocabulary;
        int[][] texts = [EngineModels.Text(33, 1), EngineModels.Text(1, 2), EngineModels.Text(7, 4)];
        Sequence[] together = [.. texts.Select(_ => model.Start())];
        var logits = new float[(1 + 1 + 7) * v];
        model.Forward([new(together[0], texts[0]), new(together[1], texts[1]), new(together[2], texts[2], All: true)], logits);
        float[] Alone(int[] text) { using var s = model.Start(); return EngineModels.Read(s, text, text.Length); }
        Assert.InRange(EngineModels.Apart(logits.AsSpan(0, v), Alone(texts[0]).AsSpan(32 * v)), 0, 1e-5);
        Assert.InRange(EngineModels.Apart(logits.AsSpan(v, v), Alone(texts[1])), 0, 1e-5);
        Assert.InRange(EngineModels.Apart(logits.AsSpan(2 * v), Alone(texts[2])), 0, 1e-5);
    }

    [Theory, InlineData("f32", 1e-5), InlineData("f16", 0.01), InlineData("bf16", 0.05), InlineData("q8", 0.05), InlineData("q8/q4", 0.5), InlineData("q8+rotate", 0.05), InlineData("f32+rotate", 2e-5)]
    public void A_cache_in_another_format_changes_little_and_takes_what_it_says(string format, double most)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(150); var f = KvFormat.Parse(format);
        using var s = model.Start(f);
        Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, 100), files.Expected(tokens)), 0, most);
        Assert.Equal(f.ToString(), KvFormat.Parse(f.ToString()).ToString());
        long pages = 2 * 2 * 3 * (long)((PagedRows.PageBytes(f.Keys, 16) + 63) / 64 * 64 + (PagedRows.PageBytes(f.Values, 16) + 63) / 64 * 64);
        Assert.Equal(pages + 2 * 2 * 150 * sizeof(int), s.Cache.Bytes);
    }

    [Fact]
    public void A_fork_goes_its_own_way_and_a_cut_goes_back()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] start = EngineModels.Text(70, 1), a = EngineModels.Text(30, 2), b = EngineModels.Text(30, 5);
        using var first = model.Start(); first.Read(start);
        long used = model.Pools.UsedBytes;
        using var second = first.Fork();
        Assert.Equal(used, model.Pools.UsedBytes);
        float[] ya = EngineModels.Read(first, a, 30), yb = EngineModels.Read(second, b, 30);
        float[] Whole(int[] more) => files.Expected([.. start, .. more]).AsSpan(70 * model.Vocabulary).ToArray();
        Assert.InRange(EngineModels.Apart(ya, Whole(a)), 0, 2e-5); Assert.InRange(EngineModels.Apart(yb, Whole(b)), 0, 2e-5);
        first.Cut(70);
        Assert.InRange(EngineModels.Apart(EngineModels.Read(first, b, 7), Whole(b)), 0, 2e-5);
        first.Dispose(); second.Dispose();
        Assert.Equal(0, model.Pools.UsedBytes);
    }

    [Fact]
    public void A_window_of_the_model_is_kept_and_what_it_has_passed_is_let_go()
    {
        using var files = new EngineModels((_, c, w) => new SlidingWindowAttention(c, w, 20)); using var model = LanguageModel.Open(files.HuggingFace(",\"sliding_window\":20")); int[] tokens = EngineModels.Text(200);
        using var s = model.Start();
        Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, 9), files.Expected(tokens)), 0, 2e-5);
        Assert.All(s.Cache[1].Heads, h => Assert.InRange(h.Count, 19, 19 + 64 + 9));
    }

    [Fact]
    public void Reading_a_token_allocates_nothing()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var s = model.Start();
        var logits = new float[model.Vocabulary]; var one = new Piece[] { new(s, new int[] { 3 }) };
        for (int i = 0; i < 70; i++) model.Forward(one, logits);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 50; i++) model.Forward(one, logits);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void What_is_wrong_with_a_file_is_told_in_one_message()
    {
        using var files = new EngineModels();
        string Message(string path) => Assert.Throws<InvalidDataException>(() => LanguageModel.Open(path).Dispose()).Message;
        string m = Message(files.HuggingFace(change: (n, t) => n.EndsWith("1.mlp.up_proj.weight") ? null : n == "model.norm.weight" ? Tensor.Zeros([63]) : t));
        Assert.Contains("missing: blk.1.ffn_up.weight [96, 64]", m); Assert.Contains("output_norm.weight f32 [63], expected [64]", m);
        Assert.Contains("the architecture is 'mamba'", Message(files.HuggingFace(",\"model_type\":\"mamba\"")));
        Assert.Contains("not part of the model: blk.0.attn_q.extra", Message(files.HuggingFace(change: (n, t) => t) is var p && Extra(p) ? p : p));
        Assert.Contains("has no config.json", Message(files.Folder));
        Assert.Contains("num_attention_heads", Message(files.HuggingFace(",\"num_attention_heads\":\"four\"")));
    }
    static bool Extra(string folder) { Safetensors.Write(Path.Combine(folder, "more.safetensors"), [KeyValuePair.Create("model.layers.0.self_attn.q_proj.extra", Tensor.Zeros([2]))]); return true; }

    [Fact]
    public void A_token_outside_of_the_vocabulary_leaves_a_sequence_as_it_was()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); using var s = model.Start(); s.Read(EngineModels.Text(5));
        Assert.Throws<ArgumentOutOfRangeException>(() => s.Read(new int[] { 1, 50 }));
        Assert.Equal((5, 5), (s.Length, s.Cache[0].Heads[0].Count));
    }
}
