using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Moves between images and columns: col[tap, position] is the input number that meets that tap of the kernel at that output position.</summary>
internal readonly unsafe struct Columnise(in ConvSize size)
{
    /// <summary>Output positions of a tile.</summary>
    public const int Tile = 128;
    readonly ConvSize z = size;

    /// <summary>Fills (or, if back, adds back into the image) the columns of channels [c0, c1) of one image for positions [p0, p0 + n); rows of col are ld apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<TLanes, V>(Real* image, int c0, int c1, int p0, int n, Real* col, int ld, bool back) where TLanes : struct, ILanes<V> where V : struct
    {
        int ow = z.OutWidth;
        for (int c = c0; c < c1; c++) for (int i = 0; i < z.KernelHeight; i++) for (int j = 0; j < z.KernelWidth; j++, col += ld)
            for (int p = p0; p < p0 + n;)
            {
                int row = p / ow, first = p - row * ow, count = Math.Min(ow - first, p0 + n - p), h = row * z.StrideHeight - z.PadHeight + i * z.DilationHeight, left = j * z.DilationWidth - z.PadWidth;
                Real* to = col + (p - p0); p += count;
                // Output columns [from, until) of this run see the inside of the image.
                int from = Math.Clamp(((left < 0 ? -left + z.StrideWidth - 1 : 0) / z.StrideWidth) - first, 0, count), until = left >= z.Width ? 0 : Math.Clamp((z.Width - 1 - left) / z.StrideWidth + 1 - first, 0, count);
                if (h < 0 || h >= z.Height || until <= from) { if (!back) new Span<Real>(to, count).Clear(); continue; }
                Real* line = image + ((long)c * z.Height + h) * z.Width + left + (long)first * z.StrideWidth;
                if (back && z.StrideWidth == 1) Panel.AddScaled<TLanes, V>(to + from, line + from, 1, until - from);
                else if (back) for (int t = from; t < until; t++) line[t * z.StrideWidth] += to[t];
                else
                {
                    new Span<Real>(to, from).Clear(); new Span<Real>(to + until, count - until).Clear();
                    if (z.StrideWidth == 1) new ReadOnlySpan<Real>(line + from, until - from).CopyTo(new Span<Real>(to + from, until - from));
                    else for (int t = from; t < until; t++) to[t] = line[t * z.StrideWidth];
                }
            }
    }
}

/// <summary>One task is one (image, group, tile of output positions).</summary>
internal readonly unsafe struct ConvRows(ConvSize z, Real* x, Real* weight, Real* bias, Real* y, bool add) : IWideRows
{
    // Rows of the columns are padded, so that they do not all fall into the same lines of the cache.
    const int Tile = Columnise.Tile, Ld = Tile + 16;
    public int Tiles => (z.OutHeight * z.OutWidth + Tile - 1) / Tile;

    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open();
        int taps = z.Taps, outputs = z.Outputs / z.Groups, inputs = z.Inputs / z.Groups, positions = z.OutHeight * z.OutWidth, tiles = Tiles;
        Real* col = scratch.Take((long)taps * Ld); var columns = new Columnise(z);
        for (int task = from; task < to; task++)
        {
            int image = task / tiles / z.Groups, g = task / tiles % z.Groups, p0 = task % tiles * Tile, n = Math.Min(Tile, positions - p0);
            Real* input = x + (long)(image * z.Groups + g) * inputs * z.Height * z.Width, output = y + (long)(image * z.Groups + g) * outputs * positions + p0, w = weight + (long)g * outputs * taps;
            for (int o = 0; o < outputs && !add; o++) new Span<Real>(output + (long)o * positions, n).Fill(bias is null ? 0 : bias[g * outputs + o]);
            columns.Run<TLanes, V>(input, 0, inputs, p0, n, col, Ld, false);
            Panel.Product<TLanes, V>(w, taps, 1, col, Ld, output, positions, outputs, taps, n, true);
        }
    }
}

/// <summary>dx += weightᵀ dy, spread back to the image; one task is one (image, group, block of input channels).</summary>
internal readonly unsafe struct ConvInputRows(ConvSize z, Real* weight, Real* dy, Real* dx, int blocks, int block) : IWideRows
{
    const int Tile = Columnise.Tile, Ld = Tile + 16;

    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open();
        int taps = z.Taps, window = z.KernelHeight * z.KernelWidth, outputs = z.Outputs / z.Groups, inputs = z.Inputs / z.Groups, positions = z.OutHeight * z.OutWidth;
        Real* col = scratch.Take((long)block * window * Ld); var columns = new Columnise(z);
        for (int task = from; task < to; task++)
        {
            int image = task / blocks / z.Groups, g = task / blocks % z.Groups, c0 = task % blocks * block, c1 = Math.Min(inputs, c0 + block);
            Real* input = dx + (long)(image * z.Groups + g) * inputs * z.Height * z.Width, output = dy + (long)(image * z.Groups + g) * outputs * positions, w = weight + (long)g * outputs * taps + c0 * window;
            for (int p0 = 0; p0 < positions; p0 += Tile)
            {
                int n = Math.Min(Tile, positions - p0);
                Panel.Product<TLanes, V>(w, 1, taps, output + p0, positions, col, Ld, (c1 - c0) * window, outputs, n, false);
                columns.Run<TLanes, V>(input, c0, c1, p0, n, col, Ld, true);
            }
        }
    }
}

/// <summary>dweight += dy colᵀ; one task is one (group, block of input channels) over all images.</summary>
internal readonly unsafe struct ConvWeightRows(ConvSize z, Real* x, Real* dy, Real* dweight, int blocks, int block) : IWideRows
{
    const int Tile = Columnise.Tile;

    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open();
        int taps = z.Taps, window = z.KernelHeight * z.KernelWidth, outputs = z.Outputs / z.Groups, inputs = z.Inputs / z.Groups, positions = z.OutHeight * z.OutWidth;
        Real* col = scratch.Take((long)block * window * Tile), rows = scratch.Take((long)block * window * Tile); var columns = new Columnise(z);
        for (int task = from; task < to; task++)
        {
            int g = task / blocks, c0 = task % blocks * block, c1 = Math.Min(inputs, c0 + block), width = (c1 - c0) * window;
            for (int image = 0; image < z.Batch; image++) for (int p0 = 0; p0 < positions; p0 += Tile)
            {
                int n = Math.Min(Tile, positions - p0);
                columns.Run<TLanes, V>(x + (long)(image * z.Groups + g) * inputs * z.Height * z.Width, c0, c1, p0, n, col, n, false);
                Panel.Transpose(col, width, n, rows, width);
                Panel.Product<TLanes, V>(dy + (long)(image * z.Groups + g) * outputs * positions + p0, positions, 1, rows, width, dweight + (long)g * outputs * taps + c0 * window, taps, outputs, n, width, true);
            }
        }
    }
}

/// <summary>sums[c] += Σ over batch and positions of x[b,c,·].</summary>
internal readonly unsafe struct ChannelSumRows(Real* x, Real* sums, int batch, int channels, int spatial) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int c = from; c < to; c++)
        {
            double sum = 0;
            for (int b = 0; b < batch; b++) sum += Reduce.Sum<TLanes, V>(x + ((long)b * channels + c) * spatial, spatial);
            sums[c] += (Real)sum;
        }
    }
}
