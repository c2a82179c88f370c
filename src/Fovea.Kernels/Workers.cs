using System.Runtime.ExceptionServices;
namespace Fovea.Kernels;

/// <summary>Threads that live as long as a call and work independently, as processes of a cluster do; for parallel loops use <see cref="Threads"/>.</summary>
public static class Workers
{
    /// <summary>
    /// Calls body(0) … body(count − 1), each on a thread of its own, and waits for all. If one throws, failed (which may be null) is called at once, so that it can wake those that wait for the one that failed; the first exception is thrown when all have ended.
    /// </summary>
    public static void Run(int count, Action<int> body, Action? failed = null)
    {
        Guard.AtLeast(count, 1);
        Exception? first = null; var threads = new Thread[count];
        for (int i = 0; i < count; i++)
        {
            int rank = i;
            threads[i] = new Thread(() =>
            {
                try { body(rank); }
                catch (Exception e) { if (Interlocked.CompareExchange(ref first, e, null) is null) failed?.Invoke(); }
            })
            { IsBackground = true, Name = $"Fovea worker {rank}" };
            threads[i].Start();
        }
        foreach (var t in threads) t.Join();
        if (first is not null) ExceptionDispatchInfo.Throw(first);
    }
}
