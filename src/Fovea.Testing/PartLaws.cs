using System.Reflection;
using Fovea.Kernels;
namespace Fovea.Testing;

/// <summary>Laws of the structs that attention is made of: patterns, scores and normalisers.</summary>
public static class PartLaws
{
    /// <summary>A few values of each discovered type: every int parameter of its constructor takes the values 1, 3 and 5, every number ½ and 2.</summary>
    public static IEnumerable<T> Samples<T>() where T : class
    {
        foreach (var type in Discover.All<T>().Where(t => t.IsValueType && t.IsPublic))
        {
            var c = type.GetConstructors().OrderByDescending(c => c.GetParameters().Length).FirstOrDefault();
            if (c is null || c.GetParameters().Length == 0) { yield return (T)Activator.CreateInstance(type)!; continue; }
            if (!c.GetParameters().All(p => p.ParameterType == typeof(int) || p.ParameterType == typeof(Real) || p.ParameterType == typeof(bool))) continue;
            foreach (int seed in new[] { 0, 1, 2, 3 })
            {
                object Value(Type t, int i) => t == typeof(int) ? 1 + 2 * ((seed + i) % 3) : t == typeof(bool) ? seed % 2 == 0 : seed % 2 == 0 ? (Real)0.5 : (Real)2;
                yield return (T)c.Invoke([.. c.GetParameters().Select((p, i) => Value(p.ParameterType, i))]);
            }
        }
    }

    /// <summary>Tiles of a pattern up to 12 × 12 whose Cover contradicts Allows; 0 if it is honest.</summary>
    public static int LyingCovers(IPattern p)
    {
        int wrong = 0;
        for (int q0 = 0; q0 < 12; q0++) for (int q1 = q0; q1 < 12; q1++) for (int k0 = 0; k0 < 12; k0++) for (int k1 = k0; k1 < 12; k1++)
        {
            bool any = false, all = true;
            for (int q = q0; q <= q1; q++) for (int k = k0; k <= k1; k++) { bool b = p.Allows(q, k); any |= b; all &= b; }
            var c = p.Tile(q0, q1, k0, k1);
            if (c == Cover.All && !all || c == Cover.None && any) wrong++;
        }
        return wrong;
    }

    /// <summary>Pairs of 12 × 12, and tiles of 1 to 5 keys, of which the ranges, covers or hidden keys of a pattern say something else than Allows; 0 if it is honest.</summary>
    public static int LyingRows(IPattern p)
    {
        int wrong = 0;
        for (int q = 0; q < 12; q++)
        {
            if (p is IRangePattern r) { var (first, end) = r.Range(q); for (int k = 0; k < 12; k++) if (p.Allows(q, k) != (k >= first && k < end)) wrong++; }
            if (p is not ITilePattern t) continue;
            for (int k = 0; k < 12; k++)
            {
                var row = new Real[12 - k];
                t.Hide(row, q, k, Real.NegativeInfinity);
                for (int j = k; j < 12; j++) if (p.Allows(q, j) != (row[j - k] == 0)) wrong++;
            }
            foreach (int width in (int[])[1, 3, Kernels.Wide.Count])
            {
                // Every other tile is left out.
                int[] keys = [.. Enumerable.Range(0, (11 + width) / width).Select(x => x % 2 == 0 ? x * width : -1)]; int stride = keys.Length * width + 3, height = Math.Min(4, 12 - q); var rows = new Real[height * stride];
                t.Hide(rows, stride, q, height, keys, width, Real.NegativeInfinity);
                for (int x = 0; x < height; x++)
                    for (int j = 0; j < 12; j++) if ((keys[j / width] < 0 || p.Allows(q + x, j)) != (rows[x * stride + j] == 0)) wrong++;
            }
            for (int width = 1; width <= 5; width++)
                for (int end = q + 1; end <= 12; end++)
                {
                    var covers = new Cover[(11 - width) / width + 1];
                    t.Tiles(q, end, width, 12, width, covers);
                    for (int x = 0; x < covers.Length; x++)
                    {
                        bool any = false, all = true;
                        for (int i = q; i < end; i++) for (int j = width + x * width; j < Math.Min(12, 2 * width + x * width); j++) { bool b = p.Allows(i, j); any |= b; all &= b; }
                        if (covers[x] == Cover.All && !all || covers[x] == Cover.None && any) wrong++;
                    }
                }
        }
        return wrong;
    }

    /// <summary>The largest relative disagreement of a score's row forms with its scalar forms, and of Slope with central differences of Of.</summary>
    public static double RowsDisagree(IScore score)
    {
        double worst = 0; var raw = new Real[13]; var rows = new Real[13]; var slopes = new Real[13];
        foreach (Real size in new[] { (Real)0.5, 3, 40 })
            foreach (int head in new[] { 0, 1 })
                foreach (var (query, first) in new[] { (20, 3), (5, 5), (100, 88) })
                {
                    new Rng(9).Normal(raw, size);
                    raw.CopyTo(rows, 0); Array.Fill(slopes, (Real)2);
                    score.Row(rows, head, query, first); score.SlopeRow(raw, slopes, head, query, first);
                    for (int j = 0; j < raw.Length; j++)
                    {
                        Real y = score.Of(raw[j], head, query, first + j), slope = score.Slope(raw[j], head, query, first + j), h = (Real)1e-2;
                        double numeric = (score.Of(raw[j] + h, head, query, first + j) - (double)score.Of(raw[j] - h, head, query, first + j)) / (2 * (double)h);
                        worst = Math.Max(worst, Math.Abs(rows[j] - y) / Math.Max(1, Math.Abs(y)));
                        worst = Math.Max(worst, Math.Abs(slopes[j] - 2 * slope));
                        worst = Math.Max(worst, 0.01 * Math.Abs(numeric - slope));
                    }
                }
        return worst;
    }

    /// <summary>Error of a normaliser: weight of −∞ must be 0, Slope must be the derivative (by central differences, weighted 0.01), nothing may be NaN.</summary>
    public static double NormaliserErrs(Type normaliser) =>
        (double)typeof(PartLaws).GetMethod(nameof(Errs), BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(normaliser).Invoke(null, null)!;

    static double Errs<T>() where T : struct, INormaliser
    {
        var x = new Real[23]; new Rng(4).Normal(x, 3);
        x[3] = Real.NegativeInfinity; x[5] = 100; x[6] = -100;
        Real[] y = [.. x], up = [.. x], down = [.. x]; var slope = new Real[x.Length]; Array.Fill(slope, 1);
        const double h = 1e-2;
        for (int i = 0; i < x.Length; i++) { up[i] += (Real)h; down[i] -= (Real)h; }
        T.Weights(y); T.Weights(up); T.Weights(down); T.Slope(y, slope);
        double worst = Math.Abs(y[3]) + Math.Abs(slope[3]);
        for (int i = 0; i < x.Length; i++)
        {
            if (!Real.IsFinite(y[i]) || !Real.IsFinite(slope[i])) return double.PositiveInfinity;
            if (i != 3) worst = Math.Max(worst, 0.01 * Math.Abs(slope[i] - (up[i] - y[i] + y[i] - down[i]) / (2 * h)));
        }
        return worst;
    }
}
