using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>Makes the token mixer of a layer.</summary>
public delegate Attention Mixer(int layer, AttentionConfig config, Weights weights);

/// <summary>Sizes and parts of a language model. Parts are given as functions that make them, so that a new kind needs no new flag.</summary>
public sealed record ModelConfig(int Vocabulary, int Dim = 256, int Layers = 4, int Heads = 4)
{
    public int? KvHeads { get; init; }
    /// <summary>Inner width of the feed-forward part; about 8/3 of Dim, as a multiple of 32, if null.</summary>
    public int? Hidden { get; init; }
    /// <summary>The length that the model is made for, in tokens.</summary>
    public int Length { get; init; } = 1024;
    /// <summary>Positions inside attention.</summary>
    public Position? Position { get; init; } = new Rope();
    /// <summary>Positions added to embeddings, from weights, length and width; null for none.</summary>
    public Func<Weights, int, int, TokenPositions>? TokenPositions { get; init; }
    public Func<Weights, int, Norm> Norm { get; init; } = (w, dim) => new RmsNorm(w, dim);
    public Func<Weights, int, int, FeedForward> FeedForward { get; init; } = (w, dim, hidden) => new SwiGlu(w, dim, hidden);
    public double Dropout { get; init; }
    /// <summary>Whether the output layer is the embedding table.</summary>
    public bool Tied { get; init; } = true;

    public int HiddenDim => Hidden ?? (Dim * 8 / 3 + 31) / 32 * 32;
    public AttentionConfig Attention(bool causal) => new(Dim, Heads, KvHeads, causal, Position, Length);
    /// <summary>Softmax attention in every layer.</summary>
    public static Mixer Softmax { get; } = (_, c, w) => new SoftmaxAttention(c, w);

    /// <summary>Throws unless all sizes are positive and fit each other.</summary>
    public ModelConfig Checked()
    {
        if (Vocabulary < 1 || Layers < 1 || Length < 1 || HiddenDim < 1) throw new ArgumentException($"{nameof(ModelConfig)}: vocabulary {Vocabulary}, layers {Layers}, length {Length} and hidden width {HiddenDim} must be positive");
        Attention(true).Checked();
        return this;
    }
}
