using Fovea.Models;
namespace Fovea.Engine;

/// <summary>How a <see cref="Batcher"/> keeps caches and shares its time.</summary>
public sealed record BatchOptions
{
    public KvFormat Format { get; init; } = KvFormat.Float32;
    public KvBudget? Budget { get; init; }
    /// <summary>The most tokens of a text; the model's own length if null.</summary>
    public int? Context { get; init; }
    /// <summary>Tokens of prompts that are read in one pass, so that those who write need not wait long.</summary>
    public int Chunk { get; init; } = 512;
    /// <summary>Finished sequences that are kept, so that a text that begins alike need not be read again.</summary>
    public int Kept { get; init; } = 4;
    /// <summary>A smaller model of the same vocabulary that proposes tokens, or null; not with cache rules that let entries go.</summary>
    public LanguageModel? Draft { get; init; }
    /// <summary>Tokens that it proposes at a time: 1 to 7.</summary>
    public int DraftTokens { get; init; } = 4;
}

/// <summary>
/// Moves many requests on together: every step is one pass of the model over a token of each that writes and a chunk of those that still read, so that weights are read once for all. Requests come and go between steps.
/// What is written is the same as alone, but for the rounding of sums. For one thread at a time.
/// </summary>
public sealed class Batcher(LanguageModel model, Tokenizer tokenizer, BatchOptions? options = null) : IDisposable
{
    readonly BatchOptions options = Checked(model, options ?? new()); readonly List<Writing> active = []; readonly List<Sequence> kept = [];
    Piece[] pieces = []; Writing[] readers = []; float[] logits = [];

    static BatchOptions Checked(LanguageModel model, BatchOptions o)
    {
        // A format and a budget that do not go together are refused here.
        using (model.Start(o.Format, o.Budget)) { }
        if (o.Draft is null) return o;
        Engine.Draft.Check(o.Draft, model, o.DraftTokens);
        return o.Budget?.Policy is { } p ? throw new ArgumentException($"a draft model takes tokens back, and {p.GetType().Name} lets entries go that do not come back: expected the full cache or a rule that only looks") : o;
    }

    public LanguageModel Model => model;
    public Tokenizer Tokenizer => tokenizer;
    /// <summary>The most tokens of a text.</summary>
    public int Context { get; } = Math.Min(options?.Context ?? model.Length, model.Positions?.Out ?? int.MaxValue);
    /// <summary>Requests that have not ended.</summary>
    public int Active => active.Count;
    /// <summary>Bytes of the caches of all sequences, those that are kept included.</summary>
    public long CacheBytes => model.Pools.UsedBytes + (options.Draft?.Pools.UsedBytes ?? 0);

    /// <summary>Takes a request in. What is written is told token by token from within <see cref="Step"/>. Throws if the prompt is empty, has unknown tokens, or leaves no room and must not be cut.</summary>
    public Writing Add(Request request, Action<Written>? tell = null)
    {
        request.Sampling.Checked();
        if (request.Prompt.IsEmpty) throw new ArgumentException("the prompt is empty", nameof(request));
        if (request.MaxTokens < 0) throw new ArgumentException($"max tokens is {request.MaxTokens}, expected 0 or more", nameof(request));
        foreach (int t in request.Prompt.Span) if ((uint)t >= (uint)model.Vocabulary) throw new ArgumentException($"token {t} of the prompt is not of the vocabulary of {model.Vocabulary}", nameof(request));
        long asked = request.Prompt.Length + (request.MaxTokens == int.MaxValue ? 1L : request.MaxTokens);
        if (request.Overflow == Overflow.Error && asked > Context) throw new ContextOverflowException(asked, Context);
        if (request.Prompt.Length >= Context) request = request.Overflow == Overflow.Slide ? request with { Prompt = request.Prompt[^(Context / 2 + 1)..] } : throw new ContextOverflowException(request.Prompt.Length + 1L, Context);
        var (sequence, shared) = Start(request.Prompt.Span);
        var w = new Writing(request, tokenizer, sequence, shared, tell, options.Draft is { } d ? new(d, model, options.DraftTokens, options.Format, options.Chunk) : null, options.DraftTokens);
        if (request.MaxTokens == 0) { w.End(Finish.Length); Retire(w); } else active.Add(w);
        return w;
    }

    /// <summary>One pass; false if there is nothing to do. Requests that fail or are cancelled end here and disturb no other.</summary>
    public bool Step()
    {
        foreach (var w in active)
        {
            if (w.Request.Cancel.IsCancellationRequested) w.Stop(Finish.Cancelled);
            else if (w.Sequence.Length >= Context) Full(w);
        }
        Sweep();
        if (active.Count == 0) return false;
        try { Pass(); } finally { Sweep(); }
        return true;
    }

    // Whoever has ended goes, and with it its cache, or it stays among those that are kept.
    void Sweep()
    {
        for (int i = active.Count - 1; i >= 0; i--) if (active[i].Ended) { Retire(active[i]); active.RemoveAt(i); }
    }

    void Pass()
    {
        if (pieces.Length < active.Count) (pieces, readers) = (new Piece[active.Count + 8], new Writing[active.Count + 8]);
        // Those who write go first, and share the pass with as much reading as the chunk allows.
        int n = 0, rows = 0, room = options.Chunk;
        for (int pass = 0; pass < 2; pass++)
            foreach (var w in active)
            {
                var next = w.Next(Math.Min(Math.Max(room, pass == 0 ? 1 : 0), Context - w.Sequence.Length));
                if ((pass == 0) != (w.WrittenTokens > 0 && next.Length == 1) || next.IsEmpty) continue;
                pieces[n] = pass == 0 && Proposal(w) is { IsEmpty: false } more ? new(w.Sequence, more, All: true, Tentative: true) : new(w.Sequence, next);
                if (w.Ended) continue;
                readers[n] = w; rows += pieces[n].Rows; room = Math.Max(0, room - pieces[n++].Length);
            }
        if (n == 0) return;
        if (logits.Length < rows * model.Vocabulary) logits = new float[rows * model.Vocabulary];
        try { model.Forward(pieces.AsSpan(0, n), logits); }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            if (n > 1) for (int i = 0; i < n; i++) One(i); else readers[0].End(Finish.Failed, e);
            return;
        }
        for (int i = 0, at = 0; i < n; at += pieces[i].Rows * model.Vocabulary, i++) Took(readers[i], pieces[i], logits.AsSpan(at, pieces[i].Rows * model.Vocabulary));
    }

    ReadOnlyMemory<int> Proposal(Writing w)
    {
        try { return options.Draft is null ? default : w.Propose(Context - w.Sequence.Length); }
        catch (Exception e) when (e is not OutOfMemoryException) { w.End(Finish.Failed, e); return default; }
    }

    // Whoever made a pass fail is found by going alone. What cannot go back to where the pass began is read anew.
    void One(int i)
    {
        try
        {
            if (pieces[i].Sequence.Broken) { Renew(readers[i]); pieces[i] = pieces[i] with { Sequence = readers[i].Sequence }; }
            model.Forward([pieces[i]], logits); Took(readers[i], pieces[i], logits.AsSpan(0, pieces[i].Rows * model.Vocabulary));
        }
        catch (Exception e) when (e is not OutOfMemoryException) { readers[i].End(Finish.Failed, e); }
    }

    void Renew(Writing w)
    {
        int[] text = [.. w.Sequence.Tokens];
        w.Sequence.Dispose(); w.Sequence = model.Start(options.Format, options.Budget);
        if (text.Length > 0) w.Sequence.Read(text, options.Chunk);
    }

    static void Took(Writing w, Piece piece, ReadOnlySpan<float> logits)
    {
        w.Read(piece.Tentative ? 1 : piece.Length);
        if (w.Reading) return;
        if (w.WrittenTokens == 0) w.Sequence.Tighten();
        try { if (piece.Tentative) w.Judge(piece.Length, logits); else w.Draw(logits); }
        catch (Exception e) when (e is ArithmeticException or InvalidOperationException) { w.End(Finish.Failed, e); }
    }

    // The text has no room left.
    void Full(Writing w)
    {
        if (w.Request.Overflow != Overflow.Slide) { w.Stop(Finish.Overflow); return; }
        int[] again = [.. w.Sequence.Tokens[^(Context / 2)..], .. w.Next(int.MaxValue).Span];
        w.Sequence.Dispose(); w.Restart(model.Start(options.Format, options.Budget), again);
    }

    // A sequence that has read as much as possible of a prompt, but not its last token, whose logits are needed.
    (Sequence, int) Start(ReadOnlySpan<int> prompt)
    {
        int best = -1, most = 0;
        for (int i = 0; i < kept.Count; i++)
        {
            int common = Math.Min(kept[i].Tokens.CommonPrefixLength(prompt), prompt.Length - 1);
            if (common > most && (common == kept[i].Length || kept[i].Whole)) (best, most) = (i, common);
        }
        if (best < 0) return (model.Start(options.Format, options.Budget), 0);
        var fork = kept[best].Fork(); fork.Cut(most);
        return (fork, most);
    }

    void Retire(Writing w)
    {
        w.Release();
        if (options.Kept == 0 || w.Sequence.Length == 0 || w.Finish == Finish.Failed) { w.Sequence.Dispose(); return; }
        kept.Add(w.Sequence);
        while (kept.Count > options.Kept) { kept[0].Dispose(); kept.RemoveAt(0); }
    }

    /// <summary>Ends all requests and gives back all caches.</summary>
    public void Dispose()
    {
        foreach (var w in active) { w.Stop(Finish.Cancelled); w.Release(); w.Sequence.Dispose(); }
        foreach (var s in kept) s.Dispose();
        active.Clear(); kept.Clear();
    }
}
