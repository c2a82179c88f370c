using Fovea.Engine;
using Fovea.Kernels;
namespace Fovea.Units;

public class KeyPositionTests
{
    const string Llama3 = ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":4.0,\"original_max_position_embeddings\":64,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0}",
        Yarn = ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":64}", Linear = ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":3.0}", Dynamic = ",\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":2.0}";

    [Theory, InlineData(""), InlineData(Llama3), InlineData(Yarn), InlineData(Linear), InlineData(Dynamic), InlineData(",\"sliding_window\":20"), InlineData("neighbours")]
    public void Keys_turned_at_read_give_the_logits_of_keys_that_are_kept_turned(string extra)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(extra == "neighbours" ? files.Gguf() : files.HuggingFace(extra)); int[] tokens = EngineModels.Text(200);
        foreach (int piece in (int[])[1, 7, 70])
        {
            using Sequence rotated = model.Start(), unrotated = model.Start(KvFormat.Parse("f32+unrotated"));
            Assert.InRange(EngineModels.Apart(EngineModels.Read(rotated, tokens, piece), EngineModels.Read(unrotated, tokens, piece)), 0, 2e-5);
            Assert.Equal(rotated.Cache.Bytes, unrotated.Cache.Bytes);
            if (extra.Contains("window")) continue;
            // Keys themselves differ, and what is looked at does not.
            float[] a = new float[16], b = new float[16], c = new float[16]; rotated.Cache[1].Heads[1].Keys.Decode(33, 1, a); unrotated.Cache[1].Heads[1].Keys.Decode(33, 1, b); unrotated.Cache[1].Heads[1].DecodeKeys(33, 1, c);
            Assert.True(EngineModels.Apart(a, b) > 0.01); Assert.InRange(EngineModels.Apart(a, c), 0, 1e-5);
        }
    }

    [Theory, InlineData("q8+unrotated", 0.05), InlineData("f16+unrotated", 0.01), InlineData("q8/f32+renumbered", 0.05)]
    public void They_may_be_in_any_format(string format, double most)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(150);
        using var s = model.Start(KvFormat.Parse(format));
        Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, 30), files.Expected(tokens)), 0, most);
        Assert.Equal(KvFormat.Parse(format).ToString(), KvFormat.Parse(KvFormat.Parse(format).ToString()).ToString());
    }

    [Fact]
    public void What_leaves_changes_true_positions_not_at_all()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(120);
        foreach (string rule in (string[])["streamingllm", "h2o", "snapkv(window=8)", "adakv(snapkv(window=8))", "keynorm", "quest(page=4,fullLayers=0)", "topk"])
        {
            using Sequence rotated = model.Start(null, new(CacheRule.Parse(rule)!, 24, 8)), unrotated = model.Start(KvFormat.Parse("f32+unrotated"), new(CacheRule.Parse(rule)!, 24, 8));
            Assert.InRange(EngineModels.Apart(EngineModels.Read(rotated, tokens, 5), EngineModels.Read(unrotated, tokens, 5)), 0, 5e-5);
            Assert.InRange(EngineModels.Apart(EngineModels.Read(rotated, tokens, 1), EngineModels.Read(unrotated, tokens, 1)), 0, 5e-5);
        }
    }

    [Theory, InlineData(1), InlineData(9)]
    public void Renumbered_keys_are_as_full_ones_while_the_budget_is_not_reached(int piece)
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(100);
        using Sequence full = model.Start(), some = model.Start(KvFormat.Parse("f32+renumbered"), new(new StreamingLlm(), 100));
        Assert.InRange(EngineModels.Apart(EngineModels.Read(full, tokens, piece), EngineModels.Read(some, tokens, piece)), 0, 2e-5);
    }

    [Fact]
    public void Beyond_it_they_are_the_model_on_the_tokens_that_stayed()
    {
        // Only the first layer's keys and values know nothing of what has left: a model whose second layer adds nothing is one of one layer.
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace(change: (n, t) => n.Contains("layers.1.") && (n.Contains("o_proj") || n.Contains("down_proj")) ? t * 0 : t)); int[] tokens = EngineModels.Text(60);
        using Sequence s = model.Start(KvFormat.Parse("f32+renumbered"), new(new StreamingLlm(2), 8, 0)), truth = model.Start(KvFormat.Parse("f32+unrotated"), new(new StreamingLlm(2), 8, 0)); double apart = 0;
        for (int t = 0; t < tokens.Length; t++)
        {
            float[] y = s.Read(tokens.AsMemory(t, 1)); apart = Math.Max(apart, EngineModels.Apart(y, truth.Read(tokens.AsMemory(t, 1))));
            if (t < 9) continue;
            // Two sinks, the six that stayed, and the token itself.
            using var whole = model.Start();
            Assert.InRange(EngineModels.Apart(whole.Read((int[])[.. tokens[..2], .. tokens[(t - 6)..(t + 1)]]), y), 0, 2e-5);
        }
        Assert.True(apart > 1e-3, $"true positions gave the same: {apart}");
    }

    [Fact]
    public void A_fork_and_a_draft_take_them_along()
    {
        using var files = new EngineModels(); using var model = LanguageModel.Open(files.HuggingFace()); int[] tokens = EngineModels.Text(40), more = EngineModels.Text(6, 8);
        foreach (string f in (string[])["f32+unrotated", "f32+renumbered"])
        {
            using var one = model.Start(KvFormat.Parse(f)); one.Read(tokens); using var fork = one.Fork(); var z = new float[6 * model.Vocabulary];
            model.Forward([new(fork, more, All: true, Tentative: true)], z);
            Assert.Equal(EngineModels.Read(one, more, 1), z);
        }
    }

    [Fact] public void Keys_that_are_mixed_cannot_be_turned_at_read() => Assert.Contains("cannot be turned", Assert.Throws<ArgumentException>(() => (KvFormat.Parse("q4+rotate") with { Positions = KeyPositions.Unrotated }).Checked()).Message);
}
