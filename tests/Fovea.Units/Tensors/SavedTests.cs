using Fovea.Kernels;
using Fovea.Models;
namespace Fovea.Units;

public class SavedTests
{
    /// <summary>Keeps the numbers as they are, so that only the packing itself can go wrong.</summary>
    sealed class Copies : SavedTensors
    {
        public readonly List<(int Layer, int Ordinal)> Seen = [];
        protected override Packed? Pack(Tensor t, int layer, int ordinal, Pass pass) { Seen.Add((layer, ordinal)); return new Copy(t.Span.ToArray()); }
        sealed class Copy(Real[] x) : Packed { public override long Bytes => x.Length; public override void Unpack(Span<Real> to) => x.CopyTo(to); }
    }

    static (double Loss, Real[] Grad, long Live) Step(SavedTensors? saved)
    {
        var w = Weights.Random(new Rng(3)); var model = new DecoderModel(new(11, 16, 3, 2) { Length = 9, Hidden = 24, Dropout = 0.1 }, w); int[] tokens = [.. Enumerable.Range(0, 18).Select(i => i * 7 % 11)];
        long before = Diagnostics.LiveBytes; bool poison = Diagnostics.PoisonReleasedMemory;
        try
        {
            Diagnostics.PoisonReleasedMemory = true;
            using var scope = Scope.Train();
            var loss = model.Loss(tokens, tokens, 2, new Pass { Training = true, Rng = new(5), Saved = saved });
            long live = Diagnostics.LiveBytes - before; double value = loss.Item;
            loss.Backward();
            return (value, [.. w.All.Values.SelectMany(p => p.Grad.ToArray())], live);
        }
        finally { Diagnostics.PoisonReleasedMemory = poison; }
    }

    [Fact]
    public void Packing_that_keeps_the_numbers_changes_no_bit_of_loss_and_gradients()
    {
        long before = Diagnostics.LiveBytes; var copies = new Copies(); var plain = Step(null); var packed = Step(copies);
        Assert.Equal(plain.Loss, packed.Loss); Assert.Equal(plain.Grad, packed.Grad);
        Assert.True(packed.Live < 0.5 * plain.Live); Assert.Equal(before, Diagnostics.LiveBytes);
        Assert.Equal([0, 1, 2], copies.Seen.Select(s => s.Layer).Distinct());
        Assert.Equal(Enumerable.Range(0, copies.Seen.Count), copies.Seen.Select(s => s.Ordinal));
        Assert.True(copies.FullBytes == sizeof(Real) * copies.PackedBytes && copies.PackedBytes > 0);
    }

    [Fact]
    public void Eight_bits_leave_the_loss_alone_and_gradients_close()
    {
        var plain = Step(null); var mesa = Step(new Mesa(2, least: 1)); double dot = 0, a = 0, b = 0;
        Assert.Equal(plain.Loss, mesa.Loss); Assert.NotEqual(plain.Grad, mesa.Grad);
        for (int i = 0; i < plain.Grad.Length; i++) { dot += plain.Grad[i] * mesa.Grad[i]; a += plain.Grad[i] * plain.Grad[i]; b += mesa.Grad[i] * mesa.Grad[i]; }
        Assert.True(dot / Math.Sqrt(a * b) > 0.999);
    }

    [Fact]
    public void Layers_may_be_left_out_and_evaluation_packs_nothing()
    {
        var all = new Mesa(2, least: 1); var some = new Mesa(2, least: 1, layers: l => l == 1);
        Step(all); Step(some);
        Assert.InRange(some.FullBytes, 1, all.FullBytes / 2);
        using var scope = Scope.NoGrad(); var model = new DecoderModel(new(11, 16, 1, 2), Weights.Random(new Rng(3))); var none = new Mesa(2, least: 1);
        model.Forward([1, 2, 3], 1, new Pass { Saved = none });
        Assert.Equal(0, none.FullBytes);
    }

    [Fact]
    public void What_is_marked_exact_is_left_alone()
    {
        var copies = new Copies(); using var scope = Scope.Train(); var pass = new Pass { Saved = copies };
        var section = copies.Open(pass); var x = Tensor.Full([300], 2).Exactly(); var y = Tensor.Full([300], 3); var z = Tensor.Full([300], 4);
        section.Close(z);
        Assert.Single(copies.Seen); Assert.Equal(2, x.Span[0]); Assert.Equal(3, y.Span[0]); Assert.Equal(4, z.Span[0]);
    }

    [Theory]
    [InlineData(1, 1, 7), InlineData(3, 2, 5), InlineData(70, 3, 200)]
    public void Codes_come_back_within_a_step_of_their_group(int outer, int groups, int inner)
    {
        var x = new Real[outer * groups * inner]; new Rng(2).Normal(x); for (int i = 0; i < x.Length; i++) x[i] *= 1 + i / inner % groups * 100;
        Real[] low = new Real[groups], range = new Real[groups], y = new Real[x.Length]; var codes = new byte[x.Length];
        ByteGroups.Ranges(x, outer, groups, inner, low, range);
        foreach (ulong? key in (ulong?[])[null, 9])
        {
            ByteGroups.Encode(x, outer, groups, inner, low, range, key, codes); ByteGroups.Decode(codes, outer, groups, inner, low, range, y);
            for (int i = 0; i < x.Length; i++) Assert.InRange(Math.Abs(y[i] - x[i]), 0, range[i / inner % groups] / 255 * (key is null ? 0.501 : 1.001));
        }
        Array.Fill(x, 5);
        ByteGroups.Ranges(x, outer, groups, inner, low, range); ByteGroups.Encode(x, outer, groups, inner, low, range, 1, codes); ByteGroups.Decode(codes, outer, groups, inner, low, range, y);
        Assert.Equal(x, y);
    }
}
