namespace Fovea.Models;

/// <summary>
/// Byte pair encoding: a piece is a row of symbols, and of all neighbours that may become one the pair with the lowest order does, the leftmost first, until none may. Short pieces are
/// searched through, long ones keep a queue, so that a word of a million letters takes n log n.
/// </summary>
abstract class MergeModel : ISubwordModel
{
    const int Short = 40;

    /// <summary>A symbol: bytes Start … End − 1 of the piece, its id, and the index of the next symbol (or the number of all).</summary>
    protected struct Symbol { public int Start, End, Id, Next, Previous; }

    /// <summary>The symbols that a piece begins as.</summary>
    protected abstract int Symbols(ReadOnlySpan<byte> piece, Span<Symbol> to);
    /// <summary>The order of a merge of two neighbours, 0 … 2³² − 1, and the id of the result; −1 where they do not merge.</summary>
    protected abstract long Order(ReadOnlySpan<byte> piece, in Symbol left, in Symbol right, out int id);
    /// <summary>Appends the ids of a symbol that is left at the end.</summary>
    protected abstract void Emit(ReadOnlySpan<byte> piece, in Symbol symbol, List<int> ids);
    /// <summary>Whether a whole piece is a token and is not to be taken apart; its id then.</summary>
    protected virtual bool Whole(ReadOnlySpan<byte> piece, out int id) { id = -1; return false; }

    public void Encode(ReadOnlySpan<byte> piece, List<int> ids)
    {
        if (Whole(piece, out int whole)) { ids.Add(whole); return; }
        Span<Symbol> symbols = piece.Length <= Short ? stackalloc Symbol[Short] : new Symbol[piece.Length];
        int n = Symbols(piece, symbols);
        symbols = symbols[..n];
        if (n <= Short) { Search(piece, symbols, ids); return; }
        Queue(piece, symbols);
        for (int i = 0; i < n; i = symbols[i].Next) Emit(piece, symbols[i], ids);
    }

    void Search(ReadOnlySpan<byte> piece, Span<Symbol> symbols, List<int> ids)
    {
        Span<long> orders = stackalloc long[Short]; Span<int> results = stackalloc int[Short];
        int n = symbols.Length;
        for (int i = 0; i + 1 < n; i++) orders[i] = Order(piece, symbols[i], symbols[i + 1], out results[i]);
        while (n > 1)
        {
            int best = -1;
            for (int i = 0; i + 1 < n; i++) if (orders[i] >= 0 && (best < 0 || orders[i] < orders[best])) best = i;
            if (best < 0) break;
            symbols[best].End = symbols[best + 1].End; symbols[best].Id = results[best];
            n--;
            symbols[(best + 2)..(n + 1)].CopyTo(symbols[(best + 1)..]);
            if (best + 1 < n) { orders[(best + 1)..n].CopyTo(orders[best..]); results[(best + 1)..n].CopyTo(results[best..]); }
            if (best + 1 < n) orders[best] = Order(piece, symbols[best], symbols[best + 1], out results[best]);
            if (best > 0) orders[best - 1] = Order(piece, symbols[best - 1], symbols[best], out results[best - 1]);
        }
        foreach (ref var s in symbols[..n]) Emit(piece, s, ids);
    }

    void Queue(ReadOnlySpan<byte> piece, Span<Symbol> symbols)
    {
        // A merge is waited for as (left symbol, ends of both, result); it is stale where an end has moved.
        var queue = new PriorityQueue<(int Left, int Middle, int End, int Id), ulong>(symbols.Length);
        int n = symbols.Length;
        for (int i = 0; i < n; i++) { symbols[i].Next = i + 1; symbols[i].Previous = i - 1; }
        for (int i = 0; i + 1 < n; i++) Offer(piece, symbols, i, queue);
        while (queue.TryDequeue(out var m, out _))
        {
            ref var left = ref symbols[m.Left];
            if (left.End != m.Middle || left.Next >= n || symbols[left.Next].End != m.End) continue;
            ref var right = ref symbols[left.Next];
            left.End = right.End; left.Id = m.Id; left.Next = right.Next;
            right.End = -1;
            if (left.Next < n) { symbols[left.Next].Previous = m.Left; Offer(piece, symbols, m.Left, queue); }
            if (left.Previous >= 0) Offer(piece, symbols, left.Previous, queue);
        }
    }

    void Offer(ReadOnlySpan<byte> piece, Span<Symbol> symbols, int left, PriorityQueue<(int, int, int, int), ulong> queue)
    {
        ref var l = ref symbols[left]; ref var r = ref symbols[l.Next];
        long order = Order(piece, l, r, out int id);
        if (order >= 0) queue.Enqueue((left, l.End, r.End, id), (ulong)order << 31 | (uint)left);
    }
}
