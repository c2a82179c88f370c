namespace Fovea.Kernels;

/// <summary>Group norm of x [B,C,S]; a row is one (batch, group) of C/groups channels.</summary>
internal readonly unsafe struct GroupRows(Real* x, Real* gain, Real* bias, Real* y, Real* mean, Real* rstd, int groups, int channels, int spatial, Real eps) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int width = channels / groups; long size = (long)width * spatial;
        for (int r = from; r < to; r++)
        {
            Real* xr = x + r * size, yr = y + r * size;
            Real m = (Real)(Reduce.Sum<TLanes, V>(xr, size) / size), s = (Real)(1 / Math.Sqrt(Reduce.Spread<TLanes, V>(xr, m, size) / size + eps));
            mean[r] = m; rstd[r] = s;
            for (int c = 0; c < width; c++)
            {
                int channel = r % groups * width + c; Real a = gain is null ? s : gain[channel] * s, b = (bias is null ? 0 : bias[channel]);
                ChannelLoops.Affine<TLanes, V>(xr + (long)c * spatial, yr + (long)c * spatial, m, a, b, spatial);
            }
        }
    }
}

/// <summary>The adjoint of <see cref="GroupRows"/>; dgains and dbiases hold [B,C], what each batch contributes.</summary>
internal readonly unsafe struct GroupBackRows(Real* x, Real* gain, Real* mean, Real* rstd, Real* dy, Real* dx, Real* dgains, Real* dbiases, int groups, int channels, int spatial) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int width = channels / groups; long size = (long)width * spatial;
        for (int r = from; r < to; r++)
        {
            Real* xr = x + r * size, dyr = dy + r * size, dxr = dx + r * size; Real m = mean[r], s = rstd[r]; double sum = 0, dot = 0;
            for (int c = 0; c < width; c++)
            {
                long at = (long)c * spatial, channel = (long)r * width + c; int g = r % groups * width + c;
                double plain = Reduce.Sum<TLanes, V>(dyr + at, spatial), weighted = Reduce.DotAround<TLanes, V>(dyr + at, xr + at, m, spatial) * s;
                dbiases[channel] = (Real)plain; dgains[channel] = (Real)weighted;
                double a = gain is null ? 1 : gain[g];
                sum += a * plain; dot += a * weighted;
            }
            for (int c = 0; c < width; c++)
            {
                long at = (long)c * spatial;
                NormLoops.BackRun<TLanes, V>(xr + at, dyr + at, dxr + at, m, s, gain is null ? 1 : gain[r % groups * width + c], (Real)(sum / size), (Real)(dot / size), spatial);
            }
        }
    }
}

/// <summary>Batch norm of x [B,C,S]; a row is one channel over all batches. With given statistics mean and rstd are read, else written.</summary>
internal readonly unsafe struct BatchRows(Real* x, Real* gain, Real* bias, Real* y, Real* mean, Real* rstd, int batch, int channels, int spatial, Real eps, bool given) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        long step = (long)channels * spatial;
        for (int c = from; c < to; c++)
        {
            Real* xc = x + (long)c * spatial, yc = y + (long)c * spatial;
            if (!given)
            {
                double sum = 0, spread = 0, count = (double)batch * spatial;
                for (int b = 0; b < batch; b++) sum += Reduce.Sum<TLanes, V>(xc + b * step, spatial);
                mean[c] = (Real)(sum / count);
                for (int b = 0; b < batch; b++) spread += Reduce.Spread<TLanes, V>(xc + b * step, mean[c], spatial);
                rstd[c] = (Real)(1 / Math.Sqrt(spread / count + eps));
            }
            Real a = gain is null ? rstd[c] : gain[c] * rstd[c], shift = bias is null ? 0 : bias[c];
            for (int b = 0; b < batch; b++) ChannelLoops.Affine<TLanes, V>(xc + b * step, yc + b * step, mean[c], a, shift, spatial);
        }
    }
}

/// <summary>The adjoint of <see cref="BatchRows"/>; dgain and dbias may be null.</summary>
internal readonly unsafe struct BatchBackRows(Real* x, Real* gain, Real* mean, Real* rstd, Real* dy, Real* dx, Real* dgain, Real* dbias, int batch, int channels, int spatial, bool given) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        long step = (long)channels * spatial;
        for (int c = from; c < to; c++)
        {
            long at = (long)c * spatial; Real m = mean[c], s = rstd[c], a = gain is null ? 1 : gain[c]; double plain = 0, weighted = 0, count = (double)batch * spatial;
            for (int b = 0; b < batch; b++)
            {
                plain += Reduce.Sum<TLanes, V>(dy + at + b * step, spatial);
                weighted += Reduce.DotAround<TLanes, V>(dy + at + b * step, x + at + b * step, m, spatial) * s;
            }
            if (dgain is not null) dgain[c] += (Real)weighted;
            if (dbias is not null) dbias[c] += (Real)plain;
            Real shift = given ? 0 : (Real)(a * plain / count), slope = given ? 0 : (Real)(a * weighted / count);
            for (int b = 0; b < batch; b++) NormLoops.BackRun<TLanes, V>(x + at + b * step, dy + at + b * step, dx + at + b * step, m, s, a, shift, slope, spatial);
        }
    }
}

internal static unsafe class ChannelLoops
{
    /// <summary>y = (x − mean)·a + b.</summary>
    public static void Affine<TLanes, V>(Real* x, Real* y, Real mean, Real a, Real b, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int i = Part<TLanes, V>(x, y, mean, a, b, 0, n);
        if (i < n) Part<Lanes1, Real>(x, y, mean, a, b, i, n);
    }
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveOptimization)]
    static int Part<TLanes, V>(Real* x, Real* y, Real mean, Real a, Real b, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V m = TLanes.Set(mean), s = TLanes.Set(a), t = TLanes.Set(b);
        for (; i <= n - w; i += w) TLanes.Store(y + i, TLanes.Fma(TLanes.Sub(TLanes.Load(x + i), m), s, t));
        return i;
    }
}
