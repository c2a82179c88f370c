namespace Fovea.Kernels;

/// <summary>
/// Convolutions of few channels per group, above all depthwise ones: plane by plane, with no columns in between. A plane is copied between margins of
/// zeros, so that the loops of <see cref="PlaneLoops"/> meet no edges; with a stride across, its columns are sorted by their remainder, so that the
/// numbers that one tap meets lie side by side.
/// </summary>
static unsafe class Depthwise
{
    /// <summary>Channels per group up to which planes are faster than columns.</summary>
    const int Most = 4;
    // Tasks of a backward that sums weights; images are shared out among them where there are few groups.
    const int Tasks = 64;

    public static bool Suits(in ConvSize z) => z.Inputs / z.Groups <= Most && z.Outputs / z.Groups <= Most;

    /// <summary>y = (or, if add, +=) bias + weight ∗ x.</summary>
    public static void Forward(in ConvSize z, Real* x, Real* weight, Real* bias, Real* y, bool add, Width width) =>
        WideRows.For(z.Batch * z.Groups, WideRows.Grain(z.OutHeight * z.OutWidth), new ForwardRows(z, x, weight, bias, y, add), width);

    /// <summary>Adds into dx and dweight, each of which may be null.</summary>
    public static void Backward(in ConvSize z, Real* x, Real* weight, Real* dy, Real* dx, Real* dweight, Width width)
    {
        int parts = Math.Min(z.Batch, Math.Max(1, Tasks / z.Groups)), images = parts == 0 ? 1 : (z.Batch + parts - 1) / parts; long weights = z.WeightSize;
        if (parts == 0) return;
        parts = (z.Batch + images - 1) / images;
        using var scratch = Scratch.Open();
        double* sums = dweight is null ? null : (double*)scratch.Take(2 * weights * parts);
        WideRows.For(z.Groups * parts, 1, new BackwardRows(z, x, weight, dy, dx, sums, parts, images), width);
        if (sums is null) return;
        for (long i = 0; i < weights; i++)
        {
            double sum = 0;
            for (int part = 0; part < parts; part++) sum += sums[part * weights + i];
            dweight[i] += (Real)sum;
        }
    }

    static int Up(int n, int to) => (n + to - 1) / to * to;

    static void Places(in ConvSize z, in Frame frame, nint* at)
    {
        for (int i = 0; i < z.KernelHeight; i++) for (int j = 0; j < z.KernelWidth; j++)
            at[i * z.KernelWidth + j] = j * z.DilationWidth % z.StrideWidth * frame.Size + (nint)i * z.DilationHeight * frame.Ld + j * z.DilationWidth / z.StrideWidth;
    }

    /// <summary>y = (or +=) part of a plane whose rows have whole registers.</summary>
    static void Copy<TLanes, V>(Real* from, nint ld, Real* to, int height, int width, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int h = 0; h < height; h++, from += ld, to += width)
            if (add) Panel.AddScaled<TLanes, V>(from, to, 1, width); else Frame.Line<TLanes, V>(from, to, width);
    }

    /// <summary>One task is some (image, group) pairs.</summary>
    readonly struct ForwardRows(ConvSize z, Real* x, Real* weight, Real* bias, Real* y, bool add) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open();
            int w = TLanes.Count, inputs = z.Inputs / z.Groups, outputs = z.Outputs / z.Groups, window = z.KernelHeight * z.KernelWidth, oh = z.OutHeight, ow = z.OutWidth, across = (ow + w - 1) / w;
            var frame = Frame.Input(z, w); Real* plane = Frame.Zeros(scratch.Take(inputs * frame.All), inputs * frame.All);
            // Rows that do not fill whole registers are made beside y.
            bool whole = ow % w == 0; Real* beside = whole ? null : scratch.Take((nint)oh * across * w);
            nint* at = (nint*)scratch.Take(2 * window); Places(z, frame, at);
            for (int task = from; task < to; task++)
            {
                int g = task % z.Groups;
                for (int c = 0; c < inputs; c++) frame.Fill<TLanes, V>(x + ((long)task * inputs + c) * z.Height * z.Width, z.Height, z.Width, plane + c * frame.All);
                for (int o = 0; o < outputs; o++)
                {
                    Real* there = y + ((long)task * outputs + o) * oh * ow, place = whole ? there : beside;
                    for (int c = 0; c < inputs; c++)
                    {
                        Real* k = weight + (((long)g * outputs + o) * inputs + c) * window, input = plane + c * frame.All; Real start = bias is null || c > 0 ? 0 : bias[g * outputs + o]; bool more = c > 0 || whole && add;
                        if (z.StrideHeight == 1 && z.StrideWidth == 1) PlaneLoops.Convolve<TLanes, V>(input, frame.Ld, k, z.KernelHeight, z.KernelWidth, z.DilationHeight, z.DilationWidth, place, whole ? ow : across * w, oh, across, start, more, at);
                        else for (int r = 0; r < oh; r++) PlaneLoops.Strip<TLanes, V>(input + (nint)r * z.StrideHeight * frame.Ld, at, k, window, place + (nint)r * (whole ? ow : across * w), across, start, more);
                    }
                    if (!whole) Copy<TLanes, V>(beside, across * w, there, oh, ow, add);
                }
            }
        }
    }

    /// <summary>One task is one (group, part of the images): what it adds to the weights, in sums [parts, weights], is nobody else's.</summary>
    readonly struct BackwardRows(ConvSize z, Real* x, Real* weight, Real* dy, Real* dx, double* sums, int parts, int images) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open();
            int w = TLanes.Count, inputs = z.Inputs / z.Groups, outputs = z.Outputs / z.Groups, kh = z.KernelHeight, kw = z.KernelWidth, window = kh * kw, oh = z.OutHeight, ow = z.OutWidth, across = (ow + w - 1) / w, into = (z.Width + w - 1) / w;
            bool plain = z.StrideHeight == 1 && z.StrideWidth == 1, whole = z.Width % w == 0;
            // dx is the convolution of dy, spread by the strides, with the kernel turned round, whose padding is what the other one's lacks.
            int above = z.DilationHeight * (kh - 1) - z.PadHeight, before = z.DilationWidth * (kw - 1) - z.PadWidth, top = Math.Max(above, (TapLoops.Down - 1) * z.DilationHeight), left = Up(Math.Max(before, 0), w);
            var gradient = new Frame(Up(Math.Max(left + Math.Max(across, 1) * w, left + z.PadWidth + into * w), w), top + Math.Max(oh + (TapLoops.Down - 1) * z.DilationHeight, z.Height + z.PadHeight), top, left);
            var spread = plain ? gradient : new Frame(Up(Math.Max(left + z.Width + z.PadWidth, left + z.PadWidth + into * w), w), top + z.Height + z.PadHeight, top, left);
            var input = Frame.Input(z, w); nint* at = (nint*)scratch.Take(2 * window), flat = (nint*)scratch.Take(2 * window); Places(z, input, at);
            for (int i = 0; i < kh; i++) for (int j = 0; j < kw; j++) flat[i * kw + j] = (nint)i * z.DilationHeight * spread.Ld + (nint)j * z.DilationWidth;
            Real* d = Frame.Zeros(scratch.Take(outputs * gradient.All), outputs * gradient.All), s = plain ? d : Frame.Zeros(scratch.Take(outputs * spread.All), outputs * spread.All);
            Real* plane = sums is null ? null : Frame.Zeros(scratch.Take(input.All), input.All), beside = whole ? null : scratch.Take((nint)z.Height * into * w), turned = scratch.Take(window);
            for (int task = from; task < to; task++)
            {
                int g = task / parts, part = task % parts; double* mine = sums is null ? null : sums + part * z.WeightSize + (long)g * outputs * inputs * window;
                if (mine is not null) new Span<double>(mine, outputs * inputs * window).Clear();
                for (int image = part * images; image < Math.Min(z.Batch, (part + 1) * images); image++)
                {
                    for (int o = 0; o < outputs; o++)
                    {
                        Real* dyo = dy + (((long)image * z.Groups + g) * outputs + o) * oh * ow;
                        if (plain || sums is not null) gradient.Fill<TLanes, V>(dyo, oh, ow, d + o * gradient.All);
                        if (!plain && dx is not null) spread.Spread(dyo, oh, ow, z.StrideHeight, z.StrideWidth, s + o * spread.All);
                    }
                    for (int c = 0; c < inputs; c++)
                    {
                        long channel = ((long)image * z.Groups + g) * inputs + c, place = channel * z.Height * z.Width;
                        if (sums is not null) input.Fill<TLanes, V>(x + place, z.Height, z.Width, plane);
                        for (int o = 0; o < outputs; o++)
                        {
                            if (sums is not null)
                            {
                                Real* dyo = d + o * gradient.All + top * gradient.Ld + left; double* sum = mine + (o * inputs + c) * window;
                                if (plain) TapLoops.Add<TLanes, V>(plane, input.Ld, dyo, gradient.Ld, oh, across, kh, kw, z.DilationHeight, z.DilationWidth, sum);
                                else TapLoops.AddAt<TLanes, V>(plane, input.Ld * z.StrideHeight, at, window, dyo, gradient.Ld, oh, across, sum);
                            }
                            if (dx is null) continue;
                            Real* k = weight + (((long)g * outputs + o) * inputs + c) * window;
                            for (int t = 0; t < window; t++) turned[t] = k[window - 1 - t];
                            PlaneLoops.Convolve<TLanes, V>(s + o * spread.All + (top - above) * spread.Ld + left - before, spread.Ld, turned, kh, kw, z.DilationHeight, z.DilationWidth, whole ? dx + place : beside, whole ? z.Width : into * w, z.Height, into, 0, whole || o > 0, flat);
                        }
                        if (dx is not null && !whole) Copy<TLanes, V>(beside, into * w, dx + place, z.Height, z.Width, true);
                    }
                }
            }
        }
    }
}
