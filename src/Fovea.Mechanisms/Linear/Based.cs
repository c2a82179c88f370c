namespace Fovea.Mechanisms;

/// <summary>
/// Linear attention with the second-order Taylor map of exp (§4.1): φ(x) = [1; x/d'^¼; x⊗x/(√2 √d')], so that φ(q)·φ(k) = 1 + s + s²/2 with s = q·k/√d', always at least ½.
/// Queries and keys have <paramref name="featureDim"/> d' channels per head. The symmetric half of x⊗x is stored, off-diagonal entries times √2: 1 + d' + d'(d'+1)/2 features.
/// Put it in turns with <see cref="SlidingWindowAttention"/> layers for the paper's hybrid.
/// </summary>
[From("based", "§4.1")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class BasedAttention(AttentionConfig c, Weights w, int featureDim = 16) : FeatureMapAttention(c, w, featureDim)
{
    protected override Real Epsilon => (Real)1e-12;

    public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => (Features(q), Features(k));

    /// <summary>φ(x) for x [...,d'] → [..., 1 + d' + d'(d'+1)/2].</summary>
    public static Tensor Features(Tensor x)
    {
        int d = x.Shape[-1], f = 1 + d + d * (d + 1) / 2, rows = x.Shape.Size / d;
        Real first = (Real)Math.Pow(d, -0.25), square = (Real)(1 / (Math.Sqrt(2) * Math.Sqrt(d))), cross = (Real)(1 / Math.Sqrt(d));
        var y = Tensor.Empty(x.Shape.With(-1, f));
        var xs = x.Span; var ys = y.Span;
        for (int r = 0; r < rows; r++)
        {
            var a = xs.Slice(r * d, d); var b = ys.Slice(r * f, f);
            int t = 0;
            b[t++] = 1;
            for (int i = 0; i < d; i++) b[t++] = first * a[i];
            for (int i = 0; i < d; i++)
            {
                b[t++] = square * a[i] * a[i];
                for (int j = i + 1; j < d; j++) b[t++] = cross * a[i] * a[j];
            }
        }
        return Tensor.Record(y, [x], y =>
        {
            var xs = x.Span; var g = y.Grad; var dx = x.Grad;
            for (int r = 0; r < rows; r++)
            {
                var a = xs.Slice(r * d, d); var db = g.Slice(r * f, f); var da = dx.Slice(r * d, d);
                int t = 1;
                for (int i = 0; i < d; i++) da[i] += first * db[t++];
                for (int i = 0; i < d; i++)
                {
                    da[i] += 2 * square * a[i] * db[t++];
                    for (int j = i + 1; j < d; j++, t++) { da[i] += cross * a[j] * db[t]; da[j] += cross * a[i] * db[t]; }
                }
            }
        });
    }
}
