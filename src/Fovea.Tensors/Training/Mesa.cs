using Fovea.Kernels;
namespace Fovea;

/// <summary>
/// Activation-compressed training (§3): forward in full precision, everything that Backward will need in eight bits. Tensors are cut into <paramref name="groups"/> groups, [B,H,N,D] by heads and [B,N,C] by channels, each with a range α and
/// offset β that are running estimates of maximum − minimum and minimum: α ← λα + (1 − λ)(max − min), β likewise, the first time as measured. A number becomes ⌊(x − β)·255/α + u⌋ with u uniform in [0, 1), which is stochastic rounding,
/// or u = ½. Gradients are computed with what is restored, weights and optimiser stay as they are. Tensors with fewer than <paramref name="least"/> numbers, with infinite ones, and what operations mark as exact are left alone. Masks of ReLU and dropout
/// take a byte here and not a bit. One object serves one model through its training.
/// </summary>
/// <param name="groups">Groups of a tensor where its heads or channels divide into so many; else one.</param>
/// <param name="decay">λ</param>
/// <param name="stochastic">False: to the nearest.</param>
/// <param name="layers">Which layers are compressed; all if null.</param>
[From("mesa", "§3")]
public sealed class Mesa(int groups = 3, double decay = 0.9, bool stochastic = true, int least = 256, Func<int, bool>? layers = null) : SavedTensors
{
    readonly int groups = groups >= 1 ? groups : throw new ArgumentOutOfRangeException(nameof(groups), groups, "must be at least 1");
    readonly Dictionary<(int Layer, int Ordinal), (Real[] Low, Real[] Range)> ranges = [];

    protected override Packed? Pack(Tensor t, int layer, int ordinal, Pass pass)
    {
        if (t.Shape.Size < least || layers is not null && !layers(layer)) return null;
        var (outer, g, inner) = Layout(t.Shape, groups); var span = t.Span; Real[] low = new Real[g], range = new Real[g];
        ByteGroups.Ranges(span, outer, g, inner, low, range);
        foreach (Real r in range) if (!Real.IsFinite(r)) return null;
        if (ranges.TryGetValue((layer, ordinal), out var old) && old.Low.Length == g)
            for (int i = 0; i < g; i++) { low[i] = (Real)decay * old.Low[i] + (Real)(1 - decay) * low[i]; range[i] = (Real)decay * old.Range[i] + (Real)(1 - decay) * range[i]; }
        ranges[(layer, ordinal)] = (low, range);
        var codes = new byte[span.Length];
        ByteGroups.Encode(span, outer, g, inner, low, range, stochastic ? pass.Rng["mesa"][layer + 1][ordinal].Key : null, codes);
        return new Codes(codes, outer, g, inner, low, range);
    }

    /// <summary>[B,H,…] by heads, anything else by channels, as [Outer,Groups,Inner].</summary>
    internal static (int Outer, int Groups, int Inner) Layout(Shape s, int groups)
    {
        if (s.Rank == 4 && s[1] % groups == 0) return (s[0], groups, s.Size / s[0] / groups);
        return s[-1] % groups == 0 ? (s.Size / s[-1], groups, s[-1] / groups) : (1, 1, s.Size);
    }

    sealed class Codes(byte[] codes, int outer, int groups, int inner, Real[] low, Real[] range) : Packed
    {
        public override long Bytes => codes.Length + 2L * groups * sizeof(Real);
        public override void Unpack(Span<Real> to) => ByteGroups.Decode(codes, outer, groups, inner, low, range, to);
    }
}
