using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>
/// A block of slow and fast nets (hyperzzw, §3.3): with G = x ∘ K_g, m = std(mix x), h = std(hyper-mix x) and f = std(RGU₁ x + RGU₂ G), ten branches are concatenated: G·f, G·m, G·h, σ(G·f) ∘ G·f, f, the interaction of G·f and x through
/// channel and spatial gates, and four local ones (kernels of 3, 9, 5 and 7 pixels from x, h, m, x; maps h, x, x, m), each gelu(std(mix(convolution))) plus a number; a linear bottleneck and GELU make the output.
/// RGU(x) = W_y gelu(std(W_k x ∘ W_q W_v x)). The slow kernel of a local branch is multiplied by 1 + what its map shows, averaged to its size and mixed, at first by 0: else every image has noise in its kernels before anything is learned.
/// Nothing is added to what came in. As in the authors' code m, h, f and the insides of RGU and of local branches are standardised and products of maps are not. What leaves the bottleneck is not either, where they standardise groups of
/// channels by image and batch: by image alone, what a channel weighs is lost before the mean over pixels reads it.
/// </summary>
[From("hyperzzw", "§3.3")]
public sealed class SlowFastBlock
{
    static readonly int[] Sizes = [3, 9, 5, 7];
    readonly SlowNet global, channel, gate; readonly Near[] local; readonly Unit first, second; readonly Tensor enter, mix, channelGate, exit; readonly int side; readonly bool constant;

    /// <param name="constant">True: K_g is one learned number per channel instead of a slow net's.</param>
    public SlowFastBlock(Weights w, int inputs, int channels, int side, bool constant = false)
    {
        (this.side, this.constant) = (side, constant);
        enter = w.Get("enter", [channels, inputs]); mix = w.Get("mix", [channels, channels]); channelGate = w.Get("channel_gate", [channels, channels]); exit = w.Get("exit", [2 * channels, 10 * channels]);
        (first, second) = (new(w["rgu"][0], channels), new(w["rgu"][1], channels)); local = [.. Sizes.Select((k, i) => new Near(w["local"][i], w["slow"]["local"][i], channels, k))];
        global = new(w["slow"]["global"], 2, channels, points: side * side); channel = new(w["slow"]["channel"], 2, 1); gate = new(w["slow"]["gate"], 2, 1);
    }

    sealed class Unit(Weights w, int channels)
    {
        readonly Tensor k = w.Get("k", [channels, channels]), v = w.Get("v", [channels, channels]), q = w.Get("q", [channels, channels]), y = w.Get("y", [channels, channels]);
        public Tensor Forward(Tensor x) => HyperZzw.Mix(HyperZzw.Standardise(HyperZzw.Mix(x, k) * HyperZzw.Mix(HyperZzw.Mix(x, v), q)).Gelu(), y);
    }

    sealed class Near(Weights w, Weights slow, int channels, int size)
    {
        readonly SlowNet kernel = new(slow, 2, channels, 8, 2); readonly Tensor shown = w.Get("shown", [channels, channels], Init.Zeros), mix = w.Get("mix", [channels, channels]), bias = w.Get("bias", [1], Init.Zeros);
        public Tensor Forward(Tensor source, Tensor map) =>
            HyperZzw.Standardise(HyperZzw.Mix(HyperZzw.Local(map, kernel.Forward(SlowNet.Grid(size, size)).Reshape([channels, size, size]), source, shown), mix)).Gelu() + bias;
    }

    /// <summary>x [B,In,S,S] → [B,2C,S,S], the global kernel [C,S,S], and m, h and f, which are standardised over pixels.</summary>
    public (Tensor Y, Tensor Global, Tensor[] Standardised) Forward(Tensor x)
    {
        int c = mix.Shape[0]; var grid = SlowNet.Grid(side, side); x = HyperZzw.Mix(x, enter); var b = x.Shape[0];
        Tensor k = global.Forward(grid).Reshape([c, side, side]); if (constant) k = k.Reshape([c, side * side]).Mean(1).Reshape([c, 1, 1]).Expand([c, side, side]);
        static Tensor Std(Tensor t) => HyperZzw.Standardise(t);
        Tensor m = Std(HyperZzw.Mix(x, mix)), h = Std(HyperZzw.Mix(x, channel.Forward(SlowNet.Grid(c, c)).Reshape([c, c]))), f = Std(first.Forward(x) + second.Forward(x * k));
        Tensor gf = HyperZzw.Global(x, k, f), channels = gf.Reshape([b, c, side * side]).Mean(2).Reshape([b, c]).MatMulT(channelGate).Sigmoid().Reshape([b, c, 1, 1]);
        var space = (gf.Mean(1) * gate.Forward(grid).Reshape([1, side, side])).Sigmoid(); Tensor inter = x * channels * space;
        Tensor[] branches = [gf, HyperZzw.Global(x, k, m), HyperZzw.Global(x, k, h), gf.Sigmoid() * gf, f, inter, local[0].Forward(x, h), local[1].Forward(h, x), local[2].Forward(m, x), local[3].Forward(x, m)];
        var y = HyperZzw.Mix(Tensor.Concat(1, branches), exit).Gelu();
        return (y, k, [m, h, f]);
    }
}

/// <summary>
/// Terminator: slow-fast blocks one after the other without residuals or pooling, a mean over pixels and a linear layer. While training, λ·mean (K_g − K_g of the last block)² is added for every block, which tells slow nets of early
/// blocks what the last has found (hyperzzw, § slow neural loss; the target is not moved by it).
/// </summary>
[From("hyperzzw", "§3.4")]
public sealed class Terminator(Weights w, int classes, int side, int channels = 16, int blocks = 3, double slowLoss = 0.1, bool constant = false)
{
    readonly SlowFastBlock[] blocks = [.. Enumerable.Range(0, blocks).Select(i => new SlowFastBlock(w["blocks"][i], i == 0 ? 3 : 2 * channels, channels, side, constant))]; readonly Linear head = new(w["head"], 2 * channels, classes, bias: true);
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
