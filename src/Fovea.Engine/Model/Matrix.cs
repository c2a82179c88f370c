using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>Numbers as they lie in a file: rows of shape[^1] numbers in a format. Valid while the file is open.</summary>
public sealed record StoredTensor(string Name, NumberFormat Format, IReadOnlyList<int> Shape, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>All numbers, in float32.</summary>
    public float[] Decode()
    {
        var y = new float[checked((int)Shape.Aggregate(1L, (n, d) => n * d))];
        Format.DecodeRun(Bytes.Span, y);
        return y;
    }
    public override string ToString() => $"{Name} {Format.Name} [{string.Join(", ", Shape)}]";
}

/// <summary>A weight matrix W [Out,In] that stays in its format; y = x Wᵀ. Q4_0 is copied when it is first used, in an order that is faster to multiply.</summary>
public sealed class Matrix(NumberFormat format, int @out, int @in, ReadOnlyMemory<byte> bytes)
{
    public Matrix(StoredTensor t) : this(t.Format, t.Shape[0], t.Shape[1], t.Bytes) { }
    public NumberFormat Format => format;
    public int Out => @out;
    public int In => @in;
    public long Bytes => bytes.Length;
    readonly bool packs = format == NumberFormat.For<Q4_0>() && PackedQ4.Holds(@out, @in);
    PackedQ4? packed;

    /// <summary>x [rows,In] → y [rows,Out], overwritten; with apart, every row to the bits that it has alone, as packed weights give them in any case.</summary>
    public void Multiply(ReadOnlySpan<float> x, int rows, Span<float> y, bool apart = false)
    {
        if (packs) (packed ??= new(bytes.Span, @out, @in)).MatMul(x, rows, y);
        else format.MatMul(bytes.Span, @out, @in, x, rows, y, apart);
    }
    /// <summary>One row in float32; to [In] is overwritten.</summary>
    public void Row(int row, Span<float> to) { int size = (int)format.RowBytes(@in); format.Decode(bytes.Span.Slice(checked(row * size), size), @in, to[..@in]); }
    /// <summary>Rows [from, to) as a matrix of their own over the same bytes.</summary>
    public Matrix Rows(int from, int to) { int size = (int)format.RowBytes(@in); return new(format, to - from, @in, bytes.Slice(checked(from * size), checked((to - from) * size))); }
}

/// <summary>y = x Wᵀ + b.</summary>
public sealed class Projection(Matrix weight, float[]? bias)
{
    public Matrix Weight => weight;
    /// <summary>x [rows,In] → y [rows,Out], overwritten; with apart, every row to the bits that it has alone.</summary>
    public void Apply(ReadOnlySpan<float> x, int rows, Span<float> y, bool apart = false)
    {
        y = y[..(rows * weight.Out)];
        weight.Multiply(x[..(rows * weight.In)], rows, y, apart);
        if (bias is not null) Map.Add(y, bias, y);
    }
    /// <summary>The rows [from, to) of W and b.</summary>
    public Projection Rows(int from, int to) => new(weight.Rows(from, to), bias?[from..to]);
}
