using Fovea.Mechanisms;
namespace Fovea.Engine;

/// <summary>What moves information between the tokens of a layer, and what of the past it keeps for each sequence.</summary>
public abstract class MixingRows
{
    /// <summary>x [tokens,C] of all pieces, normalised → y [tokens,C], overwritten; the past goes into the sequences' caches. With apart, every row of a product has the bits that it has alone; tokens of tentative pieces are answered one by one in any case.</summary>
    public abstract void Apply(ReadOnlySpan<float> x, int tokens, ReadOnlySpan<Piece> pieces, Span<float> y, bool apart);
    /// <summary>What an empty sequence keeps of this layer.</summary>
    internal abstract KvLayer Cache(LanguageModel model, KvFormat format, KvBudget? budget);
}

/// <summary>A mechanism of the project as a layer: the past is a state of its own kind, recurrent or not, in float32 and without pages. Formats and rules of caches are for layers with pages.</summary>
public sealed class MixerRows(int layer, Attention mixer, int dim) : MixingRows
{
    public override void Apply(ReadOnlySpan<float> x, int tokens, ReadOnlySpan<Piece> pieces, Span<float> y, bool apart)
    {
        int at = 0;
        foreach (var p in pieces)
        {
            if (p.Length == 0) continue;
            using var scope = Scope.NoGrad(); int from = at * dim, size = p.Length * dim;
            mixer.Forward(Tensor.From(x.Slice(from, size), [1, p.Length, dim]), new Pass { Layer = layer, Memory = p.Sequence.Cache[layer].State }).Span.CopyTo(y.Slice(from, size));
            at += p.Length;
        }
    }
    internal override KvLayer Cache(LanguageModel model, KvFormat format, KvBudget? budget) => new(format, [], null, null, null, new());
}
