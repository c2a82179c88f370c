using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>
/// A block of slow and fast nets (hyperzzw, §3.3): with G = x ∘ K_g, m = std(mix x), h = std(hyper-mix x) and f = std(RGU₁ x + RGU₂ G), ten branches are standardised and concatenated: G·f, G·m, G·h, σ(G·f) ∘ G·f, f, the
/// interaction of G·f and x through channel and spatial gates, and four local convolutions (kernels from x, h, m, x; maps h, x, x, m), each plus a number; a linear bottleneck and GELU make the output. RGU(x) = W₁x ∘ σ(W₂x).
/// Nothing is added to what came in. What the paper leaves open: branches are standardised before the bottleneck, and GELU follows it, without which the mean over standardised maps would be zero.
/// </summary>
[From("hyperzzw", "§3.3")]
public sealed class SlowFastBlock
{
    readonly SlowNet global, channel, gate; readonly SlowNet[] local; readonly Tensor enter, mix, a1, b1, a2, b2, channelGate, bias, exit; readonly int side; readonly bool constant;

    /// <param name="constant">True: K_g is one learned number per channel instead of a slow net's.</param>
    public SlowFastBlock(Weights w, int inputs, int channels, int side, int kernel = 3, bool constant = false)
    {
        (this.side, this.constant, Kernel) = (side, constant, kernel);
        enter = w.Get("enter", [channels, inputs]); mix = w.Get("mix", [channels, channels]); channelGate = w.Get("channel_gate", [channels, channels]); bias = w.Get("bias", [4], Init.Zeros);
        a1 = w.Get("rgu1_a", [channels, channels]); b1 = w.Get("rgu1_b", [channels, channels]); a2 = w.Get("rgu2_a", [channels, channels]); b2 = w.Get("rgu2_b", [channels, channels]); exit = w.Get("exit", [2 * channels, 10 * channels]);
        global = new(w["slow"]["global"], 2, channels); channel = new(w["slow"]["channel"], 2, 1); gate = new(w["slow"]["gate"], 2, 1); local = [.. Enumerable.Range(0, 4).Select(i => new SlowNet(w["slow"]["local"][i], 2, channels, 4, 2))];
    }
    int Kernel { get; }

    /// <summary>x [B,In,S,S] → [B,2C,S,S], the global kernel [C,S,S] and the standardised branches.</summary>
    public (Tensor Y, Tensor Global, Tensor[] Branches) Forward(Tensor x)
    {
        int c = mix.Shape[0]; var grid = SlowNet.Grid(side, side); x = HyperZzw.Mix(x, enter); var b = x.Shape[0];
        Tensor k = global.Forward(grid).Reshape([c, side, side]); if (constant) k = k.Reshape([c, side * side]).Mean(1).Reshape([c, 1, 1]).Expand([c, side, side]);
        Tensor Std(Tensor t) => HyperZzw.Standardise(t); Tensor Rgu(Tensor t, Tensor one, Tensor two) => HyperZzw.Mix(t, one) * HyperZzw.Mix(t, two).Sigmoid();
        var g = x * k; Tensor m = Std(HyperZzw.Mix(x, mix)), h = Std(HyperZzw.Mix(x, channel.Forward(SlowNet.Grid(c, c)).Reshape([c, c]))), f = Std(Rgu(x, a1, b1) + Rgu(g, a2, b2));
        Tensor gf = HyperZzw.Global(x, k, f), channels = gf.Reshape([b, c, side * side]).Mean(2).Reshape([b, c]).MatMulT(channelGate).Sigmoid().Reshape([b, c, 1, 1]);
        var space = (gf.Mean(1) * gate.Forward(grid).Reshape([1, side, side])).Sigmoid(); Tensor inter = x * channels * space; var points = SlowNet.Grid(Kernel, Kernel);
        Tensor Near(int i, Tensor source, Tensor map) => HyperZzw.Local(map, local[i].Forward(points).Reshape([c, Kernel, Kernel]), source) + bias.Slice(0, i, i + 1);
        Tensor[] branches = [Std(gf), Std(HyperZzw.Global(x, k, m)), Std(HyperZzw.Global(x, k, h)), Std(gf.Sigmoid() * gf), f, Std(inter), Std(Near(0, x, h)), Std(Near(1, h, x)), Std(Near(2, m, x)), Std(Near(3, x, m))];
        return (HyperZzw.Mix(Tensor.Concat(1, branches), exit).Gelu(), k, branches);
    }
}

/// <summary>
/// Terminator: slow-fast blocks one after the other without residuals or pooling, a mean over pixels and a linear layer. While training, λ·mean (K_g − K_g of the last block)² is added for every block, which tells slow nets of early
/// blocks what the last has found (hyperzzw, § slow neural loss; the target is not moved by it).
/// </summary>
[From("hyperzzw", "§3.4")]
public sealed class Terminator(Weights w, int classes, int side, int channels = 16, int blocks = 3, double slowLoss = 0.1, bool constant = false)
{
    readonly SlowFastBlock[] blocks = [.. Enumerable.Range(0, blocks).Select(i => new SlowFastBlock(w["blocks"][i], i == 0 ? 3 : 2 * channels, channels, side, 3, constant))]; readonly Linear head = new(w["head"], 2 * channels, classes, bias: true);
    public IReadOnlyList<SlowFastBlock> Blocks => blocks;

    /// <summary>images [B,3,S,S] → logits [B,V].</summary>
    public Tensor Forward(Tensor images, Pass pass)
    {
        Check.Shape(images, [-1, 3, side, side]); var x = images; var kernels = new List<Tensor>();
        foreach (var block in blocks) { (x, var k, _) = block.Forward(x); kernels.Add(k); }
        if (pass.Training && slowLoss > 0 && kernels.Count > 1) { var last = kernels[^1].Detach(); foreach (var k in kernels[..^1]) pass.Penalise((k - last).Square().Mean() * (Real)slowLoss); }
        var (b, c, s, _) = x.Shape; return head.Forward(x.Reshape([b, c, s * s]).Mean(2).Reshape([b, c]));
    }
}

/// <summary>A plain network of depthwise convolutions and channel mixes, for comparison: y = gelu(std(mix(depthwise x))), with or without x added.</summary>
public sealed class SeparableNet
{
    readonly Tensor enter; readonly (Tensor Depth, Tensor Up, Tensor Down)[] layers; readonly Linear head; readonly bool residual;

    public SeparableNet(Weights w, int classes, int channels, int hidden, int depth, bool residual)
    {
        this.residual = residual; enter = w.Get("enter", [channels, 3]); head = new(w["head"], channels, classes, bias: true);
        layers = [.. Enumerable.Range(0, depth).Select(i => (w["layers"][i].Get("depth", [channels, 3, 3]), w["layers"][i].Get("up", [hidden, channels]), w["layers"][i].Get("down", [channels, hidden])))];
    }

    public Tensor Forward(Tensor images, Pass pass)
    {
        var x = HyperZzw.Mix(images, enter);
        foreach (var (depth, up, down) in layers) { var y = HyperZzw.Mix(HyperZzw.Mix(HyperZzw.Standardise(HyperZzw.Depthwise(x, depth)), up).Gelu(), down); x = residual ? x + y : y.Gelu(); }
        var (b, c, s, _) = x.Shape; return head.Forward(x.Reshape([b, c, s * s]).Mean(2).Reshape([b, c]));
    }
}
