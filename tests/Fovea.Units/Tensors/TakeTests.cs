namespace Fovea.Units;

public class TakeTests
{
    [Theory, InlineData(0), InlineData(1), InlineData(2), InlineData(-1)]
    public void Takes_places_of_an_axis_in_any_order_and_as_often_as_asked(int axis)
    {
        var x = Tensor.From([.. Enumerable.Range(0, 3 * 4 * 5).Select(i => (Real)i)], [3, 4, 5]); x.RequiresGrad = true;
        int[] order = [2, 0, 2]; int a = axis < 0 ? axis + 3 : axis;
        using var scope = Scope.Train();
        var y = x.Take(axis, order);
        Assert.Equal(x.Shape.With(a, 3), y.Shape);
        var (p, q, r) = y.Shape;
        y.Backward([.. Enumerable.Repeat((Real)1, y.Shape.Size)]);
        for (int i = 0; i < p; i++)
            for (int j = 0; j < q; j++)
                for (int k = 0; k < r; k++)
                {
                    int[] at = [i, j, k]; at[a] = order[at[a]];
                    Assert.Equal((at[0] * 4 + at[1]) * 5 + at[2], y.Span[(i * q + j) * r + k]);
                }
        for (int i = 0; i < 60; i++) Assert.Equal(order.Count(o => o == (a == 0 ? i / 20 : a == 1 ? i / 5 % 4 : i % 5)), x.Grad[i]);
    }

    [Fact]
    public void A_place_that_is_not_there_is_named() =>
        Assert.Contains("axis 1", Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Zeros([3, 4, 5]).Take(1, [4])).Message);
}
