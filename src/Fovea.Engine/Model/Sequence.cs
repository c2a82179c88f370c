namespace Fovea.Engine;

/// <summary>One text that a model reads or writes: its tokens and its cache. A fork goes its own way and shares what was read before.</summary>
public sealed class Sequence : IDisposable
{
    readonly KvBudget? budget; int[] tokens;

    internal Sequence(LanguageModel model, KvFormat format, KvBudget? budget) : this(model, budget, new(model, format, budget), []) { }
    Sequence(LanguageModel model, KvBudget? budget, KvCache cache, int[] tokens) => (Model, this.budget, Cache, this.tokens, Length) = (model, budget, cache, tokens, tokens.Length);

    public LanguageModel Model { get; }
    public KvCache Cache { get; }
    /// <summary>Tokens read so far, which is the position of the next one.</summary>
    public int Length { get; private set; }
    public ReadOnlySpan<int> Tokens => tokens.AsSpan(0, Length);

    /// <summary>Whether the cache holds every token, so that cutting the text back is exact.</summary>
    public bool Whole { get { if (Cache.HasStates) return false; for (int l = 0; l < Cache.Layers; l++) foreach (var h in Cache[l].Heads) if (h.Count != Length) return false; return true; } }

    /// <summary>Tokens that can be read tentatively from here: until the next one lets go of entries. 0 where a policy chooses what stays, since what has left does not come back.</summary>
    public int Steady
    {
        get
        {
            if (budget?.Policy is not null) return 0;
            int most = int.MaxValue;
            for (int l = 0; l < Cache.Layers; l++) most = Math.Min(most, Cache[l].Steady(Length));
            return most;
        }
    }

    internal void Add(ReadOnlySpan<int> more, bool tentative)
    {
        if (tokens.Length < Length + more.Length) Array.Resize(ref tokens, Math.Max(Length + more.Length, Math.Max(64, 2 * tokens.Length)));
        more.CopyTo(tokens.AsSpan(Length)); Length += more.Length;
        if (!tentative) Slide();
    }

    void Slide() { for (int l = 0; l < Cache.Layers; l++) Cache[l].Slide(Length); }
    internal void SettleLayer(int layer, int tokens) => budget?.Settle(Cache, layer, tokens);

    /// <summary>Reads tokens in chunks, the budget being kept after each, and gives the logits [V] after the last one.</summary>
    public float[] Read(ReadOnlyMemory<int> text, int chunk = 512)
    {
        if (text.IsEmpty) throw new ArgumentException("there is nothing to read", nameof(text));
        var logits = new float[Model.Vocabulary];
        for (int at = 0; at < text.Length; at += chunk) Model.Forward([new(this, text.Slice(at, Math.Min(chunk, text.Length - at)))], logits);
        return logits;
    }

    /// <summary>Brings the cache down to its budget, without slack.</summary>
    public void Tighten() => budget?.Tighten(Cache, Length);

    internal bool Broken { get; private set; }
    // Takes back what a pass that has failed may have left.
    internal void Undo() { if (Cache.HasStates || budget?.Policy is not null) Broken = true; else Cut(Length); }

    /// <summary>Forgets the tokens from this length on. Entries that a policy or a window has let go do not come back; layers with states cannot go back, which is an <see cref="InvalidOperationException"/>: fork before reading.</summary>
    public void Cut(int length)
    {
        if (length < 0 || length > Length) throw new ArgumentOutOfRangeException(nameof(length), length, $"there are {Length} tokens");
        if (length < Length && Cache.HasStates) throw new InvalidOperationException("layers with states cannot forget tokens; fork the sequence before reading them");
        Cache.Cut(length); Length = length;
    }

    /// <summary>Ends tentative reading: the text has this length, what was read beyond is forgotten as if it had never been.</summary>
    public void Accept(int length) { Cut(length); Slide(); }

    /// <summary>A second sequence that has read the same.</summary>
    public Sequence Fork() => new(Model, budget, Cache.Fork(), [.. Tokens]);
    public void Dispose() => Cache.Dispose();
}
