namespace Fovea.Engine;

/// <summary>
/// A smaller model that proposes how a text goes on, for a larger one to judge in one pass (2211.17192). It reads along with a sequence of its own, which is brought to the text before every proposal.
/// What is written does not depend on it; how fast does.
/// </summary>
public sealed class Draft : IDisposable
{
    readonly LanguageModel model; readonly Sequence sequence; readonly int chunk; readonly float[] logits; readonly double[][] shares; int[] text = [];

    /// <summary>A draft of up to <paramref name="most"/> tokens at a time for a model with the same vocabulary; an <see cref="ArgumentException"/> otherwise.</summary>
    public Draft(LanguageModel model, LanguageModel judge, int most, KvFormat? format = null, int chunk = 512)
    {
        Check(model, judge, most);
        (this.model, this.chunk, sequence, logits, shares) = (model, chunk, model.Start(format), new float[model.Vocabulary], new double[most][]);
    }

    internal static void Check(LanguageModel model, LanguageModel judge, int most)
    {
        if (model.Vocabulary != judge.Vocabulary) throw new ArgumentException($"the draft model has a vocabulary of {model.Vocabulary} tokens, the model one of {judge.Vocabulary}: a draft must have the same");
        if (model.Layers.Any(l => l.Attention is MixerRows)) throw new ArgumentException($"{model.Name} keeps states that cannot go back: a draft takes tokens back");
        if (most is < 1 or >= LanguageModel.Checked) throw new ArgumentException($"{most} tokens at a time, expected 1 to {LanguageModel.Checked - 1}");
    }

    /// <summary>The text as the model has read it, with what it has proposed behind.</summary>
    public ReadOnlySpan<int> Tokens => sequence.Tokens;

    /// <summary>
    /// Tokens that may follow a text and the token next behind it, written into to, as many as it takes, up to where the model's positions end; their number. The token of number n is drawn with the randomness of that number.
    /// </summary>
    public int Propose(ReadOnlySpan<int> before, int next, Span<int> to, Sampler sampler, int number)
    {
        int length = before.Length + 1, most = Math.Min(Math.Min(to.Length, shares.Length), (model.Positions?.Out ?? int.MaxValue) - length);
        if (most <= 0) return 0;
        if (text.Length < length + most) text = new int[Math.Max(length + most, 2 * text.Length)];
        before.CopyTo(text); text[length - 1] = next;
        sequence.Cut(Math.Min(sequence.Tokens.CommonPrefixLength(text.AsSpan(0, length)), length - 1));
        for (int i = 0; i < most; i++)
        {
            for (int some; sequence.Length < length + i;)
            {
                some = Math.Min(chunk, length + i - sequence.Length);
                model.Forward([new(sequence, text.AsMemory(sequence.Length, some))], logits);
            }
            shares[i] ??= new double[logits.Length];
            to[i] = text[length + i] = sampler.Propose(logits, text.AsSpan(0, length + i), number + i, shares[i]);
        }
        return most;
    }

    /// <summary>The probabilities [V] that token i of the last proposal was drawn from.</summary>
    public ReadOnlySpan<double> Shares(int i) => shares[i];
    public void Dispose() => sequence.Dispose();
}
