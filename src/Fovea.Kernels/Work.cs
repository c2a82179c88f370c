namespace Fovea.Kernels;

/// <summary>
/// Counts multiply-adds, so that "linear in N" can be checked without a clock. A kernel adds what it did once per call, on the thread
/// that called it; the count belongs to that thread.
/// </summary>
public static class Work
{
    [ThreadStatic] static long total;

    public static void Add(long multiplyAdds) => total += multiplyAdds;

    /// <summary>Multiply-adds that <paramref name="run"/> reports.</summary>
    public static long Count(Action run) { long before = total; run(); return total - before; }
}
