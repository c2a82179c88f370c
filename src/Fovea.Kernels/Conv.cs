namespace Fovea.Kernels;

/// <summary>A convolution from x [B, Inputs, H, W] to y [B, Outputs, OutHeight, OutWidth] with weight [Outputs, Inputs/Groups, KernelHeight, KernelWidth]. Padding is with zeros on both sides.</summary>
public readonly record struct ConvSize(int Batch, int Inputs, int Outputs, int Height, int Width, int KernelHeight, int KernelWidth)
{
    public int StrideHeight { get; init; } = 1;
    public int StrideWidth { get; init; } = 1;
    public int PadHeight { get; init; }
    public int PadWidth { get; init; }
    public int DilationHeight { get; init; } = 1;
    public int DilationWidth { get; init; } = 1;
    public int Groups { get; init; } = 1;
    public int OutHeight => (Height + 2 * PadHeight - DilationHeight * (KernelHeight - 1) - 1) / StrideHeight + 1;
    public int OutWidth => (Width + 2 * PadWidth - DilationWidth * (KernelWidth - 1) - 1) / StrideWidth + 1;
    /// <summary>Weights of one output: Inputs/Groups · KernelHeight · KernelWidth.</summary>
    public int Taps => Inputs / Groups * KernelHeight * KernelWidth;

    /// <summary>A convolution along one axis: x [B, Inputs, length], weight [Outputs, Inputs/groups, kernel].</summary>
    public static ConvSize Line(int batch, int inputs, int outputs, int length, int kernel, int stride = 1, int pad = 0, int dilation = 1, int groups = 1)
        => new(batch, inputs, outputs, 1, length, 1, kernel) { StrideWidth = stride, PadWidth = pad, DilationWidth = dilation, Groups = groups };

    /// <summary>Throws unless the sizes are positive, the groups divide the channels and the kernel fits into the padded input.</summary>
    public void Check()
    {
        if (Batch < 0 || Inputs < 1 || Outputs < 1 || Height < 1 || Width < 1 || KernelHeight < 1 || KernelWidth < 1 || StrideHeight < 1 || StrideWidth < 1 || PadHeight < 0 || PadWidth < 0 || DilationHeight < 1 || DilationWidth < 1)
            throw new ArgumentException($"{this}: sizes, strides and dilations must be positive");
        if (Groups < 1 || Inputs % Groups != 0 || Outputs % Groups != 0) throw new ArgumentException($"{Inputs} inputs and {Outputs} outputs do not divide into {Groups} groups");
        if (Height + 2 * PadHeight < DilationHeight * (KernelHeight - 1) + 1 || Width + 2 * PadWidth < DilationWidth * (KernelWidth - 1) + 1) throw new ArgumentException($"{this}: the kernel is larger than the padded input");
    }
    internal long InputSize => (long)Batch * Inputs * Height * Width;
    internal long OutputSize => (long)Batch * Outputs * OutHeight * OutWidth;
    internal long WeightSize => (long)Outputs * Taps;
    internal long MultiplyAdds => OutputSize * Taps;
}

/// <summary>
/// Two-dimensional convolution (with H = 1 along one axis, see <see cref="ConvSize.Line"/>) and its transposed form. Few channels per group go to
/// <see cref="Depthwise"/>, rows that fill registers to <see cref="DirectConv"/>; else tiles of the input are laid out as columns, one for each output
/// position, and multiplied with the weights.
/// </summary>
public static unsafe class Conv
{
    /// <summary>Input channels of one task of a backward; a task owns what it adds into.</summary>
    const int ChannelBlock = 8;

    /// <summary>y[b,o,·] = bias[o] + Σ weight[o,c,i,j] · x[b, c, · + (i,j)]; bias [Outputs] may be empty.</summary>
    public static void Forward(in ConvSize z, ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> bias, Span<Real> y) => Forward(z, x, weight, bias, y, Width.Widest);

    internal static void Forward(in ConvSize z, ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> bias, Span<Real> y, Width width)
    {
        Check(z, x, weight, y);
        if (!bias.IsEmpty) Guard.Holds(bias, z.Outputs);
        fixed (Real* px = x, pw = weight, pb = bias, py = y) Apply(z, px, pw, pb, py, false, width);
    }

    /// <summary>Adds into dx, dweight and dbias, each of which may be empty.</summary>
    public static void Backward(in ConvSize z, ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dweight, Span<Real> dbias) => Backward(z, x, weight, dy, dx, dweight, dbias, Width.Widest);

    internal static void Backward(in ConvSize z, ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dweight, Span<Real> dbias, Width width)
    {
        Check(z, x, weight, dy); Gradients(dx, z.InputSize, dweight, z.WeightSize, dbias, z.Outputs);
        fixed (Real* px = x, pw = weight, pdy = dy, pdx = dx, pdw = dweight, pdb = dbias)
        {
            Both(z, px, pw, pdy, pdx, pdw, width);
            if (pdb is not null) WideRows.For(z.Outputs, 1, new ChannelSumRows(pdy, pdb, z.Batch, z.Outputs, z.OutHeight * z.OutWidth), width);
        }
    }

    /// <summary>
    /// The transposed convolution: x [B, Outputs, OutHeight, OutWidth] spreads to y [B, Inputs, H, W], overwritten; z describes the convolution that it
    /// transposes, so that weight is [Outputs, Inputs/Groups, …] and bias [Inputs] (may be empty).
    /// </summary>
    public static void Transposed(in ConvSize z, ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> bias, Span<Real> y)
    {
        Check(z, y, weight, x);
        if (!bias.IsEmpty) Guard.Holds(bias, z.Inputs);
        int image = z.Height * z.Width;
        for (int c = 0; c < z.Batch * z.Inputs; c++) y.Slice(c * image, image).Fill(bias.IsEmpty ? 0 : bias[c % z.Inputs]);
        fixed (Real* px = x, pw = weight, py = y) Both(z, null, pw, px, py, null, Width.Widest);
    }

    /// <summary>Adds into dx [B, Outputs, …], dweight and dbias [Inputs], each of which may be empty.</summary>
    public static void TransposedBackward(in ConvSize z, ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> dy, Span<Real> dx, Span<Real> dweight, Span<Real> dbias)
    {
        Check(z, dy, weight, x); Gradients(dx, z.OutputSize, dweight, z.WeightSize, dbias, z.Inputs);
        fixed (Real* px = x, pw = weight, pdy = dy, pdx = dx, pdw = dweight, pdb = dbias)
        {
            if (pdx is not null) Apply(z, pdy, pw, null, pdx, true, Width.Widest);
            Both(z, pdy, null, px, null, pdw, Width.Widest);
            if (pdb is not null) WideRows.For(z.Inputs, 1, new ChannelSumRows(pdy, pdb, z.Batch, z.Inputs, z.Height * z.Width));
        }
    }

    static void Apply(in ConvSize z, Real* x, Real* weight, Real* bias, Real* y, bool add, Width width)
    {
        var body = new ConvRows(z, x, weight, bias, y, add);
        if (Depthwise.Suits(z)) Depthwise.Forward(z, x, weight, bias, y, add, width);
        else if (DirectConv.Suits(z.OutWidth, width)) DirectConv.Forward(z, x, weight, bias, y, add, width);
        else WideRows.For(z.Batch * z.Groups * body.Tiles, 1, body, width);
        Work.Add(z.MultiplyAdds);
    }
    static void Both(in ConvSize z, Real* x, Real* weight, Real* dy, Real* dx, Real* dweight, Width width)
    {
        if (Depthwise.Suits(z))
        {
            if (dx is not null || dweight is not null) Depthwise.Backward(z, x, weight, dy, dx, dweight, width);
            Work.Add(z.MultiplyAdds * ((dx is null ? 0 : 1) + (dweight is null ? 0 : 1)));
            return;
        }
        if (dx is not null) AddInput(z, weight, dy, dx, width);
        if (dweight is not null) AddWeight(z, x, dy, dweight, width);
    }
    static void AddInput(in ConvSize z, Real* weight, Real* dy, Real* dx, Width width)
    {
        if (z.StrideHeight == 1 && z.StrideWidth == 1 && DirectConv.Suits(z.Width, width)) DirectConv.AddInput(z, weight, dy, dx, width);
        else WideRows.For(z.Batch * z.Groups * Blocks(z), 1, new ConvInputRows(z, weight, dy, dx, Blocks(z), ChannelBlock), width);
        Work.Add(z.MultiplyAdds);
    }
    static void AddWeight(in ConvSize z, Real* x, Real* dy, Real* dweight, Width width)
    {
        if (z.StrideWidth == 1 && DirectConv.Suits(z.OutWidth, width)) DirectConv.AddWeight(z, x, dy, dweight, width);
        else WideRows.For(z.Groups * Blocks(z), 1, new ConvWeightRows(z, x, dy, dweight, Blocks(z), ChannelBlock), width);
        Work.Add(z.MultiplyAdds);
    }
    static int Blocks(in ConvSize z) => (z.Inputs / z.Groups + ChannelBlock - 1) / ChannelBlock;

    static void Check(in ConvSize z, ReadOnlySpan<Real> x, ReadOnlySpan<Real> weight, ReadOnlySpan<Real> y)
    {
        z.Check(); Guard.Holds(x, z.InputSize, "the input"); Guard.Holds(weight, z.WeightSize); Guard.Holds(y, z.OutputSize, "the output");
    }
    static void Gradients(Span<Real> dx, long input, Span<Real> dweight, long weights, Span<Real> dbias, long outputs)
    {
        if (!dx.IsEmpty) Guard.Holds(dx, input);
        if (!dweight.IsEmpty) Guard.Holds(dweight, weights);
        if (!dbias.IsEmpty) Guard.Holds(dbias, outputs);
    }
}
