using System.Numerics.Tensors;
using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>No feed-forward part, as in models of Mamba layers alone.</summary>
public sealed class NoFeedForward : FeedForward { public override Tensor Forward(Tensor x, Pass pass) => Tensor.Zeros(x.Shape); }

/// <summary>
/// Quamba (§4.2): static 8-bit weights and activations, symmetric per tensor, for the Mamba layers of a model. First the model runs on calibration text while this watches (<see cref="Calibrate"/>): largest magnitudes, and for what the scan reads a
/// percentile of magnitudes, which is averaged over batches with weight 0.01. Then <see cref="Quantise"/> replaces the linear layers by integer products and rounds what lies between: x of the scan with the percentile as largest number, so that a
/// few large ones are cut and the rest has finer steps; y after the gate in Hadamard space, where outliers of channels are spread over all. The scan takes what was rounded and keeps its state and A in full precision.
/// </summary>
[From("quamba", "§4.2")]
public sealed class Quamba
{
    /// <summary>Percentiles that are tracked.</summary>
    public static IReadOnlyList<double> Percentiles { get; } = [99, 99.9, 99.99, 99.999];
    readonly MambaAttention[] layers; readonly Dictionary<(int Layer, MambaPlace Place), double> largest = []; readonly Dictionary<(int Layer, double Percentile), double> clipped = []; readonly double[] rotated;

    /// <summary>Throws if the model has a layer that is none of Mamba.</summary>
    public Quamba(DecoderModel model)
    {
        layers = [.. model.Blocks.Select(b => b.Mixer as MambaAttention ?? throw new ArgumentException($"{b.Mixer.GetType().Name} is no Mamba layer"))];
        rotated = new double[layers.Length];
    }

    /// <summary>Watches the layers while run evaluates calibration text, batch after batch.</summary>
    public void Calibrate(Action run)
    {
        for (int i = 0; i < layers.Length; i++) { int layer = i; layers[i].Watch = (place, x) => { See(layer, place, x); return x; }; }
        try { run(); } finally { foreach (var l in layers) l.Watch = null; }
    }

    void See(int layer, MambaPlace place, Tensor x)
    {
        double Most(ReadOnlySpan<Real> v) => Math.Abs(TensorPrimitives.MaxMagnitude(v));
        largest[(layer, place)] = Math.Max(largest.GetValueOrDefault((layer, place)), Most(x.Span));
        if (place == MambaPlace.Output)
        {
            Real[] y = x.Span.ToArray(); Rotation.Transform(y, y.Length / x.Shape[-1], x.Shape[-1]);
            rotated[layer] = Math.Max(rotated[layer], Most(y));
        }
        if (place != MambaPlace.Scan) return;
        var sorted = new Real[x.Shape.Size];
        TensorPrimitives.Abs(x.Span, sorted); Array.Sort(sorted);
        foreach (double p in Percentiles)
        {
            double v = sorted[Math.Min(sorted.Length - 1, (int)(sorted.Length * p / 100))];
            clipped[(layer, p)] = clipped.TryGetValue((layer, p), out double old) ? 0.99 * old + 0.01 * v : v;
        }
    }

    /// <summary>The largest magnitude at a place, or for the scan's input the percentile.</summary>
    public double Largest(int layer, MambaPlace place, double? percentile = null) => percentile is { } p ? clipped[(layer, p)] : largest[(layer, place)];

    /// <summary>
    /// Replaces the products of all layers and rounds activations. Percentile null: the scan's input by its largest magnitude; hadamard false: the output as it is. Both so: the naive recipe. Returns the bytes of the replaced weights.
    /// </summary>
    public long Quantise(double? percentile = 99.999, bool hadamard = true)
    {
        long bytes = 0;
        for (int i = 0; i < layers.Length; i++)
        {
            int layer = i; var l = layers[i]; double scan = Largest(i, MambaPlace.Scan, percentile);
            void Put(MambaProduct product, double most, bool rotate = false) { var p = new Int8Product(l.Product(product).Weight, most, rotate); bytes += p.Bytes; l.Replace(product, p.Forward); }
            Put(MambaProduct.In, Largest(i, MambaPlace.Input)); Put(MambaProduct.Select, scan); Put(MambaProduct.Step, Largest(i, MambaPlace.Rank));
            Put(MambaProduct.Out, hadamard ? rotated[i] : Largest(i, MambaPlace.Output), hadamard);
            // Inputs of products are rounded there.
            l.Watch = (place, x) => place is MambaPlace.Input or MambaPlace.Rank or MambaPlace.Output ? x : Rounded(x, place == MambaPlace.Scan ? scan : Largest(layer, place));
        }
        return bytes;
    }

    /// <summary>Every number as the nearest multiple of largest/127, cut at largest.</summary>
    public static Tensor Rounded(Tensor x, double largest)
    {
        if (largest <= 0) return x;
        var y = Tensor.Empty(x.Shape); Real step = (Real)(largest / 127), inverse = 1 / step; ReadOnlySpan<Real> from = x.Span; var to = y.Span;
        for (int i = 0; i < to.Length; i++) to[i] = step * Math.Min(127, Math.Max(-127, Real.Round(from[i] * inverse)));
        return y;
    }

    /// <summary>Rounds every other matrix of a model (embedding, output layer, convolutions) to eight bits with one scale each, in place; A stays. Returns their bytes, and those of the vectors that stay, but not those of the products of Mamba layers.</summary>
    public static long RoundOthers(Weights w)
    {
        long bytes = 0;
        foreach (var (name, p) in w.All)
        {
            if (name.Contains("_proj.weight", StringComparison.Ordinal)) continue;
            if (p.Shape.Rank < 2 || name.EndsWith("A_log", StringComparison.Ordinal)) { bytes += (long)p.Shape.Size * sizeof(Real); continue; }
            Rounded(p, Math.Abs(TensorPrimitives.MaxMagnitude<Real>(p.Span))).Span.CopyTo(p.Span);
            bytes += p.Shape.Size + sizeof(Real);
        }
        return bytes;
    }
}
