namespace Fovea.Kernels;

/// <summary>Layer norm, or RMS norm if mean is null.</summary>
internal readonly unsafe struct NormRows(Real* x, Real* gain, Real* bias, Real* y, Real* mean, Real* rstd, int cols, Real eps, bool stream) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); Real* row = stream ? scratch.Take(cols) : null;
        for (long r = from; r < to; r++)
        {
            Real* xr = x + r * cols, yr = stream ? row : y + r * cols;
            Real m = mean is null ? 0 : (Real)(Reduce.Sum<TLanes, V>(xr, cols) / cols), s = (Real)(1 / Math.Sqrt(Reduce.Spread<TLanes, V>(xr, m, cols) / cols + eps));
            if (mean is not null) mean[r] = m;
            rstd[r] = s;
            int i = NormLoops.Affine<TLanes, V>(xr, gain, bias, yr, m, s, 0, cols);
            if (i < cols) NormLoops.Affine<Lanes1, Real>(xr, gain, bias, yr, m, s, i, cols);
            if (stream) Streams.Copy<TLanes, V>(row, y + r * cols, cols);
        }
        if (stream) Streams.End();
    }
}

/// <summary>The adjoint of <see cref="NormRows"/>; dgains and dbiases hold one partial sum [cols] for each block of rows, or are null.</summary>
internal readonly unsafe struct NormBackRows(Real* x, Real* gain, Real* mean, Real* rstd, Real* dy, Real* dx, Real* dgains, Real* dbiases, int cols, int block) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        long part = (long)(from / block) * cols; Real* dgain = dgains is null ? null : dgains + part, dbias = dbiases is null ? null : dbiases + part;
        for (long r = from; r < to; r++)
        {
            Real* xr = x + r * cols, dyr = dy + r * cols, dxr = dx + r * cols; Real m = mean is null ? 0 : mean[r], s = rstd[r];
            double sum = 0, dot = 0;
            int i = NormLoops.Sums<TLanes, V>(xr, gain, dyr, dgain, dbias, m, s, 0, cols, ref sum, ref dot);
            if (i < cols) NormLoops.Sums<Lanes1, Real>(xr, gain, dyr, dgain, dbias, m, s, i, cols, ref sum, ref dot);
            Real shift = mean is null ? 0 : (Real)(sum / cols), slope = (Real)(dot / cols);
            i = NormLoops.Back<TLanes, V>(xr, gain, dyr, dxr, m, s, shift, slope, 0, cols);
            if (i < cols) NormLoops.Back<Lanes1, Real>(xr, gain, dyr, dxr, m, s, shift, slope, i, cols);
        }
    }
}

/// <summary>y = x / max(‖x‖, eps).</summary>
internal readonly unsafe struct L2Rows(Real* x, Real* y, Real* norm, int cols, Real eps) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (long r = from; r < to; r++)
        {
            Real* xr = x + r * cols, yr = y + r * cols;
            // A sum of squares that overflows or sinks below what the type resolves is taken again at a scale where it does not.
            double squares = Reduce.Dot<TLanes, V>(xr, xr, cols);
            double length = squares is > 1e-30 and < double.PositiveInfinity ? Math.Sqrt(squares) : Length(xr);
            norm[r] = (Real)length;
            Real s = (Real)(1 / Math.Max(length, eps));
            if (double.IsNaN(length)) s = Real.NaN;
            int i = NormLoops.Line<TLanes, V>(xr, yr, s, 0, false, 0, cols);
            if (i < cols) NormLoops.Line<Lanes1, Real>(xr, yr, s, 0, false, i, cols);
        }
    }
    double Length(Real* x)
    {
        double sum = 0;
        for (int i = 0; i < cols; i++) sum += (double)x[i] * x[i];
        return Math.Sqrt(sum);
    }
}

/// <summary>The adjoint of <see cref="L2Rows"/>: dx += (dy − y (y·dy))/‖x‖, or dy/eps where eps was the divisor.</summary>
internal readonly unsafe struct L2BackRows(Real* y, Real* norm, Real* dy, Real* dx, int cols, Real eps) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (long r = from; r < to; r++)
        {
            Real* yr = y + r * cols, dyr = dy + r * cols, dxr = dx + r * cols;
            bool free = norm[r] > eps; Real s = 1 / (free ? norm[r] : eps), dot = free ? (Real)Reduce.Dot<TLanes, V>(yr, dyr, cols) : 0;
            // dy·s − y·(dot·s) has the form of the layer norm's adjoint with x = y, mean 0 and n̂ = y·s.
            NormLoops.BackRun<TLanes, V>(yr, dyr, dxr, 0, s, 1, 0, dot / s, cols);
        }
    }
}
