using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>GPT-2: layer norms and matrices with biases, learned positions, one matrix for queries, keys and values, a plain feed-forward part.</summary>
public sealed class Gpt2 : TransformerArchitecture
{
    public override IReadOnlyList<string> Names => ["gpt2"];
    protected override string EpsKey => "attention.layer_norm_epsilon";
    protected override RowNorm Norm(TensorReader t, string name, Sizes s) => new LayerNormRows(t.Vector(name + ".weight", s.Dim), t.Vector(name + ".bias", s.Dim), s.Eps);
    protected override Rotations? Rotary(ModelFile f, TensorReader t, Sizes s) => null;
    protected override Matrix? Positions(TensorReader t, Sizes s) => t.Matrix("position_embd.weight", s.Length, s.Dim);
    protected override (Projection Q, Projection K, Projection V) Inputs(TensorReader t, string b, Sizes s) => Apart(t.Biased(b + "attn_qkv", s.Q + s.K + s.V, s.Dim), s);
    protected override FeedRows Feed(TensorReader t, string b, Sizes s) => new PlainFeed<Gelu>(t.Biased(b + "ffn_up", s.Hidden, s.Dim), t.Biased(b + "ffn_down", s.Dim, s.Hidden));
}
