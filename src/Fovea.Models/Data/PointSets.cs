namespace Fovea.Models;

/// <summary>Sets with an answer made of places: features [Size,n,F], answers [Size,n+1] of places 1 … n, then 0 for the end, then −1.</summary>
public sealed record PlacesBatch(Tensor Inputs, int[] Targets, int Size)
{
    /// <summary>The answer of a row without its end.</summary>
    public int[] Answer(int row) { int n = Targets.Length / Size; return [.. Targets.AsSpan(row * n, n).ToArray().Where(t => t > 0)]; }
    public (double X, double Y) Point(int row, int place) { int n = Inputs.Shape[1], f = Inputs.Shape[2]; var p = Inputs.Span.Slice((row * n + place - 1) * f, f); return (p[0], f > 1 ? p[1] : 0); }
}

/// <summary>Problems whose answer is a sequence of places of the input, solved exactly (Pointer Networks §3).</summary>
[From("pointer-networks", "§3.1")]
public static class PointSets
{
    /// <summary>Points in the unit square; the answer is their convex hull, counter-clockwise from the lowest place.</summary>
    public static PlacesBatch Hulls(Rng rng, int size, int points) => Make(rng, size, points, 2, p => Hull(p));

    /// <summary>Numbers in [0, 1); the answer is their order, smallest first.</summary>
    public static PlacesBatch Sorting(Rng rng, int size, int numbers) => Make(rng, size, numbers, 1, p => [.. Enumerable.Range(1, p.Count).OrderBy(i => p[i - 1].X)]);

    static PlacesBatch Make(Rng rng, int size, int n, int features, Func<IReadOnlyList<(double X, double Y)>, int[]> solve)
    {
        if (n < 3) throw new ArgumentOutOfRangeException(nameof(n), n, "a set has at least 3 elements");
        var inputs = Tensor.Over(new Real[size * n * features], [size, n, features]); var targets = new int[size * (n + 1)];
        Array.Fill(targets, -1);
        for (int b = 0; b < size; b++)
        {
            var points = new (double, double)[n];
            for (int i = 0; i < n; i++)
            {
                points[i] = (rng[b].Uniform(2 * i), rng[b].Uniform(2 * i + 1));
                inputs.Span[(b * n + i) * features] = (Real)points[i].Item1;
                if (features > 1) inputs.Span[(b * n + i) * features + 1] = (Real)points[i].Item2;
            }
            int[] answer = solve(points);
            answer.CopyTo(targets, b * (n + 1)); targets[b * (n + 1) + answer.Length] = 0;
        }
        return new(inputs, targets, size);
    }

    /// <summary>Places 1 … n of the corners of the convex hull, counter-clockwise from the lowest place (gift wrapping).</summary>
    public static int[] Hull(IReadOnlyList<(double X, double Y)> p)
    {
        int first = 0; var hull = new List<int>();
        for (int i = 1; i < p.Count; i++) if (p[i].X < p[first].X || p[i].X == p[first].X && p[i].Y < p[first].Y) first = i;
        for (int at = first; ;)
        {
            hull.Add(at + 1);
            int next = at == 0 ? 1 : 0;
            for (int i = 0; i < p.Count; i++) if (i != at && Turn(p[at], p[next], p[i]) < 0) next = i;
            if ((at = next) == first) break;
        }
        int low = hull.IndexOf(hull.Min());
        return [.. hull[low..], .. hull[..low]];
    }

    /// <summary>Positive if a → b → c turns left.</summary>
    static double Turn((double X, double Y) a, (double X, double Y) b, (double X, double Y) c) => (b.X - a.X) * (c.Y - a.Y) - (b.Y - a.Y) * (c.X - a.X);

    /// <summary>The area of a polygon; 0 if it has fewer than three corners, a corner twice, or crosses itself.</summary>
    public static double Area(IReadOnlyList<(double X, double Y)> p)
    {
        int n = p.Count; double sum = 0;
        if (n < 3 || p.Distinct().Count() < n) return 0;
        for (int i = 0; i < n; i++)
        {
            sum += p[i].X * p[(i + 1) % n].Y - p[(i + 1) % n].X * p[i].Y;
            for (int j = i + 1; j < n; j++)
                if ((i + 1) % n != j && (j + 1) % n != i && Turn(p[i], p[(i + 1) % n], p[j]) * Turn(p[i], p[(i + 1) % n], p[(j + 1) % n]) < 0 && Turn(p[j], p[(j + 1) % n], p[i]) * Turn(p[j], p[(j + 1) % n], p[(i + 1) % n]) < 0) return 0;
        }
        return Math.Abs(sum) / 2;
    }
}
