using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Testing;
namespace Fovea.Units;

public class PatternTests
{
    [Fact]
    public void Tiles_of_packed_documents_say_what_their_pairs_say()
    {
        Assert.Equal(0, PartLaws.LyingCovers(new Documents([0, 0, 0, 1, 2, 2, 2, 2, 5, 5, 6, 6])));
        Assert.Equal(Cover.None, new Documents([0, 0, 1, 1]).Tile(2, 3, 0, 1));
    }

    [Fact]
    public void A_packed_document_is_what_it_would_be_alone()
    {
        int[] starts = [0, 1, 8, 78, 200]; var of = new int[200];
        for (int t = 0; t < 4; t++) of.AsSpan(starts[t]..starts[t + 1]).Fill(t);
        Tensor[] x = [Tensor.Normal(new(1), [1, 2, 200, 8], 3), Tensor.Normal(new(2), [1, 2, 200, 8], 3), Tensor.Normal(new(3), [1, 2, 200, 8])];
        var packed = Softmax.Fused<Plain, Documents, SoftmaxWeights>(x[0], x[1], x[2], new(), new(of), new());
        for (int t = 0; t < 4; t++)
        {
            Tensor Part(Tensor y) => y.Slice(2, starts[t], starts[t + 1]);
            var alone = Softmax.Plain<Plain, Causal, SoftmaxWeights>(Part(x[0]), Part(x[1]), Part(x[2]), new(), new(), new(), Pass.Eval);
            Assert.True(Draws.Difference(Part(packed), alone) < 1e-5);
        }
    }
}
