namespace Fovea.Kernels;

/// <summary>A row source whose rows can also be brought into float32: n rows from first on into to.</summary>
public unsafe interface IDecodedSource : IRowSource { void Decode(int first, int n, float* to); }

/// <summary>What is done with rows whose kind is known at run time only.</summary>
interface ISourceUser { void Run<TSource>(TSource source) where TSource : struct, IDecodedSource; }

/// <summary>Rows of one length that a cache keeps in some form, in their order.</summary>
public abstract class CachedRows : IDisposable
{
    public abstract int Dim { get; }
    /// <summary>Rows.</summary>
    public abstract int Count { get; private protected set; }
    /// <summary>Bytes of what holds them; what is shared counts in full.</summary>
    public abstract long Bytes { get; }
    /// <summary>Bytes of one row.</summary>
    public abstract long RowBytes { get; }
    /// <summary>Adds rows [n,Dim] at the end.</summary>
    public abstract void Append(ReadOnlySpan<float> rows);
    /// <summary>Rows [first, first + n) into to [n,Dim]; to is overwritten.</summary>
    public abstract void Decode(int first, int n, Span<float> to);
    /// <summary>Keeps the rows with these indices, ascending.</summary>
    public abstract void Keep(ReadOnlySpan<int> rows);
    /// <summary>Forgets the rows from count on.</summary>
    public abstract void Cut(int count);
    /// <summary>The same rows for another owner.</summary>
    public abstract CachedRows Fork();
    /// <summary>Brings rows that wait for others into their final form; until then they do not change.</summary>
    public virtual void Pack() { }
    /// <summary>Rows that can be added until <see cref="Pack"/> changes any.</summary>
    public virtual int Steady => int.MaxValue;
    /// <summary>Calls user.Run with the rows where they lie.</summary>
    internal abstract void Use<TUser>(TUser user) where TUser : struct, ISourceUser;
    public void Dispose() => Cut(0);

    private protected void Check(int first, int n)
    {
        if (first < 0 || n < 0 || first + n > Count) throw new ArgumentOutOfRangeException(nameof(first), first, $"rows {first} to {first + n - 1} of {Count}");
    }
    private protected void Check(ReadOnlySpan<int> rows)
    {
        for (int i = 0; i < rows.Length; i++) if (rows[i] < 0 || rows[i] >= Count || i > 0 && rows[i] <= rows[i - 1]) throw new ArgumentException($"row {i} to keep is {rows[i]} of {Count}; expected ascending indices", nameof(rows));
    }
}
