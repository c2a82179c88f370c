using Fovea.Kernels;
namespace Fovea.Units;

[Collection("threads")]
public sealed class ThreadsTests
{
    readonly struct Visit(int[] visits, int grain, int rows) : IRows
    {
        public void Run(int from, int to)
        {
            if (from % grain != 0 || to != Math.Min(rows, from + grain)) throw new InvalidOperationException($"range [{from}, {to})");
            for (int i = from; i < to; i++) Interlocked.Increment(ref visits[i]);
        }
    }
    readonly struct Fail(int at, int[] visits) : IRows
    {
        public void Run(int from, int to) { if (from == at) throw new InvalidOperationException($"range {at}"); Interlocked.Increment(ref visits[from]); }
    }
    readonly struct Nested(int[] visits) : IRows
    {
        public void Run(int from, int to) { for (int i = from; i < to; i++) Threads.For(10, 1, new Visit2(visits, i * 10)); }
    }
    readonly struct Visit2(int[] visits, int offset) : IRows
    {
        public void Run(int from, int to) { for (int i = from; i < to; i++) Interlocked.Increment(ref visits[offset + i]); }
    }
    readonly struct Busy(int[] threads) : IRows
    {
        public void Run(int from, int to) { if (Interlocked.Increment(ref threads[0]) > 3) threads[1] = 1; Thread.Sleep(1); Interlocked.Decrement(ref threads[0]); }
    }

    static void With(int max, Action run) { int before = Threads.Max; try { Threads.Max = max; run(); } finally { Threads.Max = before; } }

    static void EveryRowOnce(int rows, int grain)
    {
        var visits = new int[rows]; Threads.For(rows, grain, new Visit(visits, Math.Max(1, grain), rows));
        Assert.True(visits.All(x => x == 1), $"{rows} rows by {grain}");
    }

    [Fact]
    public void Every_row_is_visited_exactly_once_in_ranges_of_the_grain()
    {
        foreach (int max in new[] { 1, 2, 3, 8 })
            With(max, () => { for (int again = 0; again < 50; again++) foreach (var (rows, grain) in new[] { (0, 1), (1, 1), (1, 5), (7, 3), (70, 1), (200, 7), (1000, 1000), (1000, 999), (5, 0) }) EveryRowOnce(rows, grain); });
    }

    [Fact]
    public void Idle_workers_wake_up_again()
        => With(3, () => { for (int again = 0; again < 20; again++) { EveryRowOnce(300, 1); Thread.Sleep(again % 3 * 2); } });

    [Fact]
    public void Changing_the_number_of_threads_between_calls_loses_no_row()
    {
        With(1, () => { for (int again = 0; again < 300; again++) { Threads.Max = again * 7 % 5 + 1; EveryRowOnce(40, 1 + again % 3); } });
        With(1, () => { Threads.Max = -3; Assert.Equal(1, Threads.Max); });
    }

    [Fact]
    public void An_exception_reaches_the_caller_and_the_pool_goes_on()
    {
        foreach (int max in new[] { 1, 2, 4 })
            With(max, () =>
            {
                for (int again = 0; again < 50; again++)
                {
                    var visits = new int[100];
                    var e = Assert.Throws<InvalidOperationException>(() => Threads.For(100, 1, new Fail(again, visits)));
                    Assert.Equal($"range {again}", e.Message); Assert.Equal(0, visits[again]); Assert.All(visits, x => Assert.InRange(x, 0, 1));
                    EveryRowOnce(100, 3);
                }
            });
    }

    [Fact]
    public void Calls_from_inside_a_range_run_on_the_same_thread()
        => With(3, () => { for (int again = 0; again < 50; again++) { var visits = new int[300]; Threads.For(30, 1, new Nested(visits)); Assert.All(visits, x => Assert.Equal(1, x)); } });

    [Fact]
    public void Several_threads_may_call_at_once()
    {
        With(3, () =>
        {
            var errors = new List<Exception>();
            Thread[] callers = [.. Enumerable.Range(0, 4).Select(c => new Thread(() =>
            {
                try { for (int again = 0; again < 200; again++) { EveryRowOnce(60 + c, 1 + again % 5); if (again % 10 == c) Assert.Throws<InvalidOperationException>(() => Threads.For(50, 1, new Fail(c, new int[50]))); } }
                catch (Exception e) { lock (errors) errors.Add(e); }
            }))];
            foreach (var t in callers) t.Start();
            foreach (var t in callers) Assert.True(t.Join(TimeSpan.FromMinutes(1)), "stuck");
            Assert.Empty(errors);
        });
    }

    [Fact]
    public void No_more_threads_take_part_than_asked_for()
    {
        With(6, () => EveryRowOnce(200, 1));        // more workers exist than the next calls may use
        With(3, () => { var threads = new int[2]; for (int again = 0; again < 20; again++) Threads.For(12, 1, new Busy(threads)); Assert.Equal(0, threads[1]); });
    }

    [Fact]
    public void A_call_allocates_nothing_once_warm()
    {
        With(2, () =>
        {
            var visits = new int[100]; var body = new Visit(visits, 1, 100);
            for (int i = 0; i < 100; i++) Threads.For(100, 1, body);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100; i++) Threads.For(100, 1, body);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 200);
        });
    }
}
