namespace Fovea.Units;

public class MemoryPoolTests
{
    // A thread of its own, whose pool starts empty.
    static T Alone<T>(Func<T> run)
    {
        T? result = default; Exception? error = null;
        var thread = new Thread(() => { try { result = run(); } catch (Exception e) { error = e; } });
        thread.Start(); thread.Join();
        return error is null ? result! : throw new InvalidOperationException("", error);
    }

    static void Step(int tensors, int size)
    {
        using var scope = Scope.NoGrad();
        for (int i = 0; i < tensors; i++) Tensor.Empty([size]);
    }

    [Fact]
    public void Memory_of_sizes_that_come_no_more_is_let_go()
    {
        // 200 steps of 16 MB, no two of a size: 3.2 GB in all.
        long most = Alone(() => { long most = 0; for (int i = 0; i < 200; i++) { Step(4, (1 << 20) + i); most = Math.Max(most, Diagnostics.IdleBytes); } return most; });
        Assert.InRange(most, 64L << 20, 400L << 20);
    }

    [Fact]
    public void A_step_that_is_repeated_makes_nothing_anew_however_much_it_holds()
    {
        // Half a gigabyte at once, and twice as much over all sizes: more than is kept without need.
        long made = Alone(() =>
        {
            void Both() { Step(8, 1 << 24); Step(8, (1 << 24) + 1); }
            for (int i = 0; i < 3; i++) Both();
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 20; i++) Both();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        });
        Assert.InRange(made, 0, 1 << 20);
    }

    [Fact]
    public void Trimming_leaves_nothing() => Assert.Equal(0, Alone(() => { Step(3, 1000); Assert.Equal(12000, Diagnostics.IdleBytes); Diagnostics.TrimPools(); return Diagnostics.IdleBytes; }));
}
