using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>One layer: x + attention(norm x), then x + feed(norm x); with norms behind the two where a model has them.</summary>
public sealed record DecoderLayer(RowNorm AttentionNorm, MixingRows Attention, RowNorm? AfterAttention, RowNorm FeedNorm, FeedRows Feed, RowNorm? AfterFeed);

/// <summary>
/// A decoder-only language model whose weights stay where and as they lie in a file. It computes and holds no state of any text: that is a <see cref="Sequence"/>. One pass at a time.
/// </summary>
public sealed class LanguageModel : IDisposable
{
    readonly IDisposable? file; float[] x = [], y = [], z = [];

    public required string Name { get; init; }
    public required string Architecture { get; init; }
    public required Matrix Embedding { get; init; }
    /// <summary>What embeddings are multiplied with.</summary>
    public float EmbeddingScale { get; init; } = 1;
    /// <summary>One vector [Length,C] per position, added to embeddings, or null.</summary>
    public Matrix? Positions { get; init; }
    public required IReadOnlyList<DecoderLayer> Layers { get; init; }
    public required RowNorm FinalNorm { get; init; }
    /// <summary>The output layer [V,C].</summary>
    public required Matrix Head { get; init; }
    /// <summary>Logits become cap·tanh(logit/cap), or null.</summary>
    public float? LogitCap { get; init; }
    /// <summary>The length that the model was made for, in tokens.</summary>
    public required int Length { get; init; }
    /// <summary>Numbers of parameters.</summary>
    public required long Parameters { get; init; }
    /// <summary>Bytes of the weights in their formats.</summary>
    public required long WeightBytes { get; init; }
    /// <summary>Tokens of a pass up to which tentative ones are computed row by row: more would cost more than they can save.</summary>
    public const int Checked = 8;
    public int Vocabulary => Embedding.Out;
    public int Dim => Embedding.In;
    /// <summary>Pages of the caches of all sequences.</summary>
    public PagePools Pools { get; } = new();

    internal LanguageModel(IDisposable? file) => this.file = file;

    /// <summary>Opens a GGUF file, a folder of Hugging Face with config.json and safetensors, or a safetensors file that this project has trained.</summary>
    public static LanguageModel Open(string path) => path.EndsWith(OwnModel.Extension, StringComparison.Ordinal) ? OwnModel.Open(path) : Architectures.Build(ModelFile.Open(path));

    /// <summary>A sequence without tokens.</summary>
    public Sequence Start(KvFormat? format = null, KvBudget? budget = null) => new(this, format ?? KvFormat.Float32, budget);

    /// <summary>
    /// Reads the tokens of all pieces, each going on with its sequence, in one pass: logits [rows,V] is overwritten, with a row per token for pieces that ask for all, else with one for the last token.
    /// Tentative pieces alone, up to <see cref="Checked"/> tokens, give the bits that their tokens give one by one.
    /// Throws before anything is read if a token is not of the vocabulary or a position is beyond what the model has; a pass that fails on the way leaves its sequences as they were, or of no more use where layers have states or a policy lets entries go: that happens layer by layer.
    /// </summary>
    public void Forward(ReadOnlySpan<Piece> pieces, Span<float> logits)
    {
        int tokens = 0, rows = 0; bool apart = true;
        foreach (var p in pieces) { Check(p); tokens += p.Length; rows += p.Rows; apart &= p.Tentative; }
        apart &= tokens <= Checked;
        if (logits.Length < (long)rows * Vocabulary) throw new ArgumentException($"logits holds {logits.Length} numbers, needs {rows} × {Vocabulary}");
        if (tokens == 0) return;
        try { Hidden(pieces, tokens, apart); }
        catch { foreach (var p in pieces) p.Sequence.Undo(); throw; }
        for (int i = 0, from = 0, to = 0; i < pieces.Length; from += pieces[i].Length, to += pieces[i].Rows, i++)
            x.AsSpan((from + pieces[i].Length - pieces[i].Rows) * Dim, pieces[i].Rows * Dim).CopyTo(y.AsSpan(to * Dim));
        FinalNorm.Apply(y, y, rows);
        var l = logits[..(rows * Vocabulary)];
        Head.Multiply(y.AsSpan(0, rows * Dim), rows, l, apart);
        if (LogitCap is { } cap) Cap(l, cap);
        foreach (var p in pieces) p.Sequence.Add(p.Tokens.Span, p.Tentative);
    }

    /// <summary>One vector [C] for a text: the mean over its tokens of what the output layer would read, of length 1. The text is read in chunks, with a cache of its own.</summary>
    public float[] Embed(ReadOnlyMemory<int> text, int chunk = 512)
    {
        if (text.IsEmpty) throw new ArgumentException("there is nothing to read", nameof(text));
        var mean = new float[Dim]; using var s = Start();
        for (int at = 0; at < text.Length; at += chunk)
        {
            var piece = new Piece(s, text.Slice(at, Math.Min(chunk, text.Length - at)));
            Check(piece);
            Hidden([piece], piece.Length, apart: false);
            FinalNorm.Apply(x, y, piece.Length);
            for (int i = 0; i < piece.Length; i++) Map.AddTo(y.AsSpan(i * Dim, Dim), mean);
            s.Add(piece.Tokens.Span, tentative: false);
        }
        float length = System.Numerics.Tensors.TensorPrimitives.Norm<float>(mean);
        if (!float.IsFinite(length)) throw new ArithmeticException("the text's vector is not finite");
        if (length > 0) System.Numerics.Tensors.TensorPrimitives.Divide(mean, length, mean);
        return mean;
    }

    void Hidden(ReadOnlySpan<Piece> pieces, int tokens, bool apart)
    {
        int c = Dim, at = 0;
        if (x.Length < tokens * c) (x, y, z) = (new float[tokens * c], new float[tokens * c], new float[tokens * c]);
        Span<float> xs = x.AsSpan(0, tokens * c), ys = y.AsSpan(0, tokens * c), zs = z.AsSpan(0, tokens * c);
        foreach (var p in pieces)
            for (int i = 0; i < p.Length; i++, at++)
            {
                var row = xs.Slice(at * c, c);
                Embedding.Row(p.Tokens.Span[i], row);
                if (EmbeddingScale != 1) System.Numerics.Tensors.TensorPrimitives.Multiply(row, EmbeddingScale, row);
                if (Positions is null) continue;
                Positions.Row(p.Sequence.Length + i, zs); Map.AddTo(zs[..c], row);
            }
        for (int i = 0; i < Layers.Count; i++)
        {
            var l = Layers[i];
            l.AttentionNorm.Apply(xs, ys, tokens); l.Attention.Apply(ys, tokens, pieces, zs, apart);
            // What a policy lets go leaves here and not behind the last layer, so that a chunk of a long text stands in one layer at a time.
            foreach (var p in pieces) if (!p.Tentative) p.Sequence.SettleLayer(i, p.Sequence.Length + p.Length);
            l.AfterAttention?.Apply(zs, zs, tokens); Map.AddTo(zs, xs);
            l.FeedNorm.Apply(xs, ys, tokens); l.Feed.Apply(ys, tokens, zs, apart);
            l.AfterFeed?.Apply(zs, zs, tokens); Map.AddTo(zs, xs);
        }
    }

    void Check(Piece p)
    {
        if (p.Sequence.Model != this) throw new ArgumentException("a sequence belongs to another model");
        if (p.Sequence.Broken) throw new InvalidOperationException("a pass failed on its way, and what the sequence keeps cannot go back to where it began");
        if (p.Tentative && p.Length > p.Sequence.Steady) throw new ArgumentException($"{p.Length} tentative tokens, the cache can take back {p.Sequence.Steady}");
        var tokens = p.Tokens.Span;
        for (int i = 0; i < tokens.Length; i++) if ((uint)tokens[i] >= (uint)Vocabulary) throw new ArgumentOutOfRangeException(nameof(p), tokens[i], $"token {i} is {tokens[i]}, the vocabulary has {Vocabulary}");
        if (Positions is { } table && p.Sequence.Length + p.Length > table.Out) throw new ContextOverflowException(p.Sequence.Length + p.Length, table.Out);
    }

    static void Cap(Span<float> x, float cap)
    {
        System.Numerics.Tensors.TensorPrimitives.Multiply(x, 1 / cap, x); Map.Apply<Tanh>(x, x); System.Numerics.Tensors.TensorPrimitives.Multiply(x, cap, x);
    }

    public void Dispose() { Pools.Dispose(); file?.Dispose(); }
}

/// <summary>A text is longer than a model or a cache can take.</summary>
public sealed class ContextOverflowException(long needed, long most) : Exception($"the text has {needed} tokens, there is room for {most}");

/// <summary>Tokens that go on with a sequence; logits after the last of them or after each.</summary>
/// <param name="Tentative">The tokens may be taken back: nothing leaves the cache until <see cref="Sequence.Accept"/> tells how many stay. For at most <see cref="Sequence.Steady"/> tokens.</param>
public readonly record struct Piece(Sequence Sequence, ReadOnlyMemory<int> Tokens, bool All = false, bool Tentative = false)
{
    public int Length => Tokens.Length;
    public int Rows => All ? Length : Math.Min(1, Length);
}
