namespace Fovea.Engine;

/// <summary>Qwen 2 and 2.5: queries, keys and values have biases.</summary>
public sealed class Qwen2 : TransformerArchitecture
{
    public override IReadOnlyList<string> Names => ["qwen2"];
    protected override (Projection Q, Projection K, Projection V) Inputs(TensorReader t, string b, Sizes s) => (t.Biased(b + "attn_q", s.Q, s.Dim), t.Biased(b + "attn_k", s.K, s.Dim), t.Biased(b + "attn_v", s.V, s.Dim));
}

/// <summary>Qwen 3: queries and keys are normalised, head by head.</summary>
public sealed class Qwen3 : TransformerArchitecture
{
    public override IReadOnlyList<string> Names => ["qwen3"];
    protected override AttentionParts Change(AttentionParts a, ModelFile f, TensorReader t, string b, Sizes s) => a with
    {
        QueryNorm = new RmsNormRows(t.Vector(b + "attn_q_norm.weight", s.HeadDim), s.Eps),
        KeyNorm = new RmsNormRows(t.Vector(b + "attn_k_norm.weight", s.HeadDim), s.Eps),
    };
}
