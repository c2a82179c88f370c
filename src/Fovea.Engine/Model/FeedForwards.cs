using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>The feed-forward part of a layer.</summary>
public abstract class FeedRows
{
    float[] inner = [];
    /// <summary>x [rows,C] → y [rows,C], overwritten; with apart, every row to the bits that it has alone.</summary>
    public abstract void Apply(ReadOnlySpan<float> x, int rows, Span<float> y, bool apart);
    private protected Span<float> Inner(int n) => (inner.Length < n ? inner = new float[n] : inner).AsSpan(0, n);
}

/// <summary>down(act(gate x) ∘ up x).</summary>
public sealed class GatedFeed<TActivation>(Projection gate, Projection up, Projection down) : FeedRows where TActivation : struct, IUnary
{
    public override void Apply(ReadOnlySpan<float> x, int rows, Span<float> y, bool apart)
    {
        int n = rows * gate.Weight.Out; var both = Inner(2 * n); Span<float> g = both[..n], u = both[n..];
        gate.Apply(x, rows, g, apart); up.Apply(x, rows, u, apart);
        if (typeof(TActivation) == typeof(Silu)) Map.SwiGlu(g, u, g);
        else { Map.Apply<TActivation>(g, g); Map.Mul(g, u, g); }
        down.Apply(g, rows, y, apart);
    }
}

/// <summary>down(act(up x)).</summary>
public sealed class PlainFeed<TActivation>(Projection up, Projection down) : FeedRows where TActivation : struct, IUnary
{
    public override void Apply(ReadOnlySpan<float> x, int rows, Span<float> y, bool apart)
    {
        var h = Inner(rows * up.Weight.Out);
        up.Apply(x, rows, h, apart); Map.Apply<TActivation>(h, h); down.Apply(h, rows, y, apart);
    }
}
