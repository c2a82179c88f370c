namespace Fovea.Kernels;

/// <summary>What is done with a format that is known at run time only.</summary>
public interface IFormatUser { void Run<TFormat>() where TFormat : struct, INumberFormat; }

/// <summary>A number format chosen at run time: the object beside the struct. Those of this assembly are found by name.</summary>
public abstract class NumberFormat
{
    public abstract string Name { get; }
    /// <summary>Numbers of a block, and its bytes.</summary>
    public abstract int Block { get; }
    public abstract int BlockBytes { get; }
    /// <summary>Whether numbers can also be brought into it.</summary>
    public abstract bool Writable { get; }

    /// <summary>Bytes of a row of n numbers.</summary>
    public long RowBytes(int n) => ((long)n + Block - 1) / Block * BlockBytes;
    /// <summary>Rows into y [Rows,Columns]; y is overwritten.</summary>
    public abstract void Decode(ReadOnlySpan<byte> from, int columns, Span<float> y);
    /// <summary>Rows of x [Rows,Columns] into the format; to is overwritten. Numbers that are not finite are an <see cref="ArgumentException"/>, a format that is read only a <see cref="NotSupportedException"/>.</summary>
    public abstract void Encode(ReadOnlySpan<float> x, int columns, Span<byte> to);
    /// <summary>Whether single numbers lie side by side, so that a run of any length is whole.</summary>
    public bool Plain => BlockBytes % Block == 0;
    /// <summary>Bytes of n numbers without a gap behind the last; an <see cref="ArgumentException"/> if they do not fill blocks.</summary>
    public long RunBytes(long n) => Plain ? n * (BlockBytes / Block) : n % Block == 0 ? n / Block * BlockBytes : throw new ArgumentException($"{Name}: {n} numbers do not fill blocks of {Block}");

    /// <summary>A run of numbers into y, which is overwritten; see <see cref="RunBytes"/>.</summary>
    public void DecodeRun(ReadOnlySpan<byte> from, Span<float> y)
    {
        if (from.Length < RunBytes(y.Length)) throw new ArgumentException($"{Name}: {from.Length} bytes, {y.Length} numbers need {RunBytes(y.Length)}");
        int whole = y.Length / Block * Block, rest = y.Length - whole;
        if (whole > 0) Decode(from, whole, y[..whole]);
        if (rest == 0) return;
        Span<byte> last = stackalloc byte[BlockBytes]; Span<float> numbers = stackalloc float[Block]; last.Clear();
        from.Slice((int)RunBytes(whole), (int)RunBytes(rest)).CopyTo(last);
        Decode(last, Block, numbers); numbers[..rest].CopyTo(y[whole..]);
    }

    /// <summary>A run of finite numbers into the format; to is overwritten.</summary>
    public void EncodeRun(ReadOnlySpan<float> x, Span<byte> to)
    {
        if (to.Length < RunBytes(x.Length)) throw new ArgumentException($"{Name}: {to.Length} bytes, {x.Length} numbers need {RunBytes(x.Length)}");
        int whole = x.Length / Block * Block, rest = x.Length - whole;
        if (whole > 0) Encode(x[..whole], whole, to);
        if (rest == 0) return;
        Span<byte> last = stackalloc byte[BlockBytes];
        Encode(x[whole..], rest, last); last[..(int)RunBytes(rest)].CopyTo(to[(int)RunBytes(whole)..]);
    }

    /// <summary>y [M,N] = x [M,K] · Wᵀ for W [N,K]; y is overwritten. K must fill whole blocks. With apart, every row has the bits that it has alone.</summary>
    public abstract void MatMul(ReadOnlySpan<byte> weights, int n, int k, ReadOnlySpan<float> x, int m, Span<float> y, bool apart = false);
    /// <summary>An <see cref="ArgumentException"/> that names the first block with a number that is not finite.</summary>
    public abstract void Check(ReadOnlySpan<byte> from);
    /// <summary>Calls user.Run with the struct of this format.</summary>
    public abstract void Use<TUser>(ref TUser user) where TUser : struct, IFormatUser;

    /// <summary>All formats, by name.</summary>
    public static IReadOnlyDictionary<string, NumberFormat> All { get; } = typeof(INumberFormat).Assembly.GetTypes().Where(t => t.IsValueType && typeof(INumberFormat).IsAssignableFrom(t))
        .Select(t => (NumberFormat)Activator.CreateInstance(typeof(Of<>).MakeGenericType(t))!).ToDictionary(f => f.Name);
    /// <summary>The object of a struct.</summary>
    public static NumberFormat For<TFormat>() where TFormat : struct, INumberFormat => All[TFormat.Name];
    /// <summary>A format by its name; an <see cref="ArgumentException"/> lists what there is.</summary>
    public static NumberFormat Named(string name) => All.TryGetValue(name, out var f) ? f : throw new ArgumentException($"'{name}' is no number format; there are {string.Join(", ", All.Keys.Order(StringComparer.Ordinal))}");

    sealed class Of<TFormat> : NumberFormat where TFormat : struct, INumberFormat
    {
        readonly Writer? writer = typeof(IWritableFormat).IsAssignableFrom(typeof(TFormat)) ? (Writer)Activator.CreateInstance(typeof(WriterOf<>).MakeGenericType(typeof(TFormat)))! : null;
        public override string Name => TFormat.Name;
        public override int Block => TFormat.Block;
        public override int BlockBytes => TFormat.BlockBytes;
        public override bool Writable => writer is not null;
        public override void Decode(ReadOnlySpan<byte> from, int columns, Span<float> y) => Formats.Decode<TFormat>(from, columns, y);
        public override void Encode(ReadOnlySpan<float> x, int columns, Span<byte> to) => (writer ?? throw new NotSupportedException($"{Name} is read, not written")).Encode(x, columns, to);
        public override void MatMul(ReadOnlySpan<byte> weights, int n, int k, ReadOnlySpan<float> x, int m, Span<float> y, bool apart) => Quantised.MatMul<TFormat>(weights, n, k, x, m, y, apart);
        public override void Check(ReadOnlySpan<byte> from) => Formats.Check<TFormat>(from);
        public override void Use<TUser>(ref TUser user) => user.Run<TFormat>();
    }
    abstract class Writer { public abstract void Encode(ReadOnlySpan<float> x, int columns, Span<byte> to); }
    sealed class WriterOf<TFormat> : Writer where TFormat : struct, IWritableFormat { public override void Encode(ReadOnlySpan<float> x, int columns, Span<byte> to) => Formats.Encode<TFormat>(x, columns, to); }
}
