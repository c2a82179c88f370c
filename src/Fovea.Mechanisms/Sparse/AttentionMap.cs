namespace Fovea.Mechanisms;

/// <summary>Where the estimate of a text that is read in pieces goes on: the last rows that the convolutions look back to, and sums of the values.</summary>
public sealed class MapState(int rows) : LayerState
{
    internal Real[][] Rows { get; } = [new Real[rows], new Real[rows]];
    internal Real[]? Sum;
    internal object Linear { get; } = new();
    internal GrowingKv Past { get; } = new();
    public override long Bytes => (2L * rows + (Sum?.Length ?? 0)) * sizeof(Real) + Past.Bytes;
}

/// <summary>
/// The decoder of an estimated attention map (SEA, §3.1): each token's Z [B,H,N,2D] becomes two channels of w/4 columns per head, layer-normalised; two 3×3 convolutions, causal along the queries with every second row, mix all heads;
/// columns are repeated four times, a 1×1 convolution gives one map per head, and after another normalisation a row of w scores stands for however many keys a token sees. Its parameters get no gradient from the
/// layer's output, as choosing stops it: they stand still until a teacher is there (<see cref="SeaDistillation"/>).
/// </summary>
[From("sea-attention", "§3.1")]
public sealed class AttentionMap
{
    const int Channels = 2, Step = 2, Back = 2 * Step;
    readonly Linear columns, out1; readonly Tensor[] filters; readonly Tensor gain1, bias1, gain2, bias2; readonly int heads, quarter;
    public IReadOnlyList<Tensor> Parameters { get; }

    public AttentionMap(Weights w, int heads, int dim, int width)
    {
        if (width < 4 || width % 4 != 0) throw new ArgumentException($"a map of {width} columns; expected a multiple of four");
        (this.heads, quarter) = (heads, width / 4); int c = heads * Channels;
        columns = new(w["columns"], 2 * dim, Channels * quarter); out1 = new(w["maps"], c, heads);
        filters = [w.Get("conv1", [c, 9 * c]), w.Get("conv2", [c, 9 * c])];
        gain1 = w.Get("norm1.weight", [quarter], Init.Ones); bias1 = w.Get("norm1.bias", [quarter], Init.Zeros); gain2 = w.Get("norm2.weight", [width], Init.Ones); bias2 = w.Get("norm2.bias", [width], Init.Zeros);
        Parameters = [columns.Weight, out1.Weight, .. filters, gain1, bias1, gain2, bias2];
        foreach (var p in Parameters) p.RequiresGrad = false;
    }

    /// <summary>Numbers that a state keeps of the input of each convolution.</summary>
    public int Kept(int batch) => batch * Back * quarter * heads * Channels;

    /// <summary>Z [B,H,N,2D] → scores [B,H,N,w].</summary>
    public Tensor Scores(Tensor z, MapState? state)
    {
        var (b, _, n, _) = z.Shape; int c = heads * Channels;
        var x = columns.Forward(z).Reshape([b, heads, n, Channels, quarter]).LayerNorm(gain1, bias1, (Real)1e-5).Permute(0, 2, 4, 1, 3).Reshape([b, n, quarter, c]);
        for (int i = 0; i < 2; i++) x = Convolved(x, filters[i], state?.Rows[i]).Gelu();
        x = out1.Forward(x).Reshape([b, n, quarter, 1, heads]).Expand([b, n, quarter, 4, heads]).Reshape([b, n, 4 * quarter, heads]);
        return x.Permute(0, 3, 1, 2).LayerNorm(gain2, bias2, (Real)1e-5);
    }

    // x [B,N,W,C] with rows t, t − 2 and t − 4 and three columns side by side, times the filter.
    Tensor Convolved(Tensor x, Tensor filter, Real[]? last)
    {
        var (b, n, w, c) = x.Shape; var before = last is null ? Tensor.Zeros([b, Back, w, c]) : Tensor.From(last, [b, Back, w, c]);
        var rows = Tensor.Concat(1, before, x); if (last is not null) rows.Rows(n, n + Back).Span.CopyTo(last);
        var edge = Tensor.Zeros([b, n + Back, 1, c]); var wide = Tensor.Concat(2, edge, rows, edge); var parts = new List<Tensor>();
        for (int r = 0; r <= Back; r += Step) for (int s = 0; s < 3; s++) parts.Add(wide.Rows(r, r + n).Slice(2, s, s + w));
        return Tensor.Concat(-1, [.. parts]).MatMulT(filter);
    }
}
