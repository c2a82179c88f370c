using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class SelectTests
{
    static Real[] Tied(int n, int seed) => [.. Trial.Draw(n, seed).Select((x, i) => i % 11 == 5 ? Real.NegativeInfinity : Real.Round(x * 3))];

    [Theory, InlineData(1, 1, 1), InlineData(3, 7, 3), InlineData(5, 70, 70), InlineData(2, 200, 16), InlineData(4, 3000, 1), InlineData(2, 5, 0)]
    public void Top_k_gives_the_largest_with_ties_to_the_smaller_index(int rows, int cols, int k)
    {
        var x = Tied(rows * cols, 1); var values = new Real[rows * k]; var indices = new int[rows * k];
        Select.TopK(x, rows, cols, k, values, indices);
        for (int r = 0; r < rows; r++)
        {
            var want = Enumerable.Range(0, cols).OrderByDescending(i => x[r * cols + i]).ThenBy(i => i).Take(k).ToArray();
            Assert.Equal(want, indices[(r * k)..((r + 1) * k)]); Assert.Equal(want.Select(i => x[r * cols + i]), values[(r * k)..((r + 1) * k)]);
        }
    }

    [Theory, InlineData(1, 1), InlineData(3, 7), InlineData(5, 200), InlineData(1, 5000)]
    public void Sorting_is_stable_in_both_directions(int rows, int cols)
    {
        var x = Tied(rows * cols, 2); var order = new int[rows * cols];
        foreach (bool down in new[] { false, true })
        {
            Select.ArgSort(x, rows, cols, order, down);
            for (int r = 0; r < rows; r++)
            {
                var all = Enumerable.Range(0, cols); var want = (down ? all.OrderByDescending(i => x[r * cols + i]) : all.OrderBy(i => x[r * cols + i])).ThenBy(i => i);
                Assert.Equal(want, order[(r * cols)..((r + 1) * cols)]);
            }
        }
    }

    [Fact]
    public void NaN_has_no_order()
    {
        Assert.Contains("x[1,2] is NaN", Assert.Throws<ArgumentException>(() => Select.TopK([1, 2, 3, 4, 5, Real.NaN], 2, 3, 1, new Real[2], new int[2])).Message);
        Assert.Contains("x[0,0] is NaN", Assert.Throws<ArgumentException>(() => Select.ArgSort([Real.NaN, 2, 3], 1, 3, new int[3])).Message);
        Assert.Contains("k is 4", Assert.Throws<ArgumentException>(() => Select.TopK(new Real[3], 1, 3, 4, new Real[4], new int[4])).Message);
    }

    [Theory, InlineData(1, 1), InlineData(3, 7), InlineData(2, 100_000)]
    public void Running_sums_go_both_ways(int rows, int cols)
    {
        Real[] x = Trial.Draw(rows * cols, 1), y = new Real[x.Length], z = (Real[])x.Clone(); double[] up = new double[x.Length], down = new double[x.Length];
        for (int r = 0; r < rows; r++) { double s = 0; for (int i = r * cols; i < (r + 1) * cols; i++) up[i] = s += x[i]; s = 0; for (int i = (r + 1) * cols - 1; i >= r * cols; i--) down[i] = s += x[i]; }
        Select.CumSum(x, y, rows, cols); Select.CumSum(z, z, rows, cols, reverse: true);
        Trial.Close(up, y, 1e-7); Trial.Close(down, z, 1e-7);
    }

    [Theory, InlineData(5, 1, 3), InlineData(9, 7, 70), InlineData(20, 300, 500), InlineData(3, 600, 0)]
    public void Gathered_rows_scatter_back(int rows, int cols, int count)
    {
        Real[] x = Trial.Draw(rows * cols, 1), y = new Real[count * cols], dy = Trial.Draw(count * cols, 2), dx = Trial.Ones(x.Length); int[] indices = [.. Enumerable.Range(0, count).Select(i => (i * i + 3 * i) % rows)]; var back = new double[x.Length];
        Select.Gather(x, rows, cols, indices, y); Select.ScatterAdd(dy, indices, dx, rows, cols);
        for (int i = 0; i < count; i++) for (int j = 0; j < cols; j++) { Assert.Equal(x[indices[i] * cols + j], y[i * cols + j]); back[indices[i] * cols + j] += dy[i * cols + j]; }
        Trial.CloseAdded(back, dx, 5e-6, "dx");
        Assert.Contains($"must be within [0, {rows})", Assert.Throws<ArgumentException>(() => Select.Gather(x, rows, cols, [rows], new Real[cols])).Message);
        Assert.Contains("indices[0] is -1", Assert.Throws<ArgumentException>(() => Select.ScatterAdd(new Real[cols], [-1], dx, rows, cols)).Message);
    }

    [Fact]
    public void Results_do_not_depend_on_the_thread_count()
    {
        Real[] x = Trial.Draw(60 * 3000, 1); int[] indices = [.. Enumerable.Range(0, 60).Select(i => i % 7)];
        Trial.OnAnyThreads(() => { Real[] y = new Real[x.Length], dx = new Real[7 * 3000], v = new Real[600]; Select.CumSum(x, y, 60, 3000); Select.ScatterAdd(x, indices, dx, 7, 3000); var at = new int[600]; Select.TopK(x, 60, 3000, 10, v, at); return [.. y, .. dx, .. v, .. at.Select(i => (Real)i)]; });
    }
}
