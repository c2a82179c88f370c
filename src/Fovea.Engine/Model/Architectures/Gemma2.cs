using Fovea.Kernels;
namespace Fovea.Engine;

/// <summary>Gemma 2: norms behind attention and feed-forward too, scores and logits capped, every other layer sees a window, embeddings scaled by √C. Gains in GGUF files have their 1 added already.</summary>
public sealed class Gemma2 : TransformerArchitecture
{
    public override IReadOnlyList<string> Names => ["gemma2"];
    protected override RowNorm? After(TensorReader t, string name, Sizes s) => Norm(t, name, s);
    protected override FeedRows Feed(TensorReader t, string b, Sizes s) => Gated<Gelu>(t, b, s);
    // The largest model of the family, of 46 layers, scales by the width per head instead of the head size.
    protected override AttentionParts Change(AttentionParts a, ModelFile f, TensorReader t, string b, Sizes s) => a with
    {
        Window = a.Layer % 2 == 0 ? f.Size("attention.sliding_window", 4096) : null,
        Scale = f.Has("attention.query_pre_scale") ? 1 / Math.Sqrt(f.Number("attention.query_pre_scale")) : s.Layers == 46 ? 1 / Math.Sqrt(s.Dim / (double)s.Heads) : null,
    };
    protected override double? ScoreCap(ModelFile f) => f.Number("attn_logit_softcapping", 50);
    protected override float? LogitCap(ModelFile f) => (float)f.Number("final_logit_softcapping", 30);
    protected override float EmbeddingScale(Sizes s) => (float)Math.Sqrt(s.Dim);
}
