using System.Runtime.InteropServices;
namespace Fovea.Kernels;

/// <summary>
/// Temporary memory of a kernel: a stack per thread, 64-byte aligned, kept between calls. <c>using var s = Scratch.Open();</c>
/// then s.Take(n); closing gives back what was taken since. Contents are not cleared (in tests: NaN).
/// </summary>
public unsafe readonly ref struct Scratch : IDisposable
{
    readonly int block; readonly long used;
    Scratch(int block, long used) { this.block = block; this.used = used; }

    /// <summary>Fill what is taken with NaN, so that a read before a write shows. For tests.</summary>
    public static bool Poison { get; set; }

    public static Scratch Open() { var a = Arena.Mine; return new(a.Block, a.Used); }

    /// <summary>n numbers, 64-byte aligned, valid until this scratch closes. Not cleared.</summary>
    public Real* Take(long n)
    {
        var p = (Real*)Arena.Mine.Take(n * sizeof(Real));
        if (Poison) for (long i = 0; i < n; i++) p[i] = Real.NaN;
        return p;
    }
    public int* TakeInts(long n) => (int*)Arena.Mine.Take(n * sizeof(int));

    public void Dispose() => Arena.Mine.Back(block, used);

    /// <summary>Bytes that this thread's scratch holds.</summary>
    public static long HeldBytes => Arena.Mine.Held;

    /// <summary>
    /// Calls run on a thread of its own, whose scratch starts empty, with all kernels on that thread: what it returned, plus the bytes of scratch that it
    /// came to hold. For measuring memory.
    /// </summary>
    public static long Fresh(Func<long> run)
    {
        long bytes = 0; int threads = Threads.Max; Exception? error = null;
        var alone = new Thread(() => { try { bytes = run() + HeldBytes; } catch (Exception e) { error = e; } });
        try { Threads.Max = 1; alone.Start(); alone.Join(); } finally { Threads.Max = threads; }
        if (error is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
        return bytes;
    }

    sealed class Arena
    {
        [ThreadStatic] static Arena? mine;
        public static Arena Mine => mine ??= new();
        const long Smallest = 1 << 20;
        readonly List<(nint Start, long Size)> blocks = [];
        public int Block; public long Used;
        public long Held { get { long n = 0; foreach (var b in blocks) n += b.Size; return n; } }

        public void* Take(long bytes)
        {
            bytes = (bytes + 127) & ~63L;       // at least one spare line, so that a full-width store past the end stays inside
            while (true)
            {
                if (Block < blocks.Count && Used + bytes <= blocks[Block].Size) { var p = (byte*)blocks[Block].Start + Used; Used += bytes; return p; }
                if (Block + 1 < blocks.Count) { Block++; Used = 0; continue; }
                if (Block < blocks.Count && Used == 0) { NativeMemory.AlignedFree((void*)blocks[Block].Start); blocks.RemoveAt(Block); }
                long size = Math.Max(Smallest, (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)bytes));
                blocks.Add(((nint)NativeMemory.AlignedAlloc((nuint)size, 64), size));
                Block = blocks.Count - 1; Used = 0;
            }
        }
        public void Back(int block, long used) { Block = block; Used = used; }
        ~Arena() { foreach (var b in blocks) NativeMemory.AlignedFree((void*)b.Start); }
    }
}
