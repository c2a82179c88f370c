using System.Text;
using Fovea.Models;
namespace Fovea.Engine;

/// <summary>One request on its way: what is left to read of the prompt, what has been written, and why it ended. It is moved on by a <see cref="Batcher"/>.</summary>
public sealed class Writing
{
    readonly Request request; readonly Tokenizer tokenizer; readonly Sampler sampler; readonly Detokenizer text; readonly Func<int, bool>? allowed; readonly Action<Written>? tell;
    readonly StringBuilder held = new(); readonly List<Written> waiting = []; readonly int longestStop; readonly Draft? draft; readonly int[] proposal = []; int[] pending; int read;

    internal Writing(Request request, Tokenizer tokenizer, Sequence sequence, int shared, Action<Written>? tell, Draft? draft = null, int most = 0)
    {
        (this.request, this.tokenizer, Sequence, this.tell) = (request, tokenizer, sequence, tell);
        sampler = new(request.Sampling); text = new(tokenizer); pending = request.Prompt[shared..].ToArray(); SharedTokens = shared;
        // Probabilities under a constraint would need every token of the vocabulary tried.
        if (request.Constraint is null || request.Sampling.Temperature == 0) (this.draft, proposal) = (draft, new int[most + 1]); else draft?.Dispose();
        longestStop = request.Stop.Count == 0 ? 0 : request.Stop.Max(s => s.Length);
        if (request.Constraint is { } c) allowed = t => tokenizer.Ends(t) ? c.Complete : tokenizer.Piece(t) is { Length: > 0 } bytes && c.Allows(bytes);
    }

    public Request Request => request;
    public Sequence Sequence { get; internal set; }
    /// <summary>Tokens of the prompt that an earlier sequence had read.</summary>
    public int SharedTokens { get; }
    public int WrittenTokens { get; private set; }
    /// <summary>Tokens that a draft model has proposed, and those of them that were written.</summary>
    public int ProposedTokens { get; private set; }
    public int AcceptedTokens { get; private set; }
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

    /// <summary>The token that is to be read next with what the draft proposes behind it, at most so many together; empty if there is nothing to propose.</summary>
    internal ReadOnlyMemory<int> Propose(int most)
    {
        most = Math.Min(Math.Min(most, Sequence.Steady), Math.Min(proposal.Length, request.MaxTokens - WrittenTokens));
        if (draft is null || most < 2) return default;
        proposal[0] = pending[0];
        int n = draft.Propose(Sequence.Tokens, pending[0], proposal.AsSpan(1, most - 1), sampler, WrittenTokens);
        ProposedTokens += n;
        return n == 0 ? default : proposal.AsMemory(0, n + 1);
    }

    /// <summary>Takes over what is right of a proposal that has been read, and draws one token beyond it; logits [n,V] are those after each of its tokens.</summary>
    internal void Judge(int n, ReadOnlySpan<float> logits)
    {
        int vocabulary = logits.Length / n, start = Sequence.Length - n, kept = 1;
        try
        {
            for (; ; kept++)
            {
                var row = logits.Slice((kept - 1) * vocabulary, vocabulary); var text = Sequence.Tokens[..(start + kept)];
                int token = kept < n ? sampler.Judge(row, text, WrittenTokens, proposal[kept], draft!.Shares(kept - 1), allowed) : sampler.Next(row, text, WrittenTokens, allowed);
                bool right = kept < n && token == proposal[kept];
                if (right) AcceptedTokens++;
                Write(token, request.LogProbs > 0 ? Told(row, token) : default);
                if (Ended || !right) return;
            }
        }
        finally { Sequence.Accept(start + kept); }
    }

    internal void Release() => draft?.Dispose();

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
