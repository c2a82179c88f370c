using System.Numerics.Tensors;
namespace Fovea.Engine;

/// <summary>Draws tokens by <see cref="Sampling"/>, without allocating once its buffers have the size of the vocabulary.</summary>
public sealed class Sampler(Sampling sampling)
{
    readonly Sampling sampling = sampling.Checked(); readonly Rng rng = new Rng(sampling.Seed)["sampling"]; readonly Dictionary<int, int> counts = [];
    float[] logits = [], values = []; int[] ids = []; double[] own = [];

    /// <summary>
    /// The token that comes next. Raw logits [V] are not changed; text is all tokens so far, number counts the tokens that were drawn before. Logits that are not numbers throw, and so does a constraint that nothing meets.
    /// </summary>
    /// <param name="allowed">Which tokens may be drawn, or null for all.</param>
    public int Next(ReadOnlySpan<float> raw, ReadOnlySpan<int> text, int number, Func<int, bool>? allowed = null)
    {
        var x = Changed(raw, text);
        if (sampling.Temperature == 0) return Likeliest(x, allowed);
        // What is not allowed is struck out when it is drawn, which is the same as striking it out before.
        for (int tries = 0; ; tries++)
        {
            int token = Draw(x, rng[number].Uniform(tries));
            if (allowed is null || allowed(token)) return token;
            x[token] = float.NegativeInfinity;
            if (tries >= 64) { for (int i = 0; i < x.Length; i++) if (x[i] != float.NegativeInfinity && !allowed(i)) x[i] = float.NegativeInfinity; }
        }
    }

    /// <summary>The probability [V] of each token, as <see cref="Next"/> draws without a constraint; p is overwritten.</summary>
    public void Probabilities(ReadOnlySpan<float> raw, ReadOnlySpan<int> text, Span<double> p)
    {
        var x = Changed(raw, text); p.Clear();
        if (sampling.Temperature == 0) { p[Likeliest(x, null)] = 1; return; }
        double sum = Weigh(x, out int n, out float max);
        for (int i = 0; i < n; i++) p[ids[i]] = Weight(i, max) / sum;
    }

    /// <summary>Draws a token that another model is to judge, with randomness of its own; its probabilities q [V] are overwritten.</summary>
    public int Propose(ReadOnlySpan<float> raw, ReadOnlySpan<int> text, int number, Span<double> q)
    {
        Probabilities(raw, text, q);
        return Pick(q, 1, rng["draft"][number].Uniform(0));
    }

    /// <summary>
    /// The token that comes next, given one that was drawn from probabilities q [V]: that one with probability min(1, p/q), else one drawn from what p has more than q (2211.17192, Algorithm 1), so that it is distributed as p, whatever q is.
    /// With temperature 0 it is the likeliest token, as <see cref="Next"/> gives it.
    /// </summary>
    public int Judge(ReadOnlySpan<float> raw, ReadOnlySpan<int> text, int number, int proposed, ReadOnlySpan<double> q, Func<int, bool>? allowed = null)
    {
        if (sampling.Temperature == 0) return Next(raw, text, number, allowed);
        if (allowed is not null) throw new ArgumentException("a constraint with a temperature leaves no probabilities to compare", nameof(allowed));
        if (own.Length < raw.Length) own = new double[raw.Length];
        var p = own.AsSpan(0, raw.Length); var chance = rng["judge"][number]; double more = 0;
        Probabilities(raw, text, p);
        if (chance.Uniform(0) * q[proposed] < p[proposed]) return proposed;
        for (int i = 0; i < p.Length; i++) more += p[i] = Math.Max(0, p[i] - q[i]);
        return Pick(p, more, chance.Uniform(1));
    }

    // One of the tokens by weights whose sum is given.
    static int Pick(ReadOnlySpan<double> weights, double sum, double u)
    {
        int last = 0; u *= sum;
        for (int i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0) continue;
            last = i;
            if ((u -= weights[i]) < 0) break;
        }
        return last;
    }

    // Logits with bias and penalties.
    Span<float> Changed(ReadOnlySpan<float> raw, ReadOnlySpan<int> text)
    {
        if (logits.Length < raw.Length) (logits, values, ids) = (new float[raw.Length], new float[raw.Length], new int[raw.Length]);
        var x = logits.AsSpan(0, raw.Length); raw.CopyTo(x);
        foreach (var (token, b) in sampling.Bias) if ((uint)token < (uint)x.Length) x[token] += (float)b;
        Penalise(x, text);
        return float.IsNaN(TensorPrimitives.Sum(x)) && Bad(x) ? throw new ArithmeticException("a logit is not a number") : x;
    }

    static bool Bad(ReadOnlySpan<float> x) { foreach (float v in x) if (float.IsNaN(v)) return true; return false; }

    static int Likeliest(Span<float> x, Func<int, bool>? allowed)
    {
        while (true)
        {
            int best = TensorPrimitives.IndexOfMax<float>(x);
            if (float.IsNegativeInfinity(x[best])) throw Nothing();
            if (allowed is null || allowed(best)) return best;
            x[best] = float.NegativeInfinity;
        }
    }
    static NothingAllowedException Nothing() => new();

    void Penalise(Span<float> x, ReadOnlySpan<int> text)
    {
        if (sampling is { RepetitionPenalty: 1, FrequencyPenalty: 0, PresencePenalty: 0 }) return;
        counts.Clear();
        foreach (int t in text[^Math.Min(text.Length, sampling.PenaltyLength)..]) counts[t] = counts.GetValueOrDefault(t) + 1;
        foreach (var (t, n) in counts)
        {
            x[t] = (float)(x[t] > 0 ? x[t] / sampling.RepetitionPenalty : x[t] * sampling.RepetitionPenalty);
            x[t] -= (float)(n * sampling.FrequencyPenalty + sampling.PresencePenalty);
        }
    }

    int Draw(ReadOnlySpan<float> x, double u)
    {
        u *= Weigh(x, out int n, out float max);
        for (int i = 0; i < n - 1; i++) if ((u -= Weight(i, max)) < 0) return ids[i];
        return ids[n - 1];
    }

    // The n tokens that may be drawn, in ids; the sum of their weights.
    double Weigh(ReadOnlySpan<float> x, out int n, out float max)
    {
        n = Candidates(x); max = values[0]; double sum = 0;
        if (float.IsNegativeInfinity(max)) throw Nothing();
        if (sampling.TopP < 1) n = Nucleus(n, max);
        for (int i = 0; i < n; i++) sum += Weight(i, max);
        return sum;
    }
    double Weight(int i, float max) => Math.Exp((values[i] - max) / sampling.Temperature);

    // The tokens that MinP and TopK leave, with their logits, the likeliest first; the others in falling order where TopP needs that. Less than one in 10¹³ of the likeliest counts as nothing.
    int Candidates(ReadOnlySpan<float> x)
    {
        float max = TensorPrimitives.Max(x), least = max + (float)Math.Max(-30, sampling.MinP > 0 ? Math.Log(sampling.MinP) : double.NegativeInfinity); int n = 0, first = 0;
        for (int i = 0; i < x.Length; i++)
            if (x[i] >= least) { if (x[i] == max && (n == 0 || values[first] != max)) first = n; values[n] = x[i]; ids[n++] = i; }
        if (n == 0) { values[0] = float.NegativeInfinity; return 1; }
        if (sampling.TopK > 0 && n > sampling.TopK) { First(n, sampling.TopK); n = sampling.TopK; first = TensorPrimitives.IndexOfMax<float>(values.AsSpan(0, n)); }
        (values[0], values[first], ids[0], ids[first]) = (values[first], values[0], ids[first], ids[0]);
        if (sampling.TopP == 1) return n;
        TensorPrimitives.Negate<float>(values.AsSpan(0, n), values.AsSpan(0, n));
        Array.Sort(values, ids, 0, n);
        TensorPrimitives.Negate<float>(values.AsSpan(0, n), values.AsSpan(0, n));
        return n;
    }

    // Brings the k largest of n to the front; of equal ones those with the smaller ids, so that nothing depends on the order of the rest.
    void First(int n, int k)
    {
        bool Before(int i, float v, int id) => values[i] > v || values[i] == v && ids[i] < id;
        for (int low = 0, high = n - 1; low < high;)
        {
            int middle = (low + high) / 2, i = low, j = high; float v = values[middle]; int id = ids[middle];
            while (i <= j)
            {
                while (Before(i, v, id)) i++;
                while (values[j] < v || values[j] == v && ids[j] > id) j--;
                if (i > j) break;
                (values[i], values[j], ids[i], ids[j]) = (values[j], values[i], ids[j], ids[i]); i++; j--;
            }
            if (k - 1 <= j) high = j; else if (k - 1 >= i) low = i; else return;
        }
    }

    // The fewest candidates that hold TopP of the probability of all of them.
    int Nucleus(int n, float max)
    {
        double sum = 0, held = 0; int kept = 0;
        for (int i = 0; i < n; i++) sum += Math.Exp(values[i] - max);
        while (kept < n && held < sampling.TopP * sum) held += Math.Exp(values[kept++] - max);
        return Math.Max(1, kept);
    }
}

/// <summary>A constraint and a bias together forbid every token.</summary>
public sealed class NothingAllowedException() : InvalidOperationException("no token may be drawn: the constraint, or the bias, forbids all");
