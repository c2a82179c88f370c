namespace Fovea.Kernels;

/// <summary>
/// Convolutions of many channels without columns: the rows of the input that a band of output rows needs are copied between zeros, some channels at
/// a time, and a product of weights and input reads each tap's numbers where they lie. Gradients of weights sum whole rows of dy times shifted rows of x.
/// </summary>
static unsafe class DirectConv
{
    /// <summary>Vectors that a band of rows has about; numbers of the input that are in use at once, so that they stay in L1.</summary>
    const int Band = 24, Cached = 4096;
    /// <summary>Input channels of one task of <see cref="AddWeight"/>.</summary>
    const int Block = 8;

    /// <summary>Whether rows of outputs fill registers well enough; else columns, which go on over the ends of rows, are faster.</summary>
    public static bool Suits(int columns, Width width) => columns * 10 >= Up(columns, Lanes(width)) * 7;
    static int Lanes(Width width) => width switch { Width.One => 1, Width.Bits128 => Lanes128.Count, Width.Bits256 => Lanes256.Count, Width.Bits512 => Lanes512.Count, _ => Wide.Count };
    static int Up(int n, int to) => (n + to - 1) / to * to;

    /// <summary>y = (or, if add, +=) bias + weight ∗ x.</summary>
    public static void Forward(in ConvSize z, Real* x, Real* weight, Real* bias, Real* y, bool add, Width width)
    {
        using var scratch = Scratch.Open();
        int tiles = (z.Outputs / z.Groups + PointLoops.Down - 1) / PointLoops.Down, taps = z.Taps; Real* packed = scratch.Take((long)z.Groups * tiles * PointLoops.Down * taps);
        WideRows.For(z.Groups * tiles, Math.Max(1, 2048 / taps), new PackRows(z, weight, packed, tiles, false), width);
        Run(z, z.PadHeight, z.PadWidth, x, packed, bias, y, add, width);
    }

    /// <summary>dx += weightᵀ ∗ dy, for strides of 1: the convolution with the kernel turned round, whose padding is what the other one's lacks.</summary>
    public static void AddInput(in ConvSize z, Real* weight, Real* dy, Real* dx, Width width)
    {
        using var scratch = Scratch.Open();
        var turned = z with { Inputs = z.Outputs, Outputs = z.Inputs, Height = z.OutHeight, Width = z.OutWidth, PadHeight = 0, PadWidth = 0 };
        int tiles = (turned.Outputs / z.Groups + PointLoops.Down - 1) / PointLoops.Down, taps = turned.Taps; Real* packed = scratch.Take((long)z.Groups * tiles * PointLoops.Down * taps);
        WideRows.For(z.Groups * tiles, Math.Max(1, 2048 / taps), new PackRows(z, weight, packed, tiles, true), width);
        Run(turned, z.DilationHeight * (z.KernelHeight - 1) - z.PadHeight, z.DilationWidth * (z.KernelWidth - 1) - z.PadWidth, dy, packed, null, dx, true, width, z.Height, z.Width);
    }

    static void Run(in ConvSize z, int above, int before, Real* x, Real* packed, Real* bias, Real* y, bool add, Width width, int height = 0, int columns = 0)
    {
        if (height == 0) (height, columns) = (z.OutHeight, z.OutWidth);
        int across = Up(columns, Lanes(width)) / Lanes(width), rows = Math.Max(1, Band / across);
        rows = (height + (height + rows - 1) / rows - 1) / ((height + rows - 1) / rows);
        if (across % 2 == 1 && rows % 2 == 1 && rows < height) rows++;
        int bands = (height + rows - 1) / rows;
        WideRows.For(z.Batch * z.Groups * bands, 1, new BandRows(z, above, before, x, packed, bias, y, add, height, columns, rows, bands), width);
    }

    /// <summary>Panels [taps, Down] of weights, zeros behind the last output; turned: of the transposed kernel, turned round.</summary>
    readonly struct PackRows(ConvSize z, Real* weight, Real* packed, int tiles, bool turned) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            int window = z.KernelHeight * z.KernelWidth, inputs = z.Inputs / z.Groups, outputs = z.Outputs / z.Groups, taps = (turned ? outputs : inputs) * window, all = turned ? inputs : outputs;
            for (int task = from; task < to; task++)
            {
                int g = task / tiles, o0 = task % tiles * PointLoops.Down, n = Math.Min(PointLoops.Down, all - o0); Real* panel = packed + (nint)task * taps * PointLoops.Down;
                for (int t = 0; t < taps; t++)
                {
                    int c = t / window, k = t % window;
                    for (int r = 0; r < PointLoops.Down; r++)
                        panel[(nint)t * PointLoops.Down + r] = r >= n ? 0 : turned ? weight[(((long)g * outputs + c) * inputs + o0 + r) * window + window - 1 - k] : weight[(((long)g * outputs + o0 + r) * inputs + c) * window + k];
                }
            }
        }
    }

    /// <summary>One task is one (image, group, band of output rows). Above and before are the zeros before the first row and column; less than 0 cuts.</summary>
    readonly struct BandRows(ConvSize z, int above, int before, Real* x, Real* packed, Real* bias, Real* y, bool add, int height, int columns, int rows, int bands) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open();
            int w = TLanes.Count, inputs = z.Inputs / z.Groups, outputs = z.Outputs / z.Groups, window = z.KernelHeight * z.KernelWidth, down = PointLoops.Down, tiles = (outputs + down - 1) / down, across = (columns + w - 1) / w;
            int reach = z.DilationHeight * (z.KernelHeight - 1) + 1, high = (rows - 1) * z.StrideHeight + reach;
            var frame = new Frame(Up(Math.Max((Math.Max(before, 0) + z.Width + z.StrideWidth - 1) / z.StrideWidth, across * w + (z.DilationWidth * (z.KernelWidth - 1) + z.StrideWidth - 1) / z.StrideWidth), w), high, 0, before, z.StrideWidth);
            int slice = (int)Math.Clamp(Cached / frame.All, 1, inputs), slices = (inputs + slice - 1) / slice; slice = (inputs + slices - 1) / slices;
            Real* planes = scratch.Take(slice * frame.All), start = scratch.Take(down), edge = scratch.Take(down * 2 * w);
            nint* at = (nint*)scratch.Take(2L * slice * window);
            for (int c = 0; c < slice; c++) for (int i = 0; i < z.KernelHeight; i++) for (int j = 0; j < z.KernelWidth; j++)
                at[c * window + i * z.KernelWidth + j] = c * frame.All + j * z.DilationWidth % z.StrideWidth * frame.Size + (nint)i * z.DilationHeight * frame.Ld + j * z.DilationWidth / z.StrideWidth;
            for (int task = from; task < to; task++)
            {
                int part = task % bands, g = task / bands % z.Groups, r0 = part * rows, n = Math.Min(rows, height - r0), points = n * across; long group = task / bands;
                int first = r0 * z.StrideHeight - above, last = first + (n - 1) * z.StrideHeight + reach;
                Frame.Zeros(planes, slice * frame.All);     // other bands fill other rows
                Real* place = y + group * outputs * height * columns + (nint)r0 * columns;
                for (int c0 = 0; c0 < inputs; c0 += slice)
                {
                    int count = Math.Min(slice, inputs - c0);
                    for (int c = 0; c < count; c++) frame.Band<TLanes, V>(x + (group * inputs + c0 + c) * z.Height * z.Width, z.Height, z.Width, first, last, planes + c * frame.All);
                    for (int tile = 0; tile < tiles; tile++)
                    {
                        int o0 = tile * down, filled = Math.Min(down, outputs - o0); bool more = add || c0 > 0; Real* a = packed + (((nint)g * tiles + tile) * inputs + c0) * window * down, into = place + (nint)o0 * height * columns;
                        for (int r = 0; r < down; r++) start[r] = bias is null || c0 > 0 || r >= filled ? 0 : bias[g * outputs + o0 + r];
                        for (int p = 0; p < points; p += 2)
                        {
                            int q = Math.Min(p + 1, points - 1), pr = p / across, pc = (p - pr * across) * w, qr = q / across, qc = (q - qr * across) * w;
                            Real* left = planes + (nint)pr * z.StrideHeight * frame.Ld + pc, right = planes + (nint)qr * z.StrideHeight * frame.Ld + qc, toLeft = into + (nint)pr * columns + pc, toRight = into + (nint)qr * columns + qc;
                            if (q > p && pc + w <= columns && qc + w <= columns) { PointLoops.Tile<TLanes, V>(filled, a, left, right, at, count * window, start, toLeft, toRight, (nint)height * columns, more); continue; }
                            PointLoops.Tile<TLanes, V>(filled, a, left, right, at, count * window, start, edge, edge + w, 2 * w, false);
                            for (int r = 0; r < filled; r++)
                            {
                                Put(edge + r * 2 * w, toLeft + (nint)r * height * columns, Math.Min(w, columns - pc), more);
                                if (q > p) Put(edge + r * 2 * w + w, toRight + (nint)r * height * columns, Math.Min(w, columns - qc), more);
                            }
                        }
                    }
                }
            }
        }
        static void Put(Real* from, Real* to, int n, bool add) { if (add) for (int i = 0; i < n; i++) to[i] += from[i]; else for (int i = 0; i < n; i++) to[i] = from[i]; }
    }

    /// <summary>dweight += dy times shifted x; strides across must be 1.</summary>
    public static void AddWeight(in ConvSize z, Real* x, Real* dy, Real* dweight, Width width)
    {
        int blocks = (z.Inputs / z.Groups + Block - 1) / Block;
        WideRows.For(z.Groups * blocks, 1, new WeightRows(z, x, dy, dweight, blocks), width);
    }

    /// <summary>One task is one (group, block of input channels) over all images.</summary>
    readonly struct WeightRows(ConvSize z, Real* x, Real* dy, Real* dweight, int blocks) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open();
            int w = TLanes.Count, inputs = z.Inputs / z.Groups, outputs = z.Outputs / z.Groups, kh = z.KernelHeight, kw = z.KernelWidth, window = kh * kw, oh = z.OutHeight, ow = z.OutWidth, across = (ow + w - 1) / w;
            var frame = Frame.Input(z, w); bool whole = ow % w == 0; int line = across * w, rows = Math.Clamp(Cached / (TapLoops.Down * line), 1, oh);
            Real* planes = Frame.Zeros(scratch.Take(Block * frame.All), Block * frame.All), beside = whole ? null : Frame.Zeros(scratch.Take((long)TapLoops.Down * rows * line), (nint)TapLoops.Down * rows * line);
            double* sums = (double*)scratch.Take(2L * outputs * Block * window);
            for (int task = from; task < to; task++)
            {
                int g = task / blocks, c0 = task % blocks * Block, count = Math.Min(Block, inputs - c0);
                new Span<double>(sums, outputs * Block * window).Clear();
                for (int image = 0; image < z.Batch; image++)
                {
                    for (int c = 0; c < count; c++) frame.Fill<TLanes, V>(x + (((long)image * z.Groups + g) * inputs + c0 + c) * z.Height * z.Width, z.Height, z.Width, planes + c * frame.All);
                    for (int r = 0; r < oh; r += rows) for (int o = 0; o < outputs; o += TapLoops.Down)
                    {
                        int n = Math.Min(TapLoops.Down, outputs - o), some = Math.Min(rows, oh - r); Real* d = dy + ((((long)image * z.Groups + g) * outputs + o) * oh + r) * ow; nint apart = (nint)oh * ow, step = ow;
                        if (!whole)
                        {
                            for (int m = 0; m < n; m++) for (int h = 0; h < some; h++) new ReadOnlySpan<Real>(d + m * apart + (nint)h * ow, ow).CopyTo(new Span<Real>(beside + ((nint)m * rows + h) * line, ow));
                            d = beside; apart = (nint)rows * line; step = line;
                        }
                        for (int c = 0; c < count; c++) for (int i = 0; i < kh; i++)
                            TapLoops.Row<TLanes, V>(n, planes + c * frame.All + ((nint)r * z.StrideHeight + i * z.DilationHeight) * frame.Ld, frame.Ld * z.StrideHeight, d, step, -apart, some, across, z.DilationWidth, kw, sums + ((long)o * Block + c) * window + i * kw, Block * window);
                    }
                }
                for (int o = 0; o < outputs; o++) for (int t = 0; t < count * window; t++) dweight[((long)g * outputs + o) * z.Taps + c0 * window + t] += (Real)sums[(long)o * Block * window + t];
            }
        }
    }
}
