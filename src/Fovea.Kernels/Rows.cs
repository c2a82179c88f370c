namespace Fovea.Kernels;

/// <summary>
/// Functions of whole rows of x [rows, cols], in tasks of fixed size. A forward overwrites, a backward adds into gradients. −∞ means masked. Gradients of
/// parameters are summed over fixed blocks of rows, so no result depends on the number of threads.
/// </summary>
public static unsafe class Rows
{
    /// <summary>y = e^(x − max)/Σ e^(x − max); a row of −∞ gives zeros. y may be x.</summary>
    public static void Softmax(ReadOnlySpan<Real> x, Span<Real> y, int rows, int cols)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(y, (long)rows * cols);
        fixed (Real* px = x, py = y) WideRows.For(rows, WideRows.Grain(cols), new SoftmaxRows(px, py, cols, px != py && Streams.Pays((long)rows * cols)));
    }

    /// <summary>dx += y (dy − Σ y dy).</summary>
    public static void SoftmaxBackward(ReadOnlySpan<Real> y, ReadOnlySpan<Real> dy, Span<Real> dx, int rows, int cols)
    {
        Guard.Holds(y, (long)rows * cols); Guard.Holds(dy, (long)rows * cols); Guard.Holds(dx, (long)rows * cols);
        fixed (Real* py = y, pdy = dy, pdx = dx) WideRows.For(rows, WideRows.Grain(cols), new SoftmaxBackRows(py, pdy, pdx, cols));
    }

    /// <summary>y[r] = log Σ e^x of row r; −∞ for a row of −∞.</summary>
    public static void LogSumExp(ReadOnlySpan<Real> x, Span<Real> y, int rows, int cols)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(y, rows);
        fixed (Real* px = x, py = y) WideRows.For(rows, WideRows.Grain(cols), new LogSumExpRows(px, py, cols));
    }

    /// <summary>y = (x − mean)·rstd·gain + bias with rstd = 1/√(variance + eps); gain and bias [cols] may be empty; mean and rstd [rows] are overwritten (1607.06450, Eq. 4).</summary>
    public static void LayerNorm(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> bias, Span<Real> y, Span<Real> mean, Span<Real> rstd, int rows, int cols, Real eps)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(y, (long)rows * cols); Guard.Holds(mean, rows); Guard.Holds(rstd, rows);
        if (!gain.IsEmpty) Guard.Holds(gain, cols);
        if (!bias.IsEmpty) Guard.Holds(bias, cols);
        fixed (Real* px = x, pg = gain, pb = bias, py = y, pm = mean, ps = rstd) WideRows.For(rows, WideRows.Grain(cols), new NormRows(px, pg, pb, py, pm, ps, cols, eps, Streams.Pays((long)rows * cols)));
    }

    /// <summary>Adds into dx [rows, cols] and, unless empty, into dgain and dbias [cols].</summary>
    public static void LayerNormBackward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> mean, ReadOnlySpan<Real> rstd, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dgain, Span<Real> dbias, int rows, int cols)
    {
        Guard.Holds(mean, rows);
        NormBackward(x, gain, mean, rstd, dy, dx, dgain, dbias, rows, cols);
    }

    /// <summary>y = x·rstd·gain with rstd = 1/√(Σ x²/cols + eps); gain [cols] may be empty; rstd [rows] is overwritten (1910.07467, Eq. 4).</summary>
    public static void RmsNorm(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, Span<Real> y, Span<Real> rstd, int rows, int cols, Real eps)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(y, (long)rows * cols); Guard.Holds(rstd, rows);
        if (!gain.IsEmpty) Guard.Holds(gain, cols);
        fixed (Real* px = x, pg = gain, py = y, ps = rstd) WideRows.For(rows, WideRows.Grain(cols), new NormRows(px, pg, null, py, null, ps, cols, eps, Streams.Pays((long)rows * cols)));
    }

    /// <summary>Adds into dx [rows, cols] and, unless empty, into dgain [cols].</summary>
    public static void RmsNormBackward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> rstd, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dgain, int rows, int cols)
        => NormBackward(x, gain, default, rstd, dy, dx, dgain, default, rows, cols);

    static void NormBackward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> mean, ReadOnlySpan<Real> rstd, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dgain, Span<Real> dbias, int rows, int cols)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(dy, (long)rows * cols); Guard.Holds(dx, (long)rows * cols); Guard.Holds(rstd, rows);
        if (!gain.IsEmpty) Guard.Holds(gain, cols);
        if (!dgain.IsEmpty) Guard.Holds(dgain, cols);
        if (!dbias.IsEmpty) Guard.Holds(dbias, cols);
        if (rows == 0) return;
        int block = WideRows.Block(rows, cols), blocks = (rows + block - 1) / block;
        using var scratch = Scratch.Open();
        Real* dgains = dgain.IsEmpty ? null : Zeros(scratch.Take((long)blocks * cols), blocks * cols), dbiases = dbias.IsEmpty ? null : Zeros(scratch.Take((long)blocks * cols), blocks * cols);
        fixed (Real* px = x, pg = gain, pm = mean, ps = rstd, pdy = dy, pdx = dx, pdg = dgain, pdb = dbias)
        {
            WideRows.For(rows, block, new NormBackRows(px, pg, pm, ps, pdy, pdx, dgains, dbiases, cols, block));
            if (dgains is not null) Columns.Fold(dgains, blocks, cols, pdg);
            if (dbiases is not null) Columns.Fold(dbiases, blocks, cols, pdb);
        }
    }
    static Real* Zeros(Real* p, int n) { new Span<Real>(p, n).Clear(); return p; }

    /// <summary>x [B,C,S] is normalised over each group of C/groups channels of each batch, then y = x̂·gain[c] + bias[c]; gain and bias may be empty; mean and rstd [B,groups] are overwritten (1803.08494, §3).</summary>
    public static void GroupNorm(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> bias, Span<Real> y, Span<Real> mean, Span<Real> rstd, int batch, int channels, int spatial, int groups, Real eps)
    {
        Channels(x, gain, batch, channels, spatial, groups); Guard.Holds(y, (long)batch * channels * spatial); Guard.Holds(mean, (long)batch * groups); Guard.Holds(rstd, (long)batch * groups);
        if (!bias.IsEmpty) Guard.Holds(bias, channels);
        fixed (Real* px = x, pg = gain, pb = bias, py = y, pm = mean, ps = rstd)
            WideRows.For(batch * groups, WideRows.Grain(channels / groups * spatial), new GroupRows(px, pg, pb, py, pm, ps, groups, channels, spatial, eps));
    }

    /// <summary>Adds into dx [B,C,S] and, unless empty, into dgain and dbias [C].</summary>
    public static void GroupNormBackward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> mean, ReadOnlySpan<Real> rstd, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dgain, Span<Real> dbias, int batch, int channels, int spatial, int groups)
    {
        Channels(x, gain, batch, channels, spatial, groups); Guard.Holds(dy, (long)batch * channels * spatial); Guard.Holds(dx, (long)batch * channels * spatial); Guard.Holds(mean, (long)batch * groups); Guard.Holds(rstd, (long)batch * groups);
        if (!dgain.IsEmpty) Guard.Holds(dgain, channels);
        if (!dbias.IsEmpty) Guard.Holds(dbias, channels);
        using var scratch = Scratch.Open();
        Real* dgains = scratch.Take((long)batch * channels), dbiases = scratch.Take((long)batch * channels);
        fixed (Real* px = x, pg = gain, pm = mean, ps = rstd, pdy = dy, pdx = dx, pdg = dgain, pdb = dbias)
        {
            WideRows.For(batch * groups, WideRows.Grain(channels / groups * spatial), new GroupBackRows(px, pg, pm, ps, pdy, pdx, dgains, dbiases, groups, channels, spatial));
            if (!dgain.IsEmpty) Columns.Fold(dgains, batch, channels, pdg);
            if (!dbias.IsEmpty) Columns.Fold(dbiases, batch, channels, pdb);
        }
    }

    /// <summary>x [B,C,S] is normalised per channel over B and S, then y = x̂·gain[c] + bias[c]; gain and bias may be empty; mean and rstd [C] are overwritten; the variance divides by B·S (1502.03167, Alg. 1).</summary>
    public static void BatchNorm(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> bias, Span<Real> y, Span<Real> mean, Span<Real> rstd, int batch, int channels, int spatial, Real eps)
    {
        Guard.Holds(mean, channels); Guard.Holds(rstd, channels);
        fixed (Real* pm = mean, ps = rstd) BatchNorm(x, gain, bias, y, pm, ps, batch, channels, spatial, eps, false);
    }

    /// <summary>As <see cref="BatchNorm"/> with given statistics: y = (x − mean[c])·rstd[c]·gain[c] + bias[c].</summary>
    public static void BatchNormWith(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> bias, ReadOnlySpan<Real> mean, ReadOnlySpan<Real> rstd, Span<Real> y, int batch, int channels, int spatial)
    {
        Guard.Holds(mean, channels); Guard.Holds(rstd, channels);
        fixed (Real* pm = mean, ps = rstd) BatchNorm(x, gain, bias, y, pm, ps, batch, channels, spatial, 0, true);
    }

    static void BatchNorm(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> bias, Span<Real> y, Real* mean, Real* rstd, int batch, int channels, int spatial, Real eps, bool given)
    {
        Channels(x, gain, batch, channels, spatial, 1); Guard.Holds(y, (long)batch * channels * spatial);
        if (!bias.IsEmpty) Guard.Holds(bias, channels);
        fixed (Real* px = x, pg = gain, pb = bias, py = y)
            WideRows.For(channels, WideRows.Grain(batch * spatial), new BatchRows(px, pg, pb, py, mean, rstd, batch, channels, spatial, eps, given));
    }

    /// <summary>Adds into dx [B,C,S] and, unless empty, into dgain and dbias [C]; the statistics depend on x unless given is true (as in <see cref="BatchNormWith"/>).</summary>
    public static void BatchNormBackward(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, ReadOnlySpan<Real> mean, ReadOnlySpan<Real> rstd, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dgain, Span<Real> dbias, int batch, int channels, int spatial, bool given = false)
    {
        Channels(x, gain, batch, channels, spatial, 1); Guard.Holds(dy, (long)batch * channels * spatial); Guard.Holds(dx, (long)batch * channels * spatial); Guard.Holds(mean, channels); Guard.Holds(rstd, channels);
        if (!dgain.IsEmpty) Guard.Holds(dgain, channels);
        if (!dbias.IsEmpty) Guard.Holds(dbias, channels);
        fixed (Real* px = x, pg = gain, pm = mean, ps = rstd, pdy = dy, pdx = dx, pdg = dgain, pdb = dbias)
            WideRows.For(channels, WideRows.Grain(batch * spatial), new BatchBackRows(px, pg, pm, ps, pdy, pdx, pdg, pdb, batch, channels, spatial, given));
    }

    static void Channels(ReadOnlySpan<Real> x, ReadOnlySpan<Real> gain, int batch, int channels, int spatial, int groups)
    {
        Guard.Holds(x, (long)batch * channels * spatial); Guard.AtLeast(groups, 1);
        if (channels % groups != 0) throw new ArgumentException($"{channels} channels do not divide into {groups} groups");
        if (!gain.IsEmpty) Guard.Holds(gain, channels);
    }

    /// <summary>
    /// losses[r] = lse[r] − logits[r, targets[r]] with lse[r] = log Σ e^logits; both [rows], overwritten. A negative target is ignored: its loss is 0.
    /// A target whose logit is −∞ has loss ∞. A target that is not below cols throws.
    /// </summary>
    public static void CrossEntropy(ReadOnlySpan<Real> logits, ReadOnlySpan<int> targets, Span<Real> losses, Span<Real> lse, int rows, int cols)
    {
        Guard.Holds(logits, (long)rows * cols); Targets(targets, rows, cols); Guard.Holds(losses, rows); Guard.Holds(lse, rows);
        fixed (Real* px = logits, pl = losses, pe = lse) fixed (int* pt = targets)
            WideRows.For(rows, WideRows.Grain(cols), new CrossEntropyRows(px, pt, pl, pe, cols));
    }

    /// <summary>dlogits[r,j] += dLoss[r]·(e^(logits[r,j] − lse[r]) − [j = targets[r]]); rows with a negative target get nothing.</summary>
    public static void CrossEntropyBackward(ReadOnlySpan<Real> logits, ReadOnlySpan<int> targets, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dLoss, Span<Real> dlogits, int rows, int cols)
    {
        Guard.Holds(logits, (long)rows * cols); Targets(targets, rows, cols); Guard.Holds(lse, rows); Guard.Holds(dLoss, rows); Guard.Holds(dlogits, (long)rows * cols);
        fixed (Real* px = logits, pe = lse, pd = dLoss, pdx = dlogits) fixed (int* pt = targets)
            WideRows.For(rows, WideRows.Grain(cols), new CrossEntropyBackRows(px, pt, pe, pd, pdx, cols));
    }

    static void Targets(ReadOnlySpan<int> targets, int rows, int cols)
    {
        Guard.Holds(targets, rows);
        for (int r = 0; r < rows; r++) if (targets[r] >= cols) throw new ArgumentException($"targets[{r}] is {targets[r]}, must be below {cols}");
    }

    /// <summary>y = x / max(‖x‖, eps); norm[r] = ‖x‖ of row r, overwritten.</summary>
    public static void L2Normalise(ReadOnlySpan<Real> x, Span<Real> y, Span<Real> norm, int rows, int cols, Real eps)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(y, (long)rows * cols); Guard.Holds(norm, rows);
        fixed (Real* px = x, py = y, pn = norm) WideRows.For(rows, WideRows.Grain(cols), new L2Rows(px, py, pn, cols, eps));
    }

    /// <summary>dx += (dy − y (y·dy))/norm, or dy/eps where norm ≤ eps; y and norm as the forward left them.</summary>
    public static void L2NormaliseBackward(ReadOnlySpan<Real> y, ReadOnlySpan<Real> norm, ReadOnlySpan<Real> dy, Span<Real> dx, int rows, int cols, Real eps)
    {
        Guard.Holds(y, (long)rows * cols); Guard.Holds(norm, rows); Guard.Holds(dy, (long)rows * cols); Guard.Holds(dx, (long)rows * cols);
        fixed (Real* py = y, pn = norm, pdy = dy, pdx = dx) WideRows.For(rows, WideRows.Grain(cols), new L2BackRows(py, pn, pdy, pdx, cols, eps));
    }
}
