namespace Fovea.Models;

/// <summary>
/// A text in two parts by a fixed rule: of every ten pieces of 4,096 bytes (a tenth of the text, if that is less) the last is held out,
/// the rest is for training. The held-out part thus comes from all over the text, and no training window reads a byte of it.
/// </summary>
public sealed class Corpus
{
    const int Piece = 4096, Every = 10;
    readonly int[] train, heldOut;

    /// <param name="tokenizer">Bytes are tokens unless one is given; each part is encoded on its own.</param>
    public Corpus(ReadOnlySpan<byte> text, int length, Tokenizer? tokenizer = null)
    {
        if (length < 1) throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 1");
        Tokenizer = tokenizer ?? new ByteTokenizer(); Length = length; Bytes = text.Length;
        var (a, b) = (new List<byte>(text.Length), new List<byte>(text.Length / Every + Piece));
        int piece = Math.Max(1, Math.Min(Piece, text.Length / Every));
        for (int i = 0; i < text.Length; i += piece) (i / piece % Every == Every - 1 ? b : a).AddRange(text[i..Math.Min(text.Length, i + piece)]);
        HeldOutBytes = b.Count;
        train = Tokenizer.Encode([.. a]); heldOut = Tokenizer.Encode([.. b]);
        if (train.Length < length + 1 || heldOut.Length < 2)
            throw new InvalidDataException($"the text has {text.Length} bytes, which gives {train.Length} training and {heldOut.Length} held-out tokens; windows of {length} need at least {length + 1} and 2");
    }

    public Tokenizer Tokenizer { get; }
    public int Vocabulary => Tokenizer.VocabularySize;
    /// <summary>Tokens per row of a training batch.</summary>
    public int Length { get; }
    public int Bytes { get; }
    public int HeldOutBytes { get; }
    public ReadOnlySpan<int> Train => train;
    public ReadOnlySpan<int> HeldOut => heldOut;

    /// <summary>Windows of the training part, every token a target: a function of (rng, step, row) alone.</summary>
    public Batch Batch(Rng rng, int step, int size)
    {
        if (size < 1) throw new ArgumentOutOfRangeException(nameof(size), size, "size must be at least 1");
        var inputs = new int[size * Length]; var targets = new int[size * Length];
        for (int b = 0; b < size; b++)
        {
            int at = new Dice(rng[step][b]).Next(train.Length - Length);
            train.AsSpan(at, Length).CopyTo(inputs.AsSpan(b * Length));
            train.AsSpan(at + 1, Length).CopyTo(targets.AsSpan(b * Length));
        }
        return new(inputs, targets, size, Length);
    }

    /// <summary>
    /// The held-out part in order, cut into rows of at most <paramref name="length"/> tokens and batches of at most <paramref name="size"/> rows,
    /// every token but the first asked for exactly once. The last row is filled up with targets −1. At most <paramref name="tokens"/> are asked for.
    /// </summary>
    public IEnumerable<Batch> HeldOutBatches(int size, int length, int tokens = int.MaxValue)
    {
        int asked = Math.Min(tokens, heldOut.Length - 1), rows = (asked + length - 1) / length;
        for (int row = 0; row < rows; row += size)
        {
            int n = Math.Min(size, rows - row); var inputs = new int[n * length]; var targets = new int[n * length]; Array.Fill(targets, -1);
            for (int i = 0; i < n * length && row * length + i < asked; i++) (inputs[i], targets[i]) = (heldOut[row * length + i], heldOut[row * length + i + 1]);
            yield return new(inputs, targets, n, length);
        }
    }
}
