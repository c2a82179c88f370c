using Fovea.Kernels;
namespace Fovea.Cluster;

/// <summary>A worker's place in a ring: it sends to the next and hears from the one before, and shares nothing else with them.</summary>
public interface IRing
{
    /// <summary>This worker's number, 0 … Size − 1.</summary>
    int Rank { get; }
    int Size { get; }
    /// <summary>Bytes that this worker has sent.</summary>
    long BytesSent { get; }
    /// <summary>Gives a buffer to the next worker and takes one of the same length from the one before; the buffer given away must not be used any more. All workers of the ring call it the same number of times.</summary>
    Real[] Exchange(Real[] buffer);
}

/// <summary>A ring of threads of this process. Buffers change hands and are not copied.</summary>
public sealed class LocalRing : IRing
{
    readonly Mailbox next, mine;
    LocalRing(int rank, int size, Mailbox next, Mailbox mine) { Rank = rank; Size = size; this.next = next; this.mine = mine; }

    public int Rank { get; }
    public int Size { get; }
    public long BytesSent { get; private set; }

    public Real[] Exchange(Real[] buffer)
    {
        if (Size == 1) return buffer;
        int length = buffer.Length;
        BytesSent += (long)length * sizeof(Real);
        next.Put(buffer);
        var got = mine.Take();
        return got.Length == length ? got : throw new InvalidOperationException($"worker {Rank} sent {length} numbers and got {got.Length}; all workers of a ring exchange buffers of one length");
    }

    /// <summary>Runs one body per worker, each on its own thread, and waits for all. If one throws, those that wait for it are woken and its exception is thrown.</summary>
    public static void Run(int workers, Action<IRing> body)
    {
        Mailbox[] boxes = [.. Enumerable.Range(0, workers).Select(_ => new Mailbox())];
        Workers.Run(workers, rank => body(new LocalRing(rank, workers, boxes[(rank + 1) % workers], boxes[rank])), () => { foreach (var b in boxes) b.Close(); });
    }

    sealed class Mailbox
    {
        readonly Queue<Real[]> waiting = new(); bool closed;
        public void Put(Real[] buffer) { lock (waiting) { waiting.Enqueue(buffer); Monitor.Pulse(waiting); } }
        public Real[] Take()
        {
            lock (waiting)
            {
                while (waiting.Count == 0)
                {
                    if (closed) throw new OperationCanceledException("another worker of the ring failed");
                    Monitor.Wait(waiting);
                }
                return waiting.Dequeue();
            }
        }
        public void Close() { lock (waiting) { closed = true; Monitor.PulseAll(waiting); } }
    }
}
