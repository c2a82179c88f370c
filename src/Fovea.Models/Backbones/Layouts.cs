using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>Token mixers that differ from layer to layer, for <see cref="DecoderModel"/>.</summary>
public static class Layouts
{
    /// <summary>Layer i gets the mixer of letter i of the layout, which starts again where it ends.</summary>
    public static Mixer Of(string layout, IReadOnlyDictionary<char, Mixer> kinds)
    {
        if (layout.Length == 0) throw new ArgumentException("a layout needs at least one letter");
        foreach (char c in layout) if (!kinds.ContainsKey(c)) throw new ArgumentException($"layout '{layout}': no mixer '{c}'; known: {string.Join(", ", kinds.Keys)}");
        return (layer, c, w) => kinds[layout[layer % layout.Length]](layer, c, w);
    }

    /// <summary>The layers of Based (arXiv 2402.18668, §5.1): c short convolutions, l Taylor linear attention with feature size d', w a sliding window. The default is the layout of its 27-layer model.</summary>
    public static Mixer Based(int featureDim = 16, int window = 64, string layout = "clwccclwccclwccclwccclwcccc") => Of(layout, new Dictionary<char, Mixer>
    {
        ['c'] = (_, c, w) => new BaseConv(c, w),
        ['l'] = (_, c, w) => new BasedAttention(c, w, featureDim),
        ['w'] = (_, c, w) => new SlidingWindowAttention(c, w, window),
    });
}
