using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Work that can be split into independent ranges of rows.</summary>
public interface IRows { void Run(int from, int to); }

/// <summary>
/// The only place that starts parallel work: one pool of background threads that spin briefly for the next job and then sleep.
/// The split into ranges depends on (rows, grain) alone, and each range is computed by whoever takes it first, so results are the
/// same to the last bit on any number of threads. Calls from inside a range, and calls while another thread uses the pool, run on the caller.
/// </summary>
public static class Threads
{
    static int max = Environment.ProcessorCount;
    static readonly Lock gate = new();
    static readonly SemaphoreSlim wake = new(0);
    static Job? job; static int epoch, sleepers, started, pending;
    [ThreadStatic] static bool inside;

    /// <summary>How many threads may work at once, the caller included; at least 1.</summary>
    public static int Max { get => max; set => max = Math.Max(1, value); }

    /// <summary>Calls body.Run on the ranges [0, grain), [grain, 2·grain) … of rows, in any order, on up to <see cref="Max"/> threads.</summary>
    public static void For<TRows>(int rows, int grain, in TRows body) where TRows : struct, IRows
    {
        if (rows <= 0) return;
        grain = Math.Max(1, grain);
        if (rows <= grain) { Copy(body).Run(0, rows); return; }
        if (max == 1 || inside || !gate.TryEnter()) { Serial(rows, grain, body); return; }
        try { Parallel(rows, grain, body); }
        finally { gate.Exit(); }
    }

    static TRows Copy<TRows>(in TRows body) => body;
    static void Serial<TRows>(int rows, int grain, TRows body) where TRows : struct, IRows
    {
        for (int i = 0; i < rows; i += grain) body.Run(i, Math.Min(rows, i + grain));
    }

    static void Parallel<TRows>(int rows, int grain, in TRows body) where TRows : struct, IRows
    {
        int workers = max - 1;
        while (started < workers) { int id = ++started, before = epoch; new Thread(() => Worker(id, before)) { IsBackground = true, Name = "Fovea worker" }.Start(); }
        var mine = Job<TRows>.Cached;
        mine.Start(body, rows, grain, workers);
        Volatile.Write(ref pending, started);
        job = mine;
        Interlocked.Increment(ref epoch);
        int asleep = Interlocked.Exchange(ref sleepers, 0);
        if (asleep > 0) wake.Release(asleep);
        inside = true;
        try { mine.Drain(); }
        finally
        {
            inside = false;
            var spin = 0;
            while (Volatile.Read(ref pending) != 0) if (++spin < 20_000) Thread.SpinWait(8); else Thread.Yield();
        }
        mine.Rethrow();
    }

    // `seen` is the last job this worker need not do: a worker that is still starting must not miss the job that started it.
    static void Worker(int id, int seen)
    {
        inside = true;
        while (true)
        {
            for (int spins = 0; Volatile.Read(ref epoch) == seen;)
            {
                if (++spins < 2000) { Thread.SpinWait(8); continue; }
                Interlocked.Increment(ref sleepers);
                // Whoever publishes a job first raises the epoch and then takes the sleepers: either we see the epoch, or we are woken.
                if (Volatile.Read(ref epoch) == seen) wake.Wait();
                else if (Interlocked.Decrement(ref sleepers) < 0) { Interlocked.Increment(ref sleepers); wake.Wait(); }
                spins = 0;
            }
            seen = Volatile.Read(ref epoch);
            var j = job!;
            if (id <= j.Workers) j.Drain();
            Interlocked.Decrement(ref pending);
        }
    }

    abstract class Job
    {
        protected int Rows, Grain, Next; public int Workers; Exception? error;
        protected void Begin(int rows, int grain, int workers) { (Rows, Grain, Workers) = (rows, grain, workers); error = null; Volatile.Write(ref Next, 0); }
        public abstract void Drain();
        protected void Fail(Exception e) { Interlocked.CompareExchange(ref error, e, null); Volatile.Write(ref Next, int.MaxValue / 2); }
        public void Rethrow() { if (error is { } e) { error = null; System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e); } }
    }

    sealed class Job<TRows> : Job where TRows : struct, IRows
    {
        /// <summary>One object per kind of body: a call allocates nothing. Guarded by the gate.</summary>
        public static readonly Job<TRows> Cached = new();
        TRows body;
        public void Start(in TRows b, int rows, int grain, int workers) { body = b; Begin(rows, grain, workers); }
        public override void Drain()
        {
            TRows mine = body; int count = (Rows + Grain - 1) / Grain;
            try
            {
                for (int i; (i = Interlocked.Increment(ref Next) - 1) < count && i >= 0;)
                    mine.Run(i * Grain, Math.Min(Rows, (i + 1) * Grain));
            }
            catch (Exception e) { Fail(e); }
        }
    }
}
