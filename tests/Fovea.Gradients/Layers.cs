using Fovea.Mechanisms;
using Fovea.Models;

namespace Fovea.GradientTests;

/// <summary>Layers, positions and whole models.</summary>
public sealed class Layers
{
    static void Check(Func<Weights, Func<Tensor, Pass, Tensor>> make, params int[] shape)
    {
        var w = Weights.Random(new Rng(7)); var f = make(w); var x = GradientCheck.Input(5, Shape.Of(shape));
        GradientCheck.Holds(w.All.Append(new("input", x)), () => GradientCheck.Weighted(f(x, new Pass { Training = true, Rng = new(3) })));
    }

    [Fact] public void Linear() => Check(w => { var l = new Linear(w, 5, 7, bias: true); return (x, _) => l.Forward(x); }, 2, 3, 5);
    [Fact] public void Embedding() => Check(w => { var e = new Embedding(w, 9, 5); return (x, _) => e.Forward([1, 8, 1, 0], 2) * x; }, 2, 2, 5);
    [Fact] public void LayerNorm() => Check(w => new LayerNorm(w, 5).Forward, 2, 3, 5);
    [Fact] public void RmsNorm() => Check(w => new RmsNorm(w, 5).Forward, 2, 3, 5);
    [Fact] public void GroupNorm() => Check(w => new GroupNorm(w, 6, 2).Forward, 2, 6, 4);
    [Fact]
    public void BatchNorm()
    {
        Check(w => new BatchNorm(w, 6).Forward, 3, 6, 4);
        Check(w => { var n = new BatchNorm(w, 6); return (x, _) => n.Forward(x, Pass.Eval); }, 3, 6, 4);
    }
    [Fact] public void Mlp() => Check(w => new Mlp(w, 5, 8).Forward, 2, 3, 5);
    [Fact] public void SwiGlu() => Check(w => new SwiGlu(w, 5, 8).Forward, 2, 3, 5);
    [Fact]
    public void Losses()
    {
        var target = Tensor.Normal(new Rng(8), [3, 5]);
        Check(_ => (x, _) => Fovea.Losses.MeanSquare(x, target), 3, 5);
        Check(_ => (x, _) => Fovea.Losses.MeanAbsolute(x, target), 3, 5);
        Check(_ => (x, _) => Fovea.Losses.BinaryCrossEntropy(x, target.Sigmoid()), 3, 5);
        Check(_ => (x, _) => Fovea.Losses.Distillation(x, target), 3, 5);
    }
    [Fact] public void Lstm() => Check(w => { var l = new Lstm(w, 5, 4); return (x, _) => l.Forward(x, new(x.Slice(1, 0, 1).Slice(2, 0, 4).Reshape([2, 4]), x.Slice(1, 1, 2).Slice(2, 1, 5).Reshape([2, 4]))).Outputs; }, 2, 3, 5);
    [Fact] public void AdditiveScore() => Check(w => { var s = new AdditiveScore(w, 5, 5, 4); return (x, _) => s.Forward(s.Keys(x), x.Slice(1, 0, 2)); }, 2, 3, 5);
    [Fact]
    public void Pointers()
    {
        Check(w => { var m = new PointerNetwork(w, 2, 6); return (x, _) => m.Loss(x, [3, 1, 0, -1, -1, 2, 4, 3, 1, 0]); }, 2, 4, 2);
        Check(w => { var m = new DictionaryNetwork(w, 2, 6, 5); return (x, _) => m.Loss(x, [3, 1, 0, -1, -1, 2, 4, 3, 1, 0]); }, 2, 4, 2);
    }
    [Fact] public void RelativeShift() => Check(_ => (x, _) => Tensor.Concat(-1, Fovea.Mechanisms.RelativeShift.Skew(x.Slice(3, 0, 3)), Fovea.Mechanisms.RelativeShift.SkewPrevious(x)), 2, 1, 3, 5);
    [Fact]
    public void StraightThrough_is_off_unless_asked() => Check(w => { var a = new MohTunedAttention(new(16, 4), w, 1, 2); return (x, p) => a.Forward(x, p); }, 2, 9, 16);
    [Fact]
    public void TokenMixers()
    {
        Check(_ => (x, _) => new FourierMixer().Forward(x, x, x), 2, 2, 7, 3);
        Check(w => { var m = new StateSpaceMixer(w.Get("lambda", [2, 3], t => t.Span.Fill((Real)0.7)), w.Get("b", [2, 3]), w.Get("c", [2, 3])); return (x, _) => m.Forward(x, x, x); }, 2, 2, 7, 3);
        Check(_ => (x, _) => new StridedMixer(3, 2).Forward(x, x, x), 1, 2, 8, 3);
    }
    [Fact]
    public void Maps()
    {
        Check(w => { var m = new MapAttention(new(6, 2, Position: new Rope()), w); return (x, _) => m.Forward(x.Slice(0, 0, 1), x); }, 3, 5, 6);
        Check(w => { var m = new DeconstructedModel(new(5, 6, 2, 1) { Hidden = 4, Length = 6 }, w, "rs", new Rng(3)); return (x, p) => m.Forward([1, 4, 2, 0, 3, 3], 2, p) * x; }, 2, 3, 5);
    }
    [Fact]
    public void PartialAttention()
    {
        var w = Weights.Random(new Rng(7)); var m = new PartialAttentionModel(new(5, 4, 2, 1) { Hidden = 4, Tied = false }, w, RedOptions.Palm); var x = GradientCheck.Input(5, [2, 3, 4]);
        // Small vectors are added to large ones: a smaller step keeps the next order of the difference below the bound.
        GradientCheck.Holds(w.All.Append(new("input", x)), () => GradientCheck.Weighted(m.Decode([1, 0], m.Encode(x, Pass.Eval), Pass.Eval)), 3e-5);
    }
    [Fact] public void Dropout() => Check(w => { var d = new Dropout(w["drop"], 0.5); return d.Forward; }, 2, 3, 5);

    public static TheoryData<string> Scalings => ["none", "linear", "ntk", "yarn", "llama3", "half", "power", "truncated", "xpos"];
    [Theory, MemberData(nameof(Scalings))]
    public void Rotary(string kind)
    {
        Position p = kind switch
        {
            "linear" => new Rope(scaling: new LinearScaling(4)),
            "ntk" => new Rope(scaling: new NtkScaling(4)),
            "yarn" => new Rope(scaling: new YarnScaling(4, 8)),
            "llama3" => new Rope(scaling: new Llama3Scaling(8, 16)),
            "half" => new Rope(share: 0.5),
            "power" => new Rope(scaling: new PowerScaling(0.5)),
            "truncated" => new Rope(scaling: new TruncatedScaling(8)),
            "xpos" => new XPos(scaling: new LinearScaling(4)),
            _ => new Rope(),
        };
        Check(_ => (x, _) => p.Apply(x, [0, 3, 40]), 2, 2, 3, 10);
    }

    static readonly ModelConfig Tiny = new(11, 16, 2, 2) { Length = 16, Hidden = 24 };
    [Fact]
    public void Decoder()
    {
        foreach (var c in new[] { Tiny, Tiny with { Tied = false, Dropout = 0.2, Position = null, TokenPositions = (w, n, d) => new LearnedPositions(w, n, d), Norm = (w, d) => new LayerNorm(w, d), FeedForward = (w, d, h) => new Mlp(w, d, h) } })
        {
            var w = Weights.Random(new Rng(7)); var m = new DecoderModel(c, w);
            GradientCheck.Holds(w.All, () => m.Loss([1, 2, 3, 4, 5, 10], [2, 3, -1, 5, 10, 0], 2, new Pass { Training = true, Rng = new(3) }));
        }
    }
    [Fact]
    public void Encoder()
    {
        var w = Weights.Random(new Rng(7)); var m = new EncoderModel(Tiny with { TokenPositions = (_, _, d) => new SinusoidalPositions(d) }, w);
        GradientCheck.Holds(w.All, () => GradientCheck.Weighted(m.Forward([1, 2, 3, 4, 5, 10], 2, new Pass { Training = true, Rng = new(3) })));
    }
    [Fact]
    public void EncoderDecoder()
    {
        var w = Weights.Random(new Rng(7)); var m = new EncoderDecoderModel(Tiny, w);
        GradientCheck.Holds(w.All, () => GradientCheck.Weighted(m.Forward([1, 2, 3, 4, 5, 10], [7, 8, 9, 0], 2, new Pass { Training = true, Rng = new(3) })));
    }
}
