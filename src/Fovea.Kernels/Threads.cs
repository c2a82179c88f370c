namespace Fovea.Kernels;

/// <summary>Work that can be split into independent ranges of rows.</summary>
public interface IRows { void Run(int from, int to); }

/// <summary>
/// The only place that starts parallel work: one pool of background threads that spin briefly for the next job and then sleep.
/// The split into ranges depends on (rows, grain) alone, and each range is computed by whoever takes it first, so results are the
/// same to the last bit on any number of threads. Calls from inside a range, and calls while another thread uses the pool, run on the caller.
/// An exception in a range stops the hand-out of further ranges and is thrown to the caller when those that run have ended.
/// </summary>
public static class Threads
{
    const int Open = 1 << 15, Inside = Open - 1;
    const int WorkerSpins = 300, CallerSpins = 200;     // × 8 pauses: about 0.1 ms

    static int max = Environment.ProcessorCount;
    static readonly Lock gate = new();
    static readonly SemaphoreSlim wake = new(0);
    static Job? job; static int sleepers, started;
    // Number of the job in the high bits; then whether workers may still join it, and how many have. One word, so that joining is one exchange.
    static long state;
    [ThreadStatic] static bool inside;

    /// <summary>How many threads may work at once, the caller included; at least 1.</summary>
    public static int Max { get => Volatile.Read(ref max); set => Volatile.Write(ref max, Math.Clamp(value, 1, Inside)); }

    /// <summary>Calls body.Run on the ranges [0, grain), [grain, 2·grain) … of rows, in any order, on up to <see cref="Max"/> threads.</summary>
    public static void For<TRows>(int rows, int grain, in TRows body) where TRows : struct, IRows
    {
        if (rows <= 0) return;
        grain = Math.Max(1, grain);
        if (rows <= grain) { Copy(body).Run(0, rows); return; }
        if (Max == 1 || inside || !gate.TryEnter()) { Serial(rows, grain, body); return; }
        try { Parallel(rows, grain, body); }
        finally { gate.Exit(); }
    }

    static TRows Copy<TRows>(in TRows body) => body;
    static void Serial<TRows>(int rows, int grain, TRows body) where TRows : struct, IRows
    {
        for (long i = 0; i < rows; i += grain) body.Run((int)i, (int)Math.Min(rows, i + grain));
    }

    static void Parallel<TRows>(int rows, int grain, in TRows body) where TRows : struct, IRows
    {
        int ranges = (int)(((long)rows + grain - 1) / grain), workers = Math.Min(Max, ranges) - 1;
        while (started < workers) { started++; new Thread(Worker) { IsBackground = true, Name = "Fovea worker" }.Start(); }
        var mine = Job<TRows>.Cached;
        mine.Start(body, rows, grain, ranges, workers);
        job = mine;
        Interlocked.Exchange(ref state, (state >> 16) + 1 << 16 | Open);
        Wake(workers);
        inside = true;
        mine.Drain();
        inside = false;
        // Whoever has not joined by now need not: only ranges in progress are waited for, not workers that have yet to wake up.
        Interlocked.And(ref state, ~(long)Open);
        for (int spins = 0; (Volatile.Read(ref state) & Inside) != 0;) if (++spins < CallerSpins) Thread.SpinWait(8); else Thread.Yield();
        mine.End();
    }

    static void Worker()
    {
        inside = true;
        long seen = -1;
        while (true)
        {
            for (int spins = 0; Volatile.Read(ref state) >> 16 == seen;)
            {
                if (++spins < WorkerSpins) { Thread.SpinWait(8); continue; }
                Sleep(seen);
                spins = 0;
            }
            long now = Volatile.Read(ref state);
            if ((now & Open) == 0) { seen = now >> 16; continue; }
            if (Interlocked.CompareExchange(ref state, now + 1, now) != now) continue;
            seen = now >> 16;
            if (job!.Join()) job.Drain();
            Interlocked.Decrement(ref state);
        }
    }

    // sleepers + tokens in `wake` = workers between announcing their sleep and leaving it. The worker announces itself and then looks for
    // a new job, the caller publishes the job and then looks for sleepers: one of them sees the other.
    static void Sleep(long seen)
    {
        Interlocked.Increment(ref sleepers);
        if (Volatile.Read(ref state) >> 16 == seen || Leave(1) == 0) wake.Wait();
    }
    static void Wake(int count) { int n = Leave(count); if (n > 0) wake.Release(n); }
    // Takes up to count away from the sleepers, and says how many.
    static int Leave(int count)
    {
        while (true)
        {
            int there = Volatile.Read(ref sleepers), n = Math.Min(there, count);
            if (Interlocked.CompareExchange(ref sleepers, there - n, there) == there) return n;
        }
    }

    abstract class Job
    {
        protected int Rows, Grain, Ranges, Next; protected Exception? Error; int free;
        protected void Admit(int workers) => free = workers;
        /// <summary>Whether one more worker may take part.</summary>
        public bool Join() => Interlocked.Decrement(ref free) >= 0;
        public abstract void Drain();
    }

    sealed class Job<TRows> : Job where TRows : struct, IRows
    {
        /// <summary>One object per kind of body: a call allocates nothing. Guarded by the gate.</summary>
        public static readonly Job<TRows> Cached = new();
        TRows body;
        public void Start(in TRows b, int rows, int grain, int ranges, int workers) { (body, Rows, Grain, Ranges, Next) = (b, rows, grain, ranges, -1); Admit(workers); }
        public override void Drain()
        {
            TRows mine = body;
            try
            {
                for (int i; (uint)(i = Interlocked.Increment(ref Next)) < (uint)Ranges;)
                    mine.Run(i * Grain, (int)Math.Min(Rows, (long)(i + 1) * Grain));
            }
            catch (Exception e) { Interlocked.CompareExchange(ref Error, e, null); Volatile.Write(ref Next, int.MaxValue / 2); }
        }
        /// <summary>Keeps nothing alive until the next call, and throws what a range threw.</summary>
        public void End()
        {
            body = default;
            if (Error is { } e) { Error = null; System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e); }
        }
    }
}
