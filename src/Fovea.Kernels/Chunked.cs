namespace Fovea.Kernels;

/// <summary>A recurrence in chunks of <see cref="ScanSize.Chunk"/> steps: what a chunk does alone, how the state passes through the chunks, and what a chunk does once it knows its state.</summary>
internal interface IChunked
{
    /// <summary>Work of one chunk that needs no other; the slot is where it leaves what the other two read.</summary>
    void Before<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct;
    /// <summary>Carries one piece of the state of a row over the chunks [from, to), in the direction of the walk; slot belongs to from, the next chunk has the next.</summary>
    void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct;
    /// <summary>Work of one chunk that knows its state.</summary>
    void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct;
}

/// <summary>
/// Walks over rows of chunks. Many rows are spread over the threads, each walked from end to end by one. Few rows are walked together, some chunks at a time,
/// and these chunks are spread too, so that a single long row fills all cores. What is computed is the same either way: only the sizes decide.
/// </summary>
internal readonly struct Chunked(int rows, int chunks, int pieces, long perChunk, Width width)
{
    // So many rows, or chunks of few rows, are enough for the threads of one machine.
    const int Tasks = 16;
    // Many rows are walked so many at a time, which bounds the slots.
    const int Group = 128;
    // Fewer multiply-adds than this are done before a second thread has woken up.
    const long Alone = 1 << 17;

    bool Whole => rows >= Tasks / 2;
    /// <summary>Chunks of a row that are walked together.</summary>
    int Stretch => Whole ? 1 : Math.Min(Math.Max(1, chunks), (Tasks + rows - 1) / Math.Max(1, rows));
    /// <summary>How many slots the walk uses.</summary>
    public long Slots => Whole ? Math.Min(rows, Group) : (long)rows * Stretch;

    public void Forward<T>(in T body) where T : struct, IChunked => Walk(body, false);
    /// <summary>From the last chunk to the first.</summary>
    public void Backward<T>(in T body) where T : struct, IChunked => Walk(body, true);

    void Walk<T>(in T body, bool backward) where T : struct, IChunked
    {
        for (int first = 0; Whole && first < rows; first += Group)
        {
            int count = Math.Min(Group, rows - first);
            WideRows.For(count, Grain(count, chunks), new Rows<T>(body, first, chunks, pieces, backward), width);
        }
        if (Whole) return;
        for (int done = 0; done < chunks; done += Stretch)
        {
            int count = Math.Min(Stretch, chunks - done), from = backward ? chunks - done - count : done, all = rows * count;
            WideRows.For(all, Grain(all, 1), new Part<T>(body, Stretch, from, count, false), width);
            WideRows.For(rows * pieces, Grain(rows * pieces, count), new Passing<T>(body, Stretch, from, count, pieces), width);
            WideRows.For(all, Grain(all, 1), new Part<T>(body, Stretch, from, count, true), width);
        }
    }

    int Grain(int tasks, int each) => (int)Math.Min(tasks, Math.Max(1, Alone / 2 / Math.Max(1, perChunk * each)));

    readonly struct Rows<T>(T body, int first, int chunks, int pieces, bool backward) : IWideRows where T : struct, IChunked
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            for (int slot = from; slot < to; slot++)
                for (int i = 0; i < chunks; i++)
                {
                    int row = first + slot, chunk = backward ? chunks - 1 - i : i;
                    body.Before<TLanes, V>(row, chunk, slot);
                    for (int p = 0; p < pieces; p++) body.Across<TLanes, V>(row, p, chunk, chunk + 1, slot);
                    body.After<TLanes, V>(row, chunk, slot);
                }
        }
    }

    readonly struct Part<T>(T body, int stretch, int first, int count, bool after) : IWideRows where T : struct, IChunked
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            for (int x = from; x < to; x++)
            {
                int row = x / count, i = x % count; long slot = (long)row * stretch + i;
                if (after) body.After<TLanes, V>(row, first + i, slot); else body.Before<TLanes, V>(row, first + i, slot);
            }
        }
    }

    readonly struct Passing<T>(T body, int stretch, int first, int count, int pieces) : IWideRows where T : struct, IChunked
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            for (int x = from; x < to; x++) body.Across<TLanes, V>(x / pieces, x % pieces, first, first + count, (long)(x / pieces) * stretch);
        }
    }
}
