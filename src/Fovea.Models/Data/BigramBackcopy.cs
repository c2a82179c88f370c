namespace Fovea.Models;

/// <summary>
/// Markov text in which a trigger token is followed by the token that stood before it, and every other token by a draw from its row
/// of one fixed random table (bigram-backcopy, 2410.13835, §2). Token 0 begins every row and appears nowhere else; tokens
/// 1 … Triggers are the triggers; triggers are never neighbours. Models that learn it park attention on token 0 wherever there is no trigger.
/// </summary>
[From("active-dormant", "§2")]
public sealed class BigramBackcopy : Source
{
    readonly double[] cumulative;

    /// <param name="table">The key of the transition table, the same for training and test.</param>
    public BigramBackcopy(Rng table, int length = 64, int vocabulary = 32, int triggers = 3)
    {
        if (triggers < 0 || triggers > vocabulary - 3) throw new ArgumentOutOfRangeException(nameof(triggers), triggers, $"triggers must be 0 to {vocabulary - 3}: a beginning and two other tokens are needed");
        if (length < 1) throw new ArgumentOutOfRangeException(nameof(length), length, "length must be at least 1");
        (Length, Vocabulary, Triggers) = (length, vocabulary, triggers);
        cumulative = new double[vocabulary * vocabulary];
        for (int i = 0; i < vocabulary; i++)
        {
            double sum = 0;
            for (int j = 0; j < vocabulary; j++) cumulative[i * vocabulary + j] = sum += Weight(table[i], i, j);
            for (int j = 0; j < vocabulary; j++) cumulative[i * vocabulary + j] /= sum;
        }
    }
    public override int Length { get; }
    public override int Vocabulary { get; }
    public int Triggers { get; }
    public bool IsTrigger(int token) => token >= 1 && token <= Triggers;

    /// <summary>Probability that <paramref name="next"/> follows <paramref name="token"/> where token is no trigger.</summary>
    public double Probability(int token, int next)
    {
        int at = token * Vocabulary + next;
        return cumulative[at] - (next == 0 ? 0 : cumulative[at - 1]);
    }

    // Exponential weights to the third power: a few likely successors per token, so that the bigram half is worth learning.
    double Weight(Rng row, int token, int next) => next == 0 || (token == 0 && IsTrigger(next)) ? 0 : Math.Pow(-Math.Log(1 - row.Uniform(next)), 3);

    private protected override void Fill(Dice dice, Span<int> inputs, Span<int> targets)
    {
        var tokens = new int[Length + 1];
        for (int i = 1; i < tokens.Length; i++) tokens[i] = IsTrigger(tokens[i - 1]) ? tokens[i - 2] : Draw(tokens[i - 1], dice.Uniform());
        Next(tokens, inputs, targets);
    }

    int Draw(int token, double u)
    {
        var row = cumulative.AsSpan(token * Vocabulary, Vocabulary); int next = 1;
        while (next < Vocabulary - 1 && row[next] <= u) next++;
        return next;
    }
}
