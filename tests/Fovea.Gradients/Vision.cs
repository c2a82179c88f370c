using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.GradientTests;

/// <summary>Blocks of vision models.</summary>
public sealed class Vision
{
    [Fact]
    public void A_slow_fast_block_and_all_its_parameters()
    {
        var w = Weights.Random(new Rng(7)); var block = new SlowFastBlock(w, 3, 4, 6); var x = GradientCheck.Input(5, [2, 3, 6, 6]);
        GradientCheck.Holds(w.All.Append(new("input", x)), () => GradientCheck.Weighted(block.Forward(x).Y), 1e-5);
    }
}
