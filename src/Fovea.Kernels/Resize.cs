namespace Fovea.Kernels;

/// <summary>Bilinear resampling of planes [planes,H,W] → [planes,outHeight,outWidth]; pixel centres lie at halves (align_corners false), the edge is repeated, nothing is smoothed when shrinking.</summary>
public static unsafe class Resize
{
    public static void Bilinear(ReadOnlySpan<Real> x, Span<Real> y, int planes, int height, int width, int outHeight, int outWidth) { fixed (Real* px = x, py = y) Run(px, py, x.Length, y.Length, planes, height, width, outHeight, outWidth, false); }

    /// <summary>The adjoint of <see cref="Bilinear"/>: adds into dx.</summary>
    public static void BilinearBackward(ReadOnlySpan<Real> dy, Span<Real> dx, int planes, int height, int width, int outHeight, int outWidth) { fixed (Real* px = dx, py = dy) Run(px, py, dx.Length, dy.Length, planes, height, width, outHeight, outWidth, true); }

    static void Run(Real* x, Real* y, int held, int heldOut, int planes, int height, int width, int outHeight, int outWidth, bool back)
    {
        Guard.AtLeast(height, 1); Guard.AtLeast(width, 1); Guard.AtLeast(outHeight, 1); Guard.AtLeast(outWidth, 1);
        if (held < (long)planes * height * width || heldOut < (long)planes * outHeight * outWidth) throw new ArgumentException($"the spans hold {held} and {heldOut} numbers, need {(long)planes * height * width} and {(long)planes * outHeight * outWidth}");
        using var scratch = Scratch.Open(); int* low = scratch.TakeInts(outWidth); Real* share = scratch.Take(outWidth);
        for (int j = 0; j < outWidth; j++) (low[j], share[j]) = Place(j, width, outWidth);
        Threads.For(planes, WideRows.Grain(outHeight * outWidth), new PlaneRows(x, y, low, share, height, width, outHeight, outWidth, back));
    }

    /// <summary>The lower neighbour of output pixel i, and the weight of the one after it.</summary>
    static (int Low, Real Share) Place(int i, int n, int m)
    {
        double at = Math.Max(0, (i + 0.5) * n / m - 0.5); int low = Math.Min((int)at, n - 1);
        return (low, low == n - 1 ? 0 : (Real)(at - low));
    }

    readonly struct PlaneRows(Real* x, Real* y, int* low, Real* share, int height, int width, int outHeight, int outWidth, bool back) : IRows
    {
        public void Run(int from, int to)
        {
            for (int p = from; p < to; p++) for (int i = 0; i < outHeight; i++)
            {
                var (h, b) = Place(i, height, outHeight); Real a = 1 - b;
                Real* top = x + ((long)p * height + h) * width, bottom = h + 1 < height ? top + width : top, row = y + ((long)p * outHeight + i) * outWidth;
                for (int j = 0; j < outWidth; j++)
                {
                    int l = low[j], r = Math.Min(l + 1, width - 1); Real d = share[j], c = 1 - d;
                    if (!back) { row[j] = a * (c * top[l] + d * top[r]) + b * (c * bottom[l] + d * bottom[r]); continue; }
                    top[l] += a * c * row[j]; top[r] += a * d * row[j]; bottom[l] += b * c * row[j]; bottom[r] += b * d * row[j];
                }
            }
        }
    }
}
