namespace Fovea.Models;

/// <summary>Rows of another source with a landmark, one token more in the vocabulary, after every <paramref name="block"/> − 1 tokens, so that each block of that many ends with one. Nothing is asked at landmarks; they are no targets.</summary>
[From("landmark-attention", "§3.1")]
public sealed class WithLandmarks(Source inner, int block) : Source
{
    readonly int block = block > 1 ? block : throw new ArgumentOutOfRangeException(nameof(block), block, "a block holds at least one token and its landmark");
    public override int Vocabulary => inner.Vocabulary + 1;
    public override int Length => inner.Length + inner.Length / (block - 1);
    /// <summary>The token that closes a block.</summary>
    public int Landmark => inner.Vocabulary;

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        int[] x = new int[inner.Length], y = new int[inner.Length];
        inner.Write(dice, x, y);
        for (int i = 0, from = 0; i < inputs.Length; i++)
            (inputs[i], targets[i]) = i % block == block - 1 ? (Landmark, -1) : (x[from], y[from++]);
    }
}
