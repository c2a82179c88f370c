namespace Fovea.Kernels;

/// <summary>
/// Dense products on row-major spans. <c>Add…</c> adds into c, the others overwrite it. With batch &gt; 1 the matrices lie one after the other.
/// c must not overlap a or b. Results do not depend on the number of threads.
/// </summary>
public static unsafe class Gemm
{
    /// <summary>c[m,n] += a[m,k] · b[k,n], for each of batch.</summary>
    public static void AddNN(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) => Run(Kind.NN, a, b, c, m, k, n, batch, true);
    /// <summary>c[m,n] += a[m,k] · b[n,k]ᵀ, for each of batch.</summary>
    public static void AddNT(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) => Run(Kind.NT, a, b, c, m, k, n, batch, true);
    /// <summary>c[k,n] += a[m,k]ᵀ · b[m,n], for each of batch.</summary>
    public static void AddTN(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) => Run(Kind.TN, a, b, c, m, k, n, batch, true);
    /// <summary>c[m,n] = a[m,k] · b[k,n], for each of batch.</summary>
    public static void NN(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) => Run(Kind.NN, a, b, c, m, k, n, batch, false);
    /// <summary>c[m,n] = a[m,k] · b[n,k]ᵀ, for each of batch.</summary>
    public static void NT(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) => Run(Kind.NT, a, b, c, m, k, n, batch, false);
    /// <summary>c[k,n] = a[m,k]ᵀ · b[m,n], for each of batch.</summary>
    public static void TN(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch = 1) => Run(Kind.TN, a, b, c, m, k, n, batch, false);

    /// <summary>Which operand lies transposed.</summary>
    internal enum Kind { NN, NT, TN }

    static void Run(Kind kind, ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch, bool add)
    {
        Check(kind, a, b, c, m, k, n, batch);
        fixed (Real* pa = a, pb = b, pc = c)
        {
            var call = new Call(Product.Of(kind, pa, pb, pc, m, k, n, add), batch);
            Wide.Run(ref call);
        }
        Work.Add((long)batch * m * k * n);
    }

    /// <summary>As the public products, at a width chosen by the caller, so that every width is tested on every machine.</summary>
    internal static void Run<TLanes, V>(Kind kind, ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> c, int m, int k, int n, int batch, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        Check(kind, a, b, c, m, k, n, batch);
        fixed (Real* pa = a, pb = b, pc = c) new Call(Product.Of(kind, pa, pb, pc, m, k, n, add), batch).Run<TLanes, V>();
    }

    static void Check(Kind kind, ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, ReadOnlySpan<Real> c, int m, int k, int n, int batch)
    {
        Guard.AtLeast(m, 0); Guard.AtLeast(k, 0); Guard.AtLeast(n, 0); Guard.AtLeast(batch, 0);
        long x = batch;
        Guard.Holds(a, x * m * k); Guard.Holds(b, x * (kind == Kind.TN ? m : k) * n); Guard.Holds(c, x * (kind == Kind.TN ? k : m) * n);
    }

    readonly struct Call(Product first, int batch) : IWide
    {
        // Below this many multiply-adds a product of a batch is not worth splitting: the batch itself is.
        const long Whole = 1 << 21, Grain = 1 << 16;
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            if (first.M == 0 || first.N == 0) return;
            if (batch > 1 && first.Size <= Whole) Threads.For(batch, (int)Math.Clamp(Grain / Math.Max(1, first.Size), 1, batch), new Each<TLanes, V>(first));
            else for (int x = 0; x < batch; x++) first.At(x).Run<TLanes, V>();
        }
    }

    readonly struct Each<TLanes, V>(Product first) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to) { for (int x = from; x < to; x++) first.At(x).Run<TLanes, V>(); }
    }
}
