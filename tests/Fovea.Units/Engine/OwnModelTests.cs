using Fovea.Engine;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Units;

public class OwnModelTests
{
    static readonly ModelConfig Config = new(256, 32, 3, 2) { Hidden = 64, Length = 256 };
    sealed class Saved : IDisposable
    {
        public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"fovea-own-{Environment.ProcessId}-{Interlocked.Increment(ref made)}.safetensors");
        static int made;
        public DecoderModel Own { get; }
        public Saved(string mixer, ModelConfig? config = null)
        {
            var c = config ?? Config; var w = Weights.Random(new Rng(7)); var spec = MixerSpec.Parse(mixer);
            Own = new(c, w, spec.Mixer); DecoderFile.Save(Path, c, spec, w);
        }
        public float[] Expected(int[] tokens) { using var scope = Scope.NoGrad(); return Own.Forward(tokens, 1, Pass.Eval).Span.ToArray(); }
        public void Dispose() => File.Delete(Path);
    }
    static int[] Text(int n, int seed = 3) => [.. Enumerable.Range(0, n).Select(i => new Rng((ulong)seed).Below(i, 256))];

    [Theory, InlineData("based*2+sliding-window(window=64)", 200), InlineData("based*2+sliding-window(window=64)", 7), InlineData("based*2+sliding-window(window=64)", 1), InlineData("softmax", 33), InlineData("gated+softmax", 33), InlineData("delta-rule", 9)]
    public void Reading_and_writing_give_the_logits_of_one_pass(string mixer, int piece)
    {
        using var file = new Saved(mixer); using var model = LanguageModel.Open(file.Path); int[] tokens = Text(200);
        using var s = model.Start();
        Assert.InRange(EngineModels.Apart(EngineModels.Read(s, tokens, piece), file.Expected(tokens)), 0, 5e-4);
    }

    [Fact]
    public void A_hybrid_holds_states_of_a_size_and_pages_of_a_window()
    {
        using var file = new Saved("based*2+sliding-window(window=16)"); using var model = LanguageModel.Open(file.Path);
        using var s = model.Start(KvFormat.Parse("q8")); s.Read(Text(50)); long states = s.Cache[0].Bytes + s.Cache[1].Bytes;
        Assert.True(s.Cache.HasStates && s.Cache[0].State is not null && s.Cache[2].State is null); Assert.Equal(states, s.Cache[0].State!.Bytes + s.Cache[1].State!.Bytes); Assert.True(states > 0);
        s.Read(Text(200, 5)); Assert.Equal(states, s.Cache[0].Bytes + s.Cache[1].Bytes); Assert.All(s.Cache[2].Heads, h => Assert.InRange(h.Count, 15, 15 + 64));
        using var fork = s.Fork(); Assert.Equal(s.Cache.Bytes, fork.Cache.Bytes);
        Assert.Contains("cannot forget", Assert.Throws<InvalidOperationException>(() => s.Cut(3)).Message); Assert.Equal(0, s.Steady); Assert.False(s.Whole);
    }

    public static TheoryData<string> Incremental => [.. Mechanism.All.Where(m => m.Traits.HasFlag(Traits.Incremental | Traits.Causal)).Select(m => m.Name)];

    [Theory, MemberData(nameof(Incremental))]
    public void A_fork_of_any_mechanism_goes_its_own_way(string mechanism)
    {
        using var file = new Saved(mechanism, Config with { Layers = 1 }); using var model = LanguageModel.Open(file.Path); int[] start = Text(40), a = Text(20, 1), b = Text(20, 2);
        using Sequence first = model.Start(), alone = model.Start(); first.Read(start); alone.Read(start);
        using var second = first.Fork();
        float[] ya = EngineModels.Read(first, a, 1), yb = EngineModels.Read(second, b, 1);
        Assert.Equal(EngineModels.Read(alone, b, 1), yb); Assert.NotEqual(ya, yb);
    }

    [Fact]
    public void Texts_are_written_and_a_prompt_that_goes_on_is_not_read_again()
    {
        using var file = new Saved("based*2+sliding-window(window=16)"); using var loaded = LoadedModel.Open(file.Path); using var b = new Batcher(loaded.Model, loaded.Tokenizer);
        string Write(int[] prompt, out Writing w) { var text = new List<int>(); w = b.Add(new(prompt) { Sampling = Sampling.Greedy, MaxTokens = 12 }, x => text.Add(x.Token)); while (b.Step()) { } Assert.Null(w.Error); return string.Join(',', text); }
        string written = Write(Text(30), out _); int[] more = [.. Text(30), .. written.Split(',').Select(int.Parse), 65, 66];
        Write(more, out var again); Assert.Equal(41, again.SharedTokens);
        int[] all = Text(30); var expected = new List<int>();
        for (int i = 0; i < 12; i++) { float[] y = file.Expected([.. all, .. expected])[^256..]; expected.Add(Array.IndexOf(y, y.Max())); }
        Assert.Equal(string.Join(',', expected), written);
        Assert.Contains("takes tokens back", Assert.Throws<ArgumentException>(() => new Batcher(loaded.Model, loaded.Tokenizer, new() { Draft = loaded.Model })).Message);
    }

    [Fact]
    public void What_is_wrong_with_a_file_is_told()
    {
        using var file = new Saved("softmax"); var read = Safetensors.Open(file.Path); string path = file.Path + ".wrong.safetensors";
        string Message(Dictionary<string, string> meta, IEnumerable<KeyValuePair<string, Tensor>>? tensors = null) { Safetensors.Write(path, tensors ?? read.Tensors, meta); try { return Assert.Throws<InvalidDataException>(() => LanguageModel.Open(path)).Message; } finally { File.Delete(path); } }
        string good = read.Metadata["fovea.decoder"];
        Assert.Contains("that fovea has trained", Message([])); Assert.Contains("layers is -1", Message(new() { ["fovea.decoder"] = good.Replace("\"layers\":3", "\"layers\":-1") }));
        Assert.Contains("checkpoint has no blocks.3", Message(new() { ["fovea.decoder"] = good.Replace("\"layers\":3", "\"layers\":4") })); Assert.Contains("not part of the model: more", Message(read.Metadata.ToDictionary(), read.Tensors.Append(KeyValuePair.Create("more", Tensor.Zeros([2])))));
        Assert.Contains("nosuch", Message(new() { ["fovea.decoder"] = good.Replace("softmax", "nosuch") }));
    }
}
