using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>The short causal convolution of sequence models, channels last: y[b,t,c] = bias[c] + Σ_j weight[c,j] · x[b, t − K + 1 + j, c].</summary>
public static unsafe class CausalConv
{
    /// <summary>
    /// x, y [B,N,C], weight [C,K], bias [C] or empty. state [B,K−1,C] holds the last inputs before x, oldest first, and becomes the last ones of x;
    /// empty means zeros before and nothing kept. y must not be x.
    /// </summary>
    public static void Forward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> bias, Span<Real> y, Span<Real> state, int batch, int length, int channels, int kernel) => Forward(x, weight, bias, y, state, batch, length, channels, kernel, Width.Widest);

    internal static void Forward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> bias, Span<Real> y, Span<Real> state, int batch, int length, int channels, int kernel, Width width)
    {
        long size = (long)batch * length * channels; int kept = kernel - 1;
        Guard.AtLeast(kernel, 1); Guard.Holds(x, size); Guard.Holds(y, size); Guard.Holds(weight, (long)channels * kernel);
        if (!bias.IsEmpty) Guard.Holds(bias, channels);
        if (!state.IsEmpty) Guard.Holds(state, (long)batch * kept * channels);
        if (size == 0) return;
        using var scratch = Scratch.Open(); Real* taps = scratch.Take((long)kernel * channels), zeros = scratch.Take(channels);
        new Span<Real>(zeros, channels).Clear();
        fixed (Real* px = x, pw = weight, pb = bias, py = y, ps = state)
        {
            Panel.Transpose(pw, channels, kernel, taps, channels);
            WideRows.For(batch * length, WideRows.Grain(channels * kernel), new CausalRows(px, taps, pb, py, ps, zeros, length, channels, kernel), width);
        }
        for (int b = 0; b < batch && !state.IsEmpty; b++)
        {
            var s = state.Slice(b * kept * channels, kept * channels); int fresh = Math.Min(kept, length), old = kept - fresh;
            s[(fresh * channels)..].CopyTo(s);
            x.Slice((b * length + length - fresh) * channels, fresh * channels).CopyTo(s[(old * channels)..]);
        }
        Work.Add(size * kernel);
    }

    /// <summary>For a forward without state: adds into dx [B,N,C], dweight [C,K] and dbias [C], each of which may be empty.</summary>
    public static void Backward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dweight, Span<Real> dbias, int batch, int length, int channels, int kernel) => Backward(x, weight, dy, dx, dweight, dbias, batch, length, channels, kernel, Width.Widest);

    internal static void Backward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dweight, Span<Real> dbias, int batch, int length, int channels, int kernel, Width width)
    {
        long size = (long)batch * length * channels; int rows = batch * length;
        Guard.AtLeast(kernel, 1); Guard.Holds(x, size); Guard.Holds(dy, size); Guard.Holds(weight, (long)channels * kernel);
        if (!dx.IsEmpty) Guard.Holds(dx, size);
        if (!dweight.IsEmpty) Guard.Holds(dweight, (long)channels * kernel);
        if (!dbias.IsEmpty) Guard.Holds(dbias, channels);
        if (size == 0) return;
        using var scratch = Scratch.Open();
        int block = WideRows.Block(rows, channels * kernel), blocks = (rows + block - 1) / block, area = channels * kernel;
        Real* taps = scratch.Take(area), sum = scratch.Take(area), partial = dweight.IsEmpty ? null : scratch.Take((long)blocks * area);
        fixed (Real* px = x, pw = weight, pdy = dy, pdx = dx)
        {
            Panel.Transpose(pw, channels, kernel, taps, channels);
            WideRows.For(rows, block, new CausalBackRows(px, taps, pdy, pdx, partial, length, channels, kernel, block), width);
        }
        if (partial is not null)
        {
            new Span<Real>(sum, area).Clear(); Columns.Fold(partial, blocks, area, sum);
            for (int c = 0; c < channels; c++) for (int j = 0; j < kernel; j++) dweight[c * kernel + j] += sum[j * channels + c];
        }
        if (!dbias.IsEmpty) Columns.Sum(dy[..(int)size], default, dbias[..channels], width);
        Work.Add(2 * size * kernel);
    }
}

/// <summary>Rows (b,t) of the output; taps [K,C].</summary>
internal readonly unsafe struct CausalRows(Real* x, Real* taps, Real* bias, Real* y, Real* state, Real* zeros, int length, int channels, int kernel) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        Real** rows = stackalloc Real*[kernel];
        for (int r = from; r < to; r++)
        {
            int b = r / length, t = r % length;
            for (int j = 0; j < kernel; j++)
            {
                int at = t - kernel + 1 + j;
                rows[j] = at >= 0 ? x + ((long)b * length + at) * channels : state is null ? zeros : state + ((long)b * (kernel - 1) + at + kernel - 1) * channels;
            }
            int c = Part<TLanes, V>(rows, y + (long)r * channels, 0);
            if (c < channels) Part<Lanes1, Real>(rows, y + (long)r * channels, c);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    int Part<TLanes, V>(Real** rows, Real* to, int c) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (; c <= channels - w; c += w)
        {
            V sum = bias is null ? TLanes.Set(0) : TLanes.Load(bias + c);
            for (int j = 0; j < kernel; j++) sum = TLanes.Fma(TLanes.Load(taps + (long)j * channels + c), TLanes.Load(rows[j] + c), sum);
            TLanes.Store(to + c, sum);
        }
        return c;
    }
}

/// <summary>Rows (b,t) of the input: dx[t] += Σ_j taps[j]·dy[t + K − 1 − j]; partial [block][K,C] gets Σ_t dy[t]·x[t − K + 1 + j]. dx and partial may be null.</summary>
internal readonly unsafe struct CausalBackRows(Real* x, Real* taps, Real* dy, Real* dx, Real* partial, int length, int channels, int kernel, int block) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        Real* sum = partial is null ? null : partial + (long)(from / block) * kernel * channels;
        if (sum is not null) new Span<Real>(sum, kernel * channels).Clear();
        for (int r = from; r < to; r++)
        {
            int t = r % length;
            for (int j = 0; j < kernel; j++)
            {
                int back = kernel - 1 - j;
                if (dx is not null && t + back < length) Add<TLanes, V>(taps + (long)j * channels, dy + (long)(r + back) * channels, dx + (long)r * channels);
                if (sum is not null && t - back >= 0) Add<TLanes, V>(x + (long)(r - back) * channels, dy + (long)r * channels, sum + (long)j * channels);
            }
        }
    }

    void Add<TLanes, V>(Real* a, Real* b, Real* y) where TLanes : struct, ILanes<V> where V : struct
    {
        int c = Part<TLanes, V>(a, b, y, 0);
        if (c < channels) Part<Lanes1, Real>(a, b, y, c);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    int Part<TLanes, V>(Real* a, Real* b, Real* y, int c) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (; c <= channels - w; c += w) TLanes.Store(y + c, TLanes.Fma(TLanes.Load(a + c), TLanes.Load(b + c), TLanes.Load(y + c)));
        return c;
    }
}
