namespace Fovea.Kernels;

/// <summary>The spans that every recurrence in chunks takes, checked against the sizes.</summary>
internal static class ScanCheck
{
    public static void Inputs(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v)
    {
        long steps = (long)z.Rows * z.Length;
        Guard.Holds(q, steps * z.Dim); Guard.Holds(k, steps * z.Dim); Guard.Holds(v, steps * z.ValueDim);
    }

    /// <summary>checkpoints may be empty.</summary>
    public static void Outputs(in ScanSize z, ReadOnlySpan<Real> state, ReadOnlySpan<Real> o, ReadOnlySpan<Real> checkpoints)
    {
        Guard.Holds(state, (long)z.Rows * z.State); Guard.Holds(o, (long)z.Rows * z.Length * z.ValueDim);
        if (!checkpoints.IsEmpty) Guard.Holds(checkpoints, z.Checkpoints);
    }

    public static void Gradients(in ScanSize z, ReadOnlySpan<Real> dO, ReadOnlySpan<Real> dState, ReadOnlySpan<Real> dq, ReadOnlySpan<Real> dk, ReadOnlySpan<Real> dv)
    {
        long steps = (long)z.Rows * z.Length;
        Guard.Holds(dO, steps * z.ValueDim); Guard.Holds(dState, (long)z.Rows * z.State);
        Guard.Holds(dq, steps * z.Dim); Guard.Holds(dk, steps * z.Dim); Guard.Holds(dv, steps * z.ValueDim);
    }
}
