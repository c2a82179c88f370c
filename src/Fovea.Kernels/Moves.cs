using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>Copies that change the order of axes.</summary>
public static unsafe class Moves
{
    /// <summary>
    /// y = x with its axes in the given order: axis i of y is axis order[i] of x. With add, y += instead.
    /// x has shape dims (at most 6 axes) and y the permuted one.
    /// </summary>
    public static void Permute(ReadOnlySpan<Real> x, ReadOnlySpan<int> dims, ReadOnlySpan<int> order, Span<Real> y, bool add = false)
    {
        int rank = dims.Length; long size = 1;
        foreach (int d in dims) size *= d;
        Guard.Holds(x, size); Guard.Holds(y, size);
        if (size == 0) return;
        // Trailing axes that stay in place are one run that is copied at once.
        int kept = rank; long run = 1;
        while (kept > 0 && order[kept - 1] == kept - 1) { kept--; run *= dims[kept]; }
        Span<long> strides = stackalloc long[6];
        long step = 1;
        for (int i = rank - 1; i >= 0; i--) { strides[i] = step; step *= dims[i]; }
        var body = new PermuteRows { Axes = kept, Run = (int)run, Add = add };
        for (int i = 0; i < kept; i++) { body.Sizes[i] = dims[order[i]]; body.Steps[i] = strides[order[i]]; }
        fixed (Real* px = x, py = y)
        {
            body.X = px; body.Y = py;
            int rows = (int)(size / run);
            Threads.For(rows, (int)Math.Max(1, 65536 / run), body);
        }
    }

    struct PermuteRows : IRows
    {
        public Real* X, Y; public int Axes, Run; public bool Add;
        public fixed int Sizes[6]; public fixed long Steps[6];

        void IRows.Run(int from, int to)
        {
            int* at = stackalloc int[6]; long source = 0, rest = from;
            for (int i = Axes - 1; i >= 0; i--) { at[i] = (int)(rest % Sizes[i]); rest /= Sizes[i]; source += at[i] * Steps[i]; }
            for (int row = from; row < to; row++)
            {
                Real* s = X + source, d = Y + (long)row * Run;
                if (Run == 1) { if (Add) *d += *s; else *d = *s; }
                else if (Add) TensorPrimitives.Add(new ReadOnlySpan<Real>(d, Run), new ReadOnlySpan<Real>(s, Run), new Span<Real>(d, Run));
                else new ReadOnlySpan<Real>(s, Run).CopyTo(new Span<Real>(d, Run));
                for (int i = Axes - 1; i >= 0; i--)
                {
                    source += Steps[i];
                    if (++at[i] < Sizes[i]) break;
                    source -= Steps[i] * Sizes[i]; at[i] = 0;
                }
            }
        }
    }

    /// <summary>y = x repeated along the axes where dims is 1 and target is not. Both have the same number of axes, at most 6.</summary>
    public static void Expand(ReadOnlySpan<Real> x, ReadOnlySpan<int> dims, Span<Real> y, ReadOnlySpan<int> target)
    {
        fixed (Real* px = x, py = y) Broadcast(px, dims, py, target, reduce: false);
    }

    /// <summary>The adjoint of <see cref="Expand"/>: adds into x the sum of y over the repeated axes, in ascending order.</summary>
    public static void AddReduced(Span<Real> x, ReadOnlySpan<int> dims, ReadOnlySpan<Real> y, ReadOnlySpan<int> target)
    {
        fixed (Real* px = x, py = y) Broadcast(px, dims, py, target, reduce: true);
    }

    static void Broadcast(Real* x, ReadOnlySpan<int> dims, Real* y, ReadOnlySpan<int> target, bool reduce)
    {
        int rank = target.Length, last = rank == 0 ? 1 : target[^1];
        Span<long> steps = stackalloc long[6]; Span<int> at = stackalloc int[6];
        long step = 1, rows = 1;
        for (int i = rank - 1; i >= 0; i--) { steps[i] = dims[i] == 1 ? 0 : step; step *= dims[i]; if (i < rank - 1) rows *= target[i]; }
        bool repeat = rank > 0 && steps[rank - 1] == 0;
        at.Clear();
        long source = 0;
        for (long row = 0; row < rows; row++, y += last)
        {
            var run = new Span<Real>(y, last);
            if (reduce && repeat) x[source] += TensorPrimitives.Sum<Real>(run);
            else if (reduce) TensorPrimitives.Add(new ReadOnlySpan<Real>(x + source, last), run, new Span<Real>(x + source, last));
            else if (repeat) run.Fill(x[source]);
            else new ReadOnlySpan<Real>(x + source, last).CopyTo(run);
            for (int i = rank - 2; i >= 0; i--)
            {
                source += steps[i];
                if (++at[i] < target[i]) break;
                source -= steps[i] * target[i]; at[i] = 0;
            }
        }
    }
}
