using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Engine;

/// <summary>How models of one family are put together from a file. A family is a class; it is found by its names.</summary>
public abstract class Architecture
{
    /// <summary>What files call it: general.architecture in GGUF, model_type in config.json.</summary>
    public abstract IReadOnlyList<string> Names { get; }
    public abstract LanguageModel Build(ModelFile file, TensorReader tensors);
}

/// <summary>All families of this assembly, by name.</summary>
public static class Architectures
{
    static readonly Dictionary<string, Architecture> all = typeof(Architecture).Assembly.GetTypes().Where(t => !t.IsAbstract && t.IsSubclassOf(typeof(Architecture)))
        .Select(t => (Architecture)Activator.CreateInstance(t)!).SelectMany(a => a.Names.Select(n => (n, a))).ToDictionary(x => x.n, x => x.a, StringComparer.Ordinal);
    public static IReadOnlyCollection<string> Names => [.. all.Keys.Order(StringComparer.Ordinal)];

    /// <summary>The model of a file, which it owns from then on. Unknown families and wrong tensors are an <see cref="InvalidDataException"/>.</summary>
    public static LanguageModel Build(ModelFile file)
    {
        try
        {
            if (!all.TryGetValue(file.Architecture, out var family)) throw new InvalidDataException($"{file.Path}: the architecture is '{file.Architecture}', expected one of {string.Join(", ", Names)}");
            var tensors = new TensorReader(file);
            var model = family.Build(file, tensors);
            tensors.Finish();
            return model;
        }
        catch { file.Dispose(); throw; }
    }
}

/// <summary>
/// Decoders as most are today: RMS norm before attention and before a gated feed-forward part, rotary positions, grouped heads. A family overrides what it does otherwise.
/// </summary>
public abstract class TransformerArchitecture : Architecture
{
    /// <summary>Sizes of a model, read once.</summary>
    protected sealed record Sizes(int Dim, int Layers, int Heads, int KvHeads, int HeadDim, int ValueDim, int Hidden, int Length, double Eps)
    {
        public int Q => Heads * HeadDim;
        public int K => KvHeads * HeadDim;
        public int V => KvHeads * ValueDim;
    }

    protected virtual string EpsKey => "attention.layer_norm_rms_epsilon";
    /// <summary>Which channels turn together; GGUF files of some families have them as neighbours.</summary>
    protected virtual RotaryPairs Pairs(ModelFile f) => RotaryPairs.Halves;
    protected virtual RowNorm Norm(TensorReader t, string name, Sizes s) => new RmsNormRows(t.Vector(name + ".weight", s.Dim), s.Eps);
    protected virtual RowNorm? After(TensorReader t, string name, Sizes s) => null;
    protected virtual (Projection Q, Projection K, Projection V) Inputs(TensorReader t, string b, Sizes s) => (t.Projection(b + "attn_q", s.Q, s.Dim), t.Projection(b + "attn_k", s.K, s.Dim), t.Projection(b + "attn_v", s.V, s.Dim));
    protected virtual FeedRows Feed(TensorReader t, string b, Sizes s) => Gated<Silu>(t, b, s);
    /// <summary>One matrix for queries, keys and values, in this order.</summary>
    protected static (Projection Q, Projection K, Projection V) Apart(Projection all, Sizes s) => (all.Rows(0, s.Q), all.Rows(s.Q, s.Q + s.K), all.Rows(s.Q + s.K, s.Q + s.K + s.V));
    protected static FeedRows Gated<TActivation>(TensorReader t, string b, Sizes s) where TActivation : struct, IUnary =>
        new GatedFeed<TActivation>(t.Projection(b + "ffn_gate", s.Hidden, s.Dim), t.Projection(b + "ffn_up", s.Hidden, s.Dim), t.Projection(b + "ffn_down", s.Dim, s.Hidden));
    /// <summary>The window that a file names, in every layer.</summary>
    protected static AttentionParts Windowed(AttentionParts a, ModelFile f) => f.Has("attention.sliding_window") ? a with { Window = f.Size("attention.sliding_window") } : a;
    /// <summary>Changes to the attention of a layer: norms of queries and keys, scale, window.</summary>
    protected virtual AttentionParts Change(AttentionParts a, ModelFile f, TensorReader t, string b, Sizes s) => a;
    /// <summary>Logits of attention become cap·tanh(logit/cap), or null.</summary>
    protected virtual double? ScoreCap(ModelFile f) => null;
    protected virtual float EmbeddingScale(Sizes s) => 1;
    protected virtual float? LogitCap(ModelFile f) => null;
    protected virtual Matrix? Positions(TensorReader t, Sizes s) => null;
    protected virtual Rotations? Rotary(ModelFile f, TensorReader t, Sizes s)
    {
        int dims = f.Size("rope.dimension_count", s.HeadDim);
        if (dims % 2 != 0 || dims > s.HeadDim) throw new InvalidDataException($"{f.Path}: rope.dimension_count is {dims}, expected an even number up to the head size {s.HeadDim}");
        return new(dims, f.Number("rope.freq_base", 10000), Scaling(f, t, s, dims), Pairs(f));
    }
    protected virtual RopeScaling? Scaling(ModelFile f, TensorReader t, Sizes s, int dims)
    {
        if (t.VectorOrNull("rope_freqs.weight", dims / 2) is { } factors) return new ListedScaling([.. factors.Select(x => (double)x)]);
        string kind = f.TextOrNull("rope.scaling.type") ?? (f.Has("rope.scale_linear") ? "linear" : "none");
        double factor = f.Number("rope.scaling.factor", f.Number("rope.scale_linear", 1));
        int original = f.Size("rope.scaling.original_context_length", s.Length);
        return kind switch
        {
            "none" => null,
            "linear" => new LinearScaling(factor),
            "ntk" or "dynamic" => new NtkScaling(factor),
            "yarn" => new YarnScaling(factor, original, f.Number("rope.scaling.yarn_beta_fast", 32), f.Number("rope.scaling.yarn_beta_slow", 1)),
            "llama3" => new Llama3Scaling(factor, original, f.Number("rope.scaling.low_freq_factor", 1), f.Number("rope.scaling.high_freq_factor", 4)),
            _ => throw new InvalidDataException($"{f.Path}: rope.scaling.type is '{kind}', expected none, linear, ntk, yarn or llama3"),
        };
    }

    public sealed override LanguageModel Build(ModelFile f, TensorReader t)
    {
        int dim = f.Size("embedding_length"), heads = f.Size("attention.head_count"), kv = f.Size("attention.head_count_kv", heads);
        int headDim = f.Size("attention.key_length", Math.Max(1, dim / heads));
        if (heads % kv != 0) throw new InvalidDataException($"{f.Path}: {heads} heads cannot share {kv} key heads evenly");
        var s = new Sizes(dim, f.Size("block_count"), heads, kv, headDim, f.Size("attention.value_length", headDim), f.Size("feed_forward_length", 4L * dim), f.Size("context_length"), f.Number(EpsKey, 1e-5));
        int vocabulary = Vocabulary(f); var embedding = t.Matrix("token_embd.weight", vocabulary, dim); var rotary = Rotary(f, t, s);
        var layers = Enumerable.Range(0, s.Layers).Select(i => Layer(f, t, s, i, rotary)).ToList();
        return new(f)
        {
            Name = Path.GetFileNameWithoutExtension(f.Path),
            Architecture = f.Architecture,
            Embedding = embedding,
            EmbeddingScale = EmbeddingScale(s),
            Positions = Positions(t, s),
            Layers = layers,
            FinalNorm = Norm(t, "output_norm", s),
            Head = t.Has("output.weight") ? t.Matrix("output.weight", vocabulary, dim) : embedding,
            LogitCap = LogitCap(f),
            Length = s.Length,
            Parameters = t.Numbers,
            WeightBytes = t.Bytes,
        };
    }

    static int Vocabulary(ModelFile f) => f.Find("token_embd.weight") is { Shape.Count: 2 } t ? t.Shape[0] : f.Size("vocab_size", 1);

    DecoderLayer Layer(ModelFile f, TensorReader t, Sizes s, int i, Rotations? rotary)
    {
        string b = $"blk.{i}."; var (q, k, v) = Inputs(t, b, s);
        var parts = Change(new(i, s.Heads, s.KvHeads, s.HeadDim, s.ValueDim, q, k, v, t.Projection(b + "attn_output", s.Dim, s.Heads * s.ValueDim), rotary), f, t, b, s);
        return new(Norm(t, b + "attn_norm", s), Attention(parts, ScoreCap(f)), After(t, b + "post_attention_norm", s), Norm(t, b + "ffn_norm", s), Feed(t, b, s), After(t, b + "post_ffw_norm", s));
    }

    static AttentionRows Attention(AttentionParts p, double? cap) => (cap, p.Window) switch
    {
        (null, null) => new AttentionRows<Plain, Causal>(p, new(), new()),
        (null, { } w) => new AttentionRows<Plain, Window>(p, new(), new(w)),
        ({ } c, null) => new AttentionRows<SoftCap, Causal>(p, new((float)c), new()),
        ({ } c, { } w) => new AttentionRows<SoftCap, Window>(p, new((float)c), new(w)),
    };
}
