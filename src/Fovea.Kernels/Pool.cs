namespace Fovea.Kernels;

/// <summary>Windows over planes of H × W numbers; Planes = batch × channels. Padding counts as absent: it is never the maximum and not part of a mean.</summary>
public readonly record struct PoolSize(int Planes, int Height, int Width, int KernelHeight, int KernelWidth, int StrideHeight, int StrideWidth, int PadHeight = 0, int PadWidth = 0)
{
    public int OutHeight => (Height + 2 * PadHeight - KernelHeight) / StrideHeight + 1;
    public int OutWidth => (Width + 2 * PadWidth - KernelWidth) / StrideWidth + 1;
    /// <summary>Throws unless every window sees at least one number.</summary>
    public void Check()
    {
        if (Planes < 0 || Height < 1 || Width < 1 || KernelHeight < 1 || KernelWidth < 1 || StrideHeight < 1 || StrideWidth < 1) throw new ArgumentException($"{this}: sizes and strides must be positive");
        if (PadHeight < 0 || PadWidth < 0 || 2 * PadHeight > KernelHeight || 2 * PadWidth > KernelWidth) throw new ArgumentException($"{this}: padding must be at most half of the kernel");
        if (Height + 2 * PadHeight < KernelHeight || Width + 2 * PadWidth < KernelWidth) throw new ArgumentException($"{this}: the kernel is larger than the padded input");
    }
    internal long InputSize => (long)Planes * Height * Width;
    internal long OutputSize => (long)Planes * OutHeight * OutWidth;
}

/// <summary>Maximum and mean over windows of x [Planes,H,W] → y [Planes,OutHeight,OutWidth]. One task is one plane.</summary>
public static unsafe class Pool
{
    /// <summary>y = the largest of each window and argmax its place h·W + w in the plane, the first if several; a NaN wins.</summary>
    public static void Max(in PoolSize z, ReadOnlySpan<Real> x, Span<Real> y, Span<int> argmax)
    {
        z.Check(); Guard.Holds(x, z.InputSize); Guard.Holds(y, z.OutputSize); Guard.Holds(argmax, z.OutputSize);
        fixed (Real* px = x, py = y) fixed (int* pa = argmax) Threads.For(z.Planes, WideRows.Grain(z.Height * z.Width), new MaxRows(z, px, py, pa));
    }

    /// <summary>dx[argmax] += dy.</summary>
    public static void MaxBackward(in PoolSize z, ReadOnlySpan<int> argmax, ReadOnlySpan<Real> dy, Span<Real> dx)
    {
        z.Check(); Guard.Holds(argmax, z.OutputSize); Guard.Holds(dy, z.OutputSize); Guard.Holds(dx, z.InputSize);
        int input = z.Height * z.Width, output = z.OutHeight * z.OutWidth;
        for (int p = 0; p < z.Planes; p++)
        {
            var plane = dx.Slice(p * input, input);
            for (int i = p * output; i < (p + 1) * output; i++) plane[argmax[i]] += dy[i];
        }
    }

    /// <summary>y = the mean of what each window sees.</summary>
    public static void Average(in PoolSize z, ReadOnlySpan<Real> x, Span<Real> y)
    {
        z.Check(); Guard.Holds(x, z.InputSize); Guard.Holds(y, z.OutputSize);
        fixed (Real* px = x, py = y) Threads.For(z.Planes, WideRows.Grain(z.Height * z.Width), new MeanRows(new Windows(z), z.Height, z.Width, z.OutHeight, z.OutWidth, px, py, false));
    }

    /// <summary>dx += dy / (numbers in the window) over each window.</summary>
    public static void AverageBackward(in PoolSize z, ReadOnlySpan<Real> dy, Span<Real> dx)
    {
        z.Check(); Guard.Holds(dy, z.OutputSize); Guard.Holds(dx, z.InputSize);
        fixed (Real* pdy = dy, pdx = dx) Threads.For(z.Planes, WideRows.Grain(z.Height * z.Width), new MeanRows(new Windows(z), z.Height, z.Width, z.OutHeight, z.OutWidth, pdx, pdy, true));
    }

    /// <summary>x [planes,H,W] → y [planes,outHeight,outWidth]; window i of a side of n in m windows is [⌊i n/m⌋, ⌈(i+1) n/m⌉).</summary>
    public static void AdaptiveAverage(ReadOnlySpan<Real> x, Span<Real> y, int planes, int height, int width, int outHeight, int outWidth)
    {
        Guard.AtLeast(height, 1); Guard.AtLeast(width, 1); Guard.AtLeast(outHeight, 1); Guard.AtLeast(outWidth, 1);
        Guard.Holds(x, (long)planes * height * width); Guard.Holds(y, (long)planes * outHeight * outWidth);
        fixed (Real* px = x, py = y) Threads.For(planes, WideRows.Grain(height * width), new MeanRows(default, height, width, outHeight, outWidth, px, py, false));
    }

    /// <summary>The adjoint of <see cref="AdaptiveAverage"/>: adds into dx.</summary>
    public static void AdaptiveAverageBackward(ReadOnlySpan<Real> dy, Span<Real> dx, int planes, int height, int width, int outHeight, int outWidth)
    {
        Guard.AtLeast(height, 1); Guard.AtLeast(width, 1); Guard.AtLeast(outHeight, 1); Guard.AtLeast(outWidth, 1);
        Guard.Holds(dx, (long)planes * height * width); Guard.Holds(dy, (long)planes * outHeight * outWidth);
        fixed (Real* pdy = dy, pdx = dx) Threads.For(planes, WideRows.Grain(height * width), new MeanRows(default, height, width, outHeight, outWidth, pdx, pdy, true));
    }

    /// <summary>Where a window begins and ends; of default size the windows are adaptive.</summary>
    readonly struct Windows(PoolSize z)
    {
        public (int, int) Rows(int i, int height, int outHeight) => Side(i, height, outHeight, z.KernelHeight, z.StrideHeight, z.PadHeight);
        public (int, int) Columns(int i, int width, int outWidth) => Side(i, width, outWidth, z.KernelWidth, z.StrideWidth, z.PadWidth);
        static (int, int) Side(int i, int n, int m, int kernel, int stride, int pad) => kernel == 0
            ? ((int)((long)i * n / m), (int)(((long)(i + 1) * n + m - 1) / m))
            : (Math.Max(0, i * stride - pad), Math.Min(n, i * stride - pad + kernel));
    }

    readonly struct MaxRows(PoolSize z, Real* x, Real* y, int* argmax) : IRows
    {
        public void Run(int from, int to)
        {
            var windows = new Windows(z);
            for (int p = from; p < to; p++) for (int i = 0; i < z.OutHeight; i++) for (int j = 0; j < z.OutWidth; j++)
            {
                var (h0, h1) = windows.Rows(i, z.Height, z.OutHeight); var (w0, w1) = windows.Columns(j, z.Width, z.OutWidth);
                Real* plane = x + (long)p * z.Height * z.Width; int best = h0 * z.Width + w0;
                for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++)
                {
                    Real v = plane[h * z.Width + w];
                    if (v > plane[best] || Real.IsNaN(v) && !Real.IsNaN(plane[best])) best = h * z.Width + w;
                }
                long at = ((long)p * z.OutHeight + i) * z.OutWidth + j;
                y[at] = plane[best]; argmax[at] = best;
            }
        }
    }

    /// <summary>Means of windows of x into y, or back: y/(numbers in the window) is added into x.</summary>
    readonly struct MeanRows(Windows windows, int height, int width, int outHeight, int outWidth, Real* x, Real* y, bool back) : IRows
    {
        public void Run(int from, int to)
        {
            for (int p = from; p < to; p++) for (int i = 0; i < outHeight; i++) for (int j = 0; j < outWidth; j++)
            {
                var (h0, h1) = windows.Rows(i, height, outHeight); var (w0, w1) = windows.Columns(j, width, outWidth);
                Real* plane = x + (long)p * height * width, at = y + ((long)p * outHeight + i) * outWidth + j; Real share = (Real)1 / ((h1 - h0) * (w1 - w0)), sum = 0;
                for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++)
                    if (back) plane[h * width + w] += share * *at; else sum += plane[h * width + w];
                if (!back) *at = share * sum;
            }
        }
    }
}
