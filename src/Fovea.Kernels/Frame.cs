using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Where the numbers of a plane go: number (h, c) to Start[h·Ld + c], or with a stride to the plane of its column's remainder.</summary>
readonly unsafe struct Frame(int ld, int rows, int top, int left, int stride = 1)
{
    public nint Ld => ld;
    public nint Size => (nint)rows * ld;
    public nint All => Size * stride;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<TLanes, V>(Real* from, int height, int width, Real* to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int h = 0; h < height; h++, from += width)
        {
            Real* line = to + (nint)(top + h) * ld;
            if (stride > 1)
            {
                for (int c = 0, phase = left % stride, at = left / stride; c < width; c++)
                {
                    line[phase * Size + at] = from[c];
                    if (++phase == stride) { phase = 0; at++; }
                }
                continue;
            }
            line += left;
            Line<TLanes, V>(from, line, width);
        }
    }
    /// <summary>to = from, n numbers; the last register overlaps the one before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line<TLanes, V>(Real* from, Real* to, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0;
        for (; i <= n - w; i += w) TLanes.Store(to + i, TLanes.Load(from + i));
        if (i == n) return;
        if (n >= w) TLanes.Store(to + n - w, TLanes.Load(from + n - w));
        else for (; i < n; i++) to[i] = from[i];
    }

    /// <summary>Spreads a plane: number (h, c) goes to (h·down, c·right), with zeros between.</summary>
    public void Spread(Real* from, int height, int width, int down, int right, Real* to)
    {
        for (int h = 0; h < height; h++)
            for (int c = 0; c < width; c++) to[(nint)(top + h * down) * ld + left + (nint)c * right] = from[(nint)h * width + c];
    }

    /// <summary>Rows [first, last) of the plane, as far as it has them, to the frame from its first row on.</summary>
    public void Band<TLanes, V>(Real* from, int height, int width, int first, int last, Real* to) where TLanes : struct, ILanes<V> where V : struct
    {
        int inside = Math.Clamp(first, 0, height), end = Math.Clamp(last, inside, height), cut = Math.Max(0, -left);
        for (int h = inside; h < end; h++) new Frame(ld, rows, h - first, Math.Max(left, 0), stride).Fill<TLanes, V>(from + (nint)h * width + cut, 1, width - cut, to);
    }

    /// <summary>The frame of x: zeros as the padding says, and as many behind as whole registers of outputs read.</summary>
    public static Frame Input(in ConvSize z, int w)
    {
        int across = Up(z.OutWidth, w), columns = Math.Max((z.PadWidth + z.Width + z.StrideWidth - 1) / z.StrideWidth, across + (z.DilationWidth * (z.KernelWidth - 1) + z.StrideWidth - 1) / z.StrideWidth);
        return new(Up(columns, w), Math.Max(z.PadHeight + z.Height, (z.OutHeight - 1) * z.StrideHeight + z.DilationHeight * (z.KernelHeight - 1) + 1), z.PadHeight, z.PadWidth, z.StrideWidth);
    }
    public static Real* Zeros(Real* p, nint n) { for (nint i = 0; i < n; i += 1 << 20) new Span<Real>(p + i, (int)Math.Min(1 << 20, n - i)).Clear(); return p; }
    static int Up(int n, int to) => (n + to - 1) / to * to;
}
