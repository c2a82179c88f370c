namespace Fovea.Kernels;

/// <summary>
/// A recurrence in its fastest form: in chunks where there is one (<see cref="DiagonalDecay"/>, <see cref="DeltaRule"/>, <see cref="GatedDeltaRule"/>), else step by step with <see cref="Scan"/>.
/// Arguments are those of Scan, but for the checkpoints.
/// </summary>
public static class Recur
{
    static bool Gated<T>() => typeof(T) == typeof(DiagonalDecay);
    static bool Delta<T>() => typeof(T) == typeof(DeltaRule) || typeof(T) == typeof(GatedDeltaRule);

    /// <summary>Numbers that Forward writes into checkpoints.</summary>
    public static long Checkpoints<T>(in ScanSize z) where T : struct, IRecurrence => Gated<T>() || Delta<T>() ? z.Checkpoints : Scan.Checkpoints(z);

    /// <summary>state holds S_0 and becomes S_N. o is overwritten, checkpoints (may be empty) too.</summary>
    public static void Forward<T>(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, T step, Span<Real> state, Span<Real> o, Span<Real> checkpoints) where T : struct, IRecurrence
    {
        // A single step gains nothing from a chunk; its one checkpoint is the same.
        if (z.Length > 1 && Gated<T>()) GatedScan.Forward(z, q, k, v, gate, state, o, checkpoints);
        else if (z.Length > 1 && Delta<T>()) DeltaScan.Forward(z, q, k, v, gate, state, o, checkpoints);
        else Scan.Forward(z, q, k, v, gate, step, state, o, checkpoints);
    }

    /// <summary>Adds into dq, dk, dv, dgate. dState holds the gradient of S_N (zeros if nothing follows) and becomes that of S_0.</summary>
    public static void Backward<T>(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, T step, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dgate) where T : struct, IRecurrence
    {
        if (z.Length > 1 && Gated<T>()) GatedScan.Backward(z, q, k, v, gate, checkpoints, dO, dState, dq, dk, dv, dgate);
        else if (z.Length > 1 && Delta<T>()) DeltaScan.Backward(z, q, k, v, gate, checkpoints, dO, dState, dq, dk, dv, dgate);
        else Scan.Backward(z, q, k, v, gate, step, checkpoints, dO, dState, dq, dk, dv, dgate);
    }
}
