using System.Text;
using Fovea.Models;
namespace Fovea.Engine;

/// <summary>One request on its way: what is left to read of the prompt, what has been written, and why it ended. It is moved on by a <see cref="Batcher"/>.</summary>
public sealed class Writing
{
    readonly Request request; readonly Tokenizer tokenizer; readonly Sampler sampler; readonly Detokenizer text; readonly Func<int, bool>? allowed; readonly Action<Written>? tell;
    readonly StringBuilder held = new(); readonly List<Written> waiting = []; readonly int longestStop; int[] pending; int read;

    internal Writing(Request request, Tokenizer tokenizer, Sequence sequence, int shared, Action<Written>? tell)
    {
        (this.request, this.tokenizer, Sequence, this.tell) = (request, tokenizer, sequence, tell);
        sampler = new(request.Sampling); text = new(tokenizer); pending = request.Prompt[shared..].ToArray(); SharedTokens = shared;
        longestStop = request.Stop.Count == 0 ? 0 : request.Stop.Max(s => s.Length);
        if (request.Constraint is { } c) allowed = t => tokenizer.Ends(t) ? c.Complete : tokenizer.Piece(t) is { Length: > 0 } bytes && c.Allows(bytes);
    }

    public Request Request => request;
    public Sequence Sequence { get; internal set; }
    /// <summary>Tokens of the prompt that an earlier sequence had read.</summary>
    public int SharedTokens { get; }
    public int WrittenTokens { get; private set; }
    public Finish Finish { get; private set; }
    /// <summary>What went wrong, if that is how it ended.</summary>
    public Exception? Error { get; private set; }
    public bool Ended => Finish != Finish.Running;

    /// <summary>The tokens that are to be read next, at most so many.</summary>
    internal ReadOnlyMemory<int> Next(int most) => pending.AsMemory(read, Math.Min(most, pending.Length - read));
    internal bool Reading => read < pending.Length;
    /// <summary>That many of them have been read.</summary>
    internal void Read(int n) => read += n;
    internal void Restart(Sequence sequence, int[] tokens) { Sequence = sequence; (pending, read) = (tokens, 0); }

    /// <summary>Draws the next token from logits [V].</summary>
    internal void Draw(ReadOnlySpan<float> logits)
    {
        int token = sampler.Next(logits, Sequence.Tokens, WrittenTokens, allowed);
        Write(token, request.LogProbs > 0 ? Told(logits, token) : default);
    }

    void Write(int token, (double Own, Likely[]? Others) p)
    {
        if (tokenizer.Ends(token) && !request.IgnoreEnd) { Flush(); End(Finish.EndToken); return; }
        WrittenTokens++;
        if (pending.Length != 1) pending = new int[1];
        (pending[0], read) = (token, 0);
        request.Constraint?.Accept(tokenizer.Piece(token));
        string piece = text.Push(token);
        Hold(new(token, piece, p.Own, p.Others));
        if (Ended) return;
        if (request.Constraint is { Complete: true } && WrittenTokens >= request.MaxTokens) { Flush(); End(Finish.Constraint); }
        else if (WrittenTokens >= request.MaxTokens) { Flush(); End(Finish.Length); }
    }

    // Text that may be the beginning of a stop text waits until it is known.
    void Hold(Written w)
    {
        if (longestStop == 0) { tell?.Invoke(w); return; }
        waiting.Add(w); held.Append(w.Text);
        string all = held.ToString(); int cut = int.MaxValue;
        foreach (string s in request.Stop) if (s.Length > 0 && all.IndexOf(s, StringComparison.Ordinal) is >= 0 and var at) cut = Math.Min(cut, at);
        if (cut < int.MaxValue)
        {
            Release(cut, last: true);
            End(Finish.StopText); return;
        }
        int keep = 0;
        foreach (string s in request.Stop) for (int n = Math.Min(s.Length - 1, all.Length); n > keep; n--) if (all.EndsWith(s[..n], StringComparison.Ordinal)) { keep = n; break; }
        Release(all.Length - keep, last: false);
    }

    // Hands out waiting tokens whose text ends within the first characters; with last, also the part of the next one.
    void Release(int characters, bool last)
    {
        int done = 0;
        while (done < waiting.Count && waiting[done].Text.Length <= characters) { characters -= waiting[done].Text.Length; held.Remove(0, waiting[done].Text.Length); tell?.Invoke(waiting[done++]); }
        if (last && characters > 0 && done < waiting.Count) tell?.Invoke(waiting[done] with { Text = waiting[done++].Text[..characters] });
        waiting.RemoveRange(0, done);
    }
    void Flush() => Release(int.MaxValue, last: true);

    internal void End(Finish why, Exception? error = null) { if (!Ended) (Finish, Error) = (why, error); }
    internal void Stop(Finish why) { Flush(); End(why); }

    (double, Likely[]?) Told(ReadOnlySpan<float> logits, int token)
    {
        double lse = TextScore.LogSum(logits); int n = Math.Min(request.LogProbs, logits.Length);
        float[] values = new float[n]; int[] ids = new int[n];
        Kernels.Select.TopK(logits, 1, logits.Length, n, values, ids);
        return (logits[token] - lse, [.. ids.Select((id, i) => new Likely(id, values[i] - lse)).OrderByDescending(l => l.LogProbability)]);
    }
}
