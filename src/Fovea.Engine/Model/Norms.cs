using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>Normalises rows.</summary>
public abstract class RowNorm
{
    // What the kernel remembers for a backward pass that never comes.
    private protected float[] Unused = [];
    /// <summary>x [rows,C] → y, overwritten; y may be x.</summary>
    public abstract void Apply(ReadOnlySpan<float> x, Span<float> y, int rows);
    private protected Span<float> Kept(int n) => (Unused.Length < n ? Unused = new float[n] : Unused).AsSpan(0, n);
}

/// <summary>x / √(mean x² + ε) · gain.</summary>
public sealed class RmsNormRows(float[] gain, double eps) : RowNorm
{
    public override void Apply(ReadOnlySpan<float> x, Span<float> y, int rows) => Rows.RmsNorm(x[..(rows * gain.Length)], gain, y, Kept(rows), rows, gain.Length, (float)eps);
}

/// <summary>(x − mean) / √(variance + ε) · gain + bias.</summary>
public sealed class LayerNormRows(float[] gain, float[] bias, double eps) : RowNorm
{
    public override void Apply(ReadOnlySpan<float> x, Span<float> y, int rows) { var kept = Kept(2 * rows); Rows.LayerNorm(x[..(rows * gain.Length)], gain, bias, y, kept[..rows], kept[rows..], rows, gain.Length, (float)eps); }
}
