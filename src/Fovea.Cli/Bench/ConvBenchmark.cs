using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>Convolutions of images, each channel alone and all together.</summary>
sealed class ConvBenchmark() : Benchmark("conv", "depthwise convolutions of 3, 7 and 21 and a full one of 3, forward and backward")
{
    const int Images = 4, Channels = 64, Side = 56;

    public override void Run(Meter meter)
    {
        foreach (int k in new[] { 3, 7, 21 }) Both(meter, $"depthwise {k}×{k}", k, Channels);
        Both(meter, "conv 3×3", 3, 1);
    }

    static void Both(Meter meter, string name, int kernel, int groups)
    {
        var z = new ConvSize(Images, Channels, Channels, Side, Side, kernel, kernel) { PadHeight = kernel / 2, PadWidth = kernel / 2, Groups = groups };
        int image = Images * Channels * Side * Side, taps = Channels * z.Taps; string size = $"{Images}×{Channels}×{Side}×{Side}";
        var x = Draw(image); var weight = Draw(taps); var bias = Draw(Channels); var y = new Real[image]; var dy = Draw(image); var dx = new Real[image]; var dweight = new Real[taps]; var dbias = new Real[Channels];
        double work = 2.0 * image * z.Taps, bytes = sizeof(Real) * (double)image;
        meter.Row($"{name} forward", size, work, 2 * bytes, () => Conv.Forward(z, x, weight, bias, y));
        meter.Row($"{name} backward", size, 2 * work, 4 * bytes, () => Conv.Backward(z, x, weight, dy, dx, dweight, dbias));
    }
}
