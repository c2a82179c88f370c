using System.Numerics.Tensors;
using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>Softmax attention from ordinary operations.</summary>
sealed class UnfusedAttention(AttentionConfig c, Weights w) : HeadAttention(c, w)
{ protected override Tensor Attend(Heads h, Pass pass) => StoredAttention.Attend(pass.At(Part.Query, h.Q), h.K, h.V, Config.Causal); }

/// <summary>Sixteen levels: the fault that the control plants.</summary>
sealed class SixteenLevels : SavedTensors
{
    protected override Packed? Pack(Tensor t, int layer, int ordinal, Pass pass)
    {
        Real low = TensorPrimitives.Min<Real>(t.Span), step = (TensorPrimitives.Max<Real>(t.Span) - low) / 15; var y = new Real[t.Shape.Size];
        if (!Real.IsFinite(step) || step == 0) return null;
        for (int i = 0; i < y.Length; i++) y[i] = Real.Round((t.Span[i] - low) / step) * step + low;
        return new Rounded(y);
    }
    sealed class Rounded(Real[] y) : Packed { public override long Bytes => y.Length / 2; public override void Unpack(Span<Real> to) => y.CopyTo(to); }
}
/// <summary>Mean relative L2 error of what comes back of a part, over layers.</summary>
sealed class RestoredParts(string part, int groups) : IProbe
{
    readonly List<double> errors = [];
    public double Error => errors.Average();
    public bool Wants(Site site) => site.Part.ToString() == part;
    public Tensor Visit(Site site, Tensor x)
    {
        int b = x.Shape[0], inner = x.Shape.Size / b / groups; Real[] low = new Real[groups], range = new Real[groups], y = new Real[x.Shape.Size]; var codes = new byte[y.Length];
        ByteGroups.Ranges(x.Span, b, groups, inner, low, range); ByteGroups.Encode(x.Span, b, groups, inner, low, range, null, codes); ByteGroups.Decode(codes, b, groups, inner, low, range, y);
        errors.Add(TensorPrimitives.Distance<Real>(y, x.Span) / TensorPrimitives.Norm<Real>(x.Span));
        return x;
    }
}
