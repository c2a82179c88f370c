using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// The decays a ≤ 1 of the steps of one chunk, and their products over spans of steps. Spans that touch an end of the chunk go on from chunk to chunk and are e^(sum of logs) if
/// logarithms are given; those in between are built up factor by factor from 1. Nothing is divided, so nothing is over 1 and 0 is an ordinary decay.
/// </summary>
internal unsafe struct Decays
{
    public const int C = ScanSize.Chunk;
    const int Room = 64;        // the widest load may read past the last ratio
    const int Widest = 16;
    readonly Real* steps, fromStart, toEnd, ones, table;
    Real* ratios; int stride;

    Decays(Real* memory) { steps = memory; fromStart = steps + C; toEnd = fromStart + C; ones = toEnd + C; table = ones + 2 * Widest; ratios = table; stride = C; }
    public static Decays Take(in Scratch scratch) => new(scratch.Take(3 * C + 2 * Widest + C * C + Room));

    /// <summary>[C]: the decay of each step.</summary>
    public readonly Real* Steps => steps;
    /// <summary>[C]: a_0…a_i, what output i sees of the state before the chunk.</summary>
    public readonly Real* FromStart => fromStart;
    /// <summary>[C]: a_{j+1}…a_{n−1}, what the state after the chunk keeps of step j.</summary>
    public readonly Real* ToEnd => toEnd;
    /// <summary>At j ≤ i: a_{j+1}…a_i, what output i sees of step j.</summary>
    public readonly Real* Ratio(int i) => ratios + i * stride;

    /// <summary>Reads n decays at a, which moves on by step numbers (0 for one and the same), or their logarithms. Ratios cost C² and are left out unless asked for.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<TLanes, V>(Real* a, int step, int n, bool log, bool withRatios) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; Real sum = 0;
        for (int i = 0; i < n; i++) steps[i] = a[i * step];
        if (log)
        {
            for (int i = 0; i < n; i++) fromStart[i] = sum += steps[i];
            sum = 0;
            for (int j = n - 1; j >= 0; j--) { toEnd[j] = sum; sum += steps[j]; }
            Exp<TLanes, V>(steps, n); Exp<TLanes, V>(fromStart, n); Exp<TLanes, V>(toEnd, n);
        }
        else
        {
            sum = 1;
            for (int i = 0; i < n; i++) fromStart[i] = sum *= steps[i];
            sum = 1;
            for (int j = n - 1; j >= 0; j--) { toEnd[j] = sum; sum *= steps[j]; }
        }
        if (!withRatios) return;
        if (step == 0)
        {
            // Equal steps: the ratio depends on i − j alone, so every row of ratios is the one before, moved by one number.
            ratios = table + C - 1; stride = -1; ratios[0] = 1;
            for (int x = 1; x < n; x++) table[C - 1 - x] = fromStart[x - 1];
            new Span<Real>(table, C - n).Clear(); new Span<Real>(ratios + 1, C + Room / 2).Clear();
            return;
        }
        ratios = table; stride = C;
        // A register goes down its columns; from step j on, column j holds the product of the decays behind j, which starts with 1.
        new Span<Real>(ones, 2 * Widest).Clear(); ones[Widest] = 1;
        for (int j = 0; j < n; j += w)
        {
            V product = TLanes.Set(0);
            for (int i = j; i < n; i++)
            {
                V x = TLanes.Set(steps[i]);
                product = i < j + w ? TLanes.Fma(product, x, TLanes.Load(ones + Widest - i + j)) : TLanes.Mul(product, x);
                TLanes.Store(table + i * C + j, product);
            }
        }
    }

    /// <summary>x becomes e^x; x holds C numbers.</summary>
    static void Exp<TLanes, V>(Real* x, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        new Span<Real>(x + n, C - n).Clear();
        for (int i = 0; i < n; i += TLanes.Count) TLanes.Store(x + i, TLanes.Exp2(TLanes.Mul(TLanes.Load(x + i), TLanes.Set(Curve.Log2E))));
    }

    /// <summary>Scores p [C,C] of n steps, as <see cref="Triangle.Scores"/> leaves them: p[i,j] is multiplied with the ratio for j ≤ i, unless there is no decay, and becomes 0 after, on the diagonal too if strict.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void Mask<TLanes, V>(Real* p, int n, bool decay, bool strict) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V zero = TLanes.Set(0);
        for (int i = 0; i < n; i++)
        {
            Real* row = p + i * C, ratio = Ratio(i);
            if (decay) for (int k = 0; k <= i; k += w) TLanes.Store(row + k, TLanes.Mul(TLanes.Load(row + k), TLanes.Load(ratio + k)));
            int j = strict ? i : i + 1;
            for (; j % w != 0; j++) row[j] = 0;
            for (int until = Math.Min(C, j + 2 * Widest); j < until; j += w) TLanes.Store(row + j, zero);
        }
    }
}
