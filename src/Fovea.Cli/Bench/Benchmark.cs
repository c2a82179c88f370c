using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>Kernels that are measured together, under a name that can be asked for.</summary>
abstract class Benchmark(string name, string about)
{
    public string Name { get; } = name;
    /// <summary>One line of help.</summary>
    public string About { get; } = about;
    /// <summary>Hands every kernel to the meter; the sizes of a quick run are among those of a whole one.</summary>
    public abstract void Run(Meter meter);

    protected static Real[] Draw(long n)
    {
        // One drawn stretch over and over: drawing millions of numbers would take longer than measuring. A prime length keeps rows different.
        const int stretch = 65_521; var x = GC.AllocateUninitializedArray<Real>(checked((int)n));
        new Rng(1).Normal(x.AsSpan(0, Math.Min(stretch, x.Length)));
        for (int at = stretch; at < x.Length; at += stretch) x.AsSpan(0, Math.Min(stretch, x.Length - at)).CopyTo(x.AsSpan(at));
        return x;
    }

    /// <summary>Rows in a number format; a few are encoded, the others are copies of them.</summary>
    protected static byte[] Draw<TFormat>(int rows, int columns) where TFormat : struct, IWritableFormat
    {
        int row = (int)Formats.RowBytes<TFormat>(columns), few = Math.Min(rows, 61); var x = GC.AllocateUninitializedArray<byte>(checked(rows * row));
        Formats.Encode<TFormat>(Draw(few * columns), columns, x.AsSpan(0, few * row));
        for (int at = few * row; at < x.Length; at += few * row) x.AsSpan(0, Math.Min(few * row, x.Length - at)).CopyTo(x.AsSpan(at));
        return x;
    }
}
