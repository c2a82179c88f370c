using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Engine;

/// <summary>Which channels of a head turn together: c and c + D/2, or 2c and 2c + 1.</summary>
public enum RotaryPairs { Halves, Neighbours }

/// <summary>Frequencies divided by a factor each, as files of longer contexts list them; queries and keys multiplied with a magnitude.</summary>
public sealed record ListedScaling(double[] Factors, double Size = 1) : RopeScaling
{
    public override double Magnitude => Size;
    public override double Frequency(double plain, int pair, int pairs, double theta) => plain / Factors[pair];
}

/// <summary>
/// Rotary positions of heads [heads,n,D] in place. Angles of the tokens of a pass are made once and serve all its layers; keys that are turned at every read need a table that grows with the text. The first dims channels turn. Heads whose neighbours are pairs are first brought into halves, which changes no product of a query and a key.
/// </summary>
public sealed class Rotations(int dims, double theta, RopeScaling? scaling, RotaryPairs pairs)
{
    readonly Rope rope = new(theta, scaling); readonly int half = dims / 2; readonly double magnitude = scaling?.Magnitude ?? 1;
    float[] cos = [], sin = [], allCos = [], allSin = []; int[] index = [], places = []; int first, count, rows;

    /// <summary>Turns x [heads,n,D], whose tokens stand at start, start + 1 …</summary>
    public void Apply(Span<float> x, int heads, int n, int d, int start)
    {
        Order(x, heads * n, d);
        if (start < first || start + n > first + count)
        {
            if (cos.Length < n * half) (cos, sin) = (new float[n * half], new float[n * half]);
            (first, count) = (start, n);
            Angles(start, n, cos, sin);
        }
        if (index.Length < n) index = new int[Math.Max(n, 2 * index.Length)];
        for (int i = 0; i < n; i++) index[i] = start - first + i;
        Rotary.Apply(x, x, cos, sin, index.AsSpan(0, n), heads * n, d, half);
    }

    /// <summary>Brings the channels of x [count,d] into the order that they are turned in, in place: what <see cref="Apply"/> does before it turns.</summary>
    public void Order(Span<float> x, int count, int d) { if (pairs == RotaryPairs.Neighbours) Halve(x, count, d); }

    /// <summary>How keys that are kept without positions are turned at read: by these positions, or by their places 0 … count − 1 if there are none; for positions that are <see cref="Ready"/>.</summary>
    public KeyTurn AtRead(ReadOnlySpan<int> positions, int count) => new(allCos, allSin, positions.IsEmpty ? places.AsSpan(0, count) : positions, half);

    void Halve(Span<float> x, int count, int d)
    {
        Span<float> odd = stackalloc float[256];
        if (half > odd.Length) odd = new float[half];
        for (int r = 0; r < count; r++)
        {
            var row = x.Slice(r * d, dims);
            for (int c = 0; c < half; c++) { odd[c] = row[2 * c + 1]; row[c] = row[2 * c]; }
            odd[..half].CopyTo(row[half..]);
        }
    }

    /// <summary>Makes the table for keys that are turned at read long enough for positions below needed.</summary>
    public void Ready(int needed)
    {
        if (needed <= rows) return;
        int more = Math.Max(256, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)needed));
        places = [.. Enumerable.Range(0, more)];
        Array.Resize(ref allCos, more * half); Array.Resize(ref allSin, more * half);
        Angles(rows, more - rows, allCos.AsSpan(rows * half), allSin.AsSpan(rows * half));
        rows = more;
    }

    // Cosines and sines [n,half] of the positions from start on.
    void Angles(int start, int n, Span<float> cos, Span<float> sin)
    {
        for (int c = 0; c < half; c++)
        {
            double f = rope.Frequency(c, half);
            for (int p = 0; p < n; p++) (cos[p * half + c], sin[p * half + c]) = ((float)(magnitude * Math.Cos((start + p) * f)), (float)(magnitude * Math.Sin((start + p) * f)));
        }
    }
}
