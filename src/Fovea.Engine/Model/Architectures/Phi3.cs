using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Engine;

/// <summary>
/// Phi-3: one matrix for queries, keys and values and one for gate and up. Models for long texts list factors of the frequencies; the long list is used whatever the length of the text, so that positions of earlier tokens never change.
/// </summary>
public sealed class Phi3 : TransformerArchitecture
{
    public override IReadOnlyList<string> Names => ["phi3"];
    protected override (Projection Q, Projection K, Projection V) Inputs(TensorReader t, string b, Sizes s) => Apart(t.Projection(b + "attn_qkv", s.Q + s.K + s.V, s.Dim), s);
    protected override FeedRows Feed(TensorReader t, string b, Sizes s)
    {
        var both = t.Projection(b + "ffn_up", 2 * s.Hidden, s.Dim);
        return new GatedFeed<Silu>(both.Rows(0, s.Hidden), both.Rows(s.Hidden, 2 * s.Hidden), t.Projection(b + "ffn_down", s.Dim, s.Hidden));
    }
    protected override AttentionParts Change(AttentionParts a, ModelFile f, TensorReader t, string b, Sizes s) => Windowed(a, f);

    protected override RopeScaling? Scaling(ModelFile f, TensorReader t, Sizes s, int dims)
    {
        if (t.VectorOrNull("rope_factors_long.weight", dims / 2) is not { } factors) return base.Scaling(f, t, s, dims);
        t.Ignore("rope_factors_short.weight");
        int original = f.Size("rope.scaling.original_context_length", s.Length);
        double size = f.Number("rope.scaling.attn_factor", s.Length <= original ? 1 : Math.Sqrt(1 + Math.Log(s.Length / (double)original) / Math.Log(original)));
        return new ListedScaling([.. factors.Select(x => (double)x)], size);
    }
}
