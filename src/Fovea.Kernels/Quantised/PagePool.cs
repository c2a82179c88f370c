using System.Runtime.InteropServices;
namespace Fovea.Kernels;

/// <summary>
/// Pages of one size outside of the managed heap. They lie in slabs of about 32 MiB, which the operating system backs with memory as they are first written; a slab whose pages have all come back is returned to it.
/// Pages are handed out from the oldest slab that has one, so that what stays gathers in few slabs. A page may have several owners.
/// </summary>
public sealed unsafe class PagePool(int pageBytes) : IDisposable
{
    // C libraries take pieces above this size from the system one by one and return them when they are freed.
    const long SlabBytes = (32L << 20) + 65536;
    sealed class Slab(nint start, int pages) { public readonly nint Start = start; public readonly ushort[] Owners = new ushort[pages]; public readonly Stack<int> Free = new(Enumerable.Range(0, pages).Reverse()); }
    readonly List<Slab?> slabs = []; readonly Lock gate = new(); int firstFree; bool disposed;

    /// <summary>Bytes of a page: a multiple of 64.</summary>
    public int PageBytes { get; } = pageBytes > 0 ? (pageBytes + 63) / 64 * 64 : throw new ArgumentOutOfRangeException(nameof(pageBytes), pageBytes, "must be positive");
    int Pages => (int)Math.Max(1, SlabBytes / PageBytes);
    /// <summary>Pages that have an owner.</summary>
    public int Used { get; private set; }
    /// <summary>Bytes of address space that the slabs take.</summary>
    public long Reserved { get { lock (gate) return slabs.Count(s => s is not null) * (long)Pages * PageBytes; } }

    /// <summary>A page with one owner; its bytes are not cleared.</summary>
    public long Take()
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            for (; firstFree < slabs.Count; firstFree++) if (slabs[firstFree] is not { Free.Count: 0 }) break;
            if (firstFree == slabs.Count) slabs.Add(null);
            var slab = slabs[firstFree] ??= new((nint)NativeMemory.AlignedAlloc((nuint)((long)Pages * PageBytes), 64), Pages);
            int page = slab.Free.Pop(); slab.Owners[page] = 1; Used++;
            return (long)firstFree << 32 | (uint)page;
        }
    }
    /// <summary>One more owner.</summary>
    public void Share(long page) { lock (gate) { ref ushort owners = ref Owners(page); owners = checked((ushort)(owners + 1)); } }
    /// <summary>Whether others own it too.</summary>
    public bool Shared(long page) { lock (gate) return Owners(page) > 1; }
    /// <summary>One owner less; the page is free when the last one leaves.</summary>
    public void Give(long page)
    {
        lock (gate)
        {
            if (disposed) return;
            int at = (int)(page >> 32); var slab = slabs[at]!;
            if (--Owners(page) > 0) return;
            slab.Free.Push((int)page); Used--;
            firstFree = Math.Min(firstFree, at);
            if (slab.Free.Count < slab.Owners.Length) return;
            NativeMemory.AlignedFree((void*)slab.Start); slabs[at] = null;
        }
    }
    ref ushort Owners(long page) => ref slabs[(int)(page >> 32)]!.Owners[(int)page];

    internal byte* At(long page) { lock (gate) return (byte*)slabs[(int)(page >> 32)]!.Start + (long)(int)page * PageBytes; }

    /// <summary>Returns all slabs; pages that are still owned must not be read any more.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed) return;
            disposed = true;
            foreach (var s in slabs) if (s is not null) NativeMemory.AlignedFree((void*)s.Start);
            slabs.Clear();
        }
        GC.SuppressFinalize(this);
    }
    ~PagePool() => Dispose();
}
