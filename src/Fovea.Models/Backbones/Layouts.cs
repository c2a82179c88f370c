using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>Token mixers that differ from layer to layer, for <see cref="DecoderModel"/>.</summary>
[From("masformer", "§3")]
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

    /// <summary>
    /// MASFormer (arXiv 2310.12442, §3): layers in the list full have full attention, the others a sliding window; nothing else differs, so that a dense checkpoint loads as it is.
    /// <see cref="Placed"/> gives the lists that the paper compares.
    /// </summary>
    public static Mixer MasFormer(int window, params IReadOnlyCollection<int> full)
    {
        if (window < 1) throw new ArgumentException($"a window of {window} tokens");
        return (layer, c, w) => full.Contains(layer) ? new SoftmaxAttention(c, w) : new SlidingWindowAttention(c, w, window);
    }

    /// <summary>Where count of so many layers are: "bottom", "top", or "interleaved" from the first one on.</summary>
    public static int[] Placed(string where, int count, int layers)
    {
        if (count < 0 || count > layers) throw new ArgumentException($"{count} of {layers} layers");
        return where switch
        {
            "bottom" => [.. Enumerable.Range(0, count)],
            "top" => [.. Enumerable.Range(layers - count, count)],
            "interleaved" => [.. Enumerable.Range(0, count).Select(i => i * layers / count)],
            _ => throw new ArgumentException($"placement '{where}'; known: bottom, top, interleaved"),
        };
    }
}
