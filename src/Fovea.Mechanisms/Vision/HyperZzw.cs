using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// A slow net: weights as a function of coordinates c ∈ [−1,1]^D, h¹ = g(c;θ¹), h^{i+1} = (W_i hⁱ + b_i) ∘ g(c;θ^{i+1}), output W_o h + b_o, with Gabor filters g(c) = exp(−½ γ² ‖c − μ‖²) sin(w·c + b) (hyperzzw, § hyper-kernel
/// generator). What it makes has as few parameters as the net, whatever the size.
/// </summary>
[From("hyperzzw", "§3.1")]
public sealed class SlowNet
{
    readonly Linear[] mix, waves; readonly Tensor[] centre, width; readonly Linear output; readonly int dim, layers;

    /// <param name="points">What it makes is added up over so many places: the output layer begins smaller by its root.</param>
    public SlowNet(Weights w, int dim, int outputs, int hidden = 8, int layers = 3, int points = 1)
    {
        (this.dim, this.layers) = (dim, layers);
        waves = [.. Enumerable.Range(0, layers).Select(i => Wave(w["wave"][i], dim, hidden))]; mix = [.. Enumerable.Range(0, layers - 1).Select(i => Mix(w["mix"][i], hidden))];
        centre = [.. Enumerable.Range(0, layers).Select(i => w["centre"][i].Get("weight", [hidden, dim]))]; width = [.. Enumerable.Range(0, layers).Select(i => w["width"][i].Get("weight", [hidden], Init.Ones))];
        w["out"].Get("weight", [outputs, hidden], t => w["out"].Rng["weight"].Normal(t.Span, 1 / Real.Sqrt(hidden * points))); output = new(w["out"], hidden, outputs, bias: true);
        // Any phase (the sine takes six times this): without one all filters are 0 in the middle, where a local kernel has its pixel.
        static Linear Wave(Weights w, int dim, int hidden) { w.Get("bias", [hidden], t => { for (int i = 0; i < hidden; i++) t.Span[i] = (Real)((2 * w.Rng["bias"].Uniform(i) - 1) * Math.PI / 6); }); return new(w, dim, hidden, bias: true); }
        // Biases of 1, so that a layer is its filter plus what it mixes, and a product of small numbers only where it has to be.
        static Linear Mix(Weights w, int hidden) { w.Get("bias", [hidden], Init.Ones); return new(w, hidden, hidden, bias: true); }
    }

    /// <summary>The points of a grid of these sizes, each axis from −1 to 1, [P,D].</summary>
    public static Tensor Grid(params int[] sizes)
    {
        int points = 1; foreach (int s in sizes) points *= s; var c = Tensor.Empty([points, sizes.Length]);
        for (int p = 0; p < points; p++)
            for (int axis = sizes.Length - 1, rest = p; axis >= 0; rest /= sizes[axis--]) c.Span[p * sizes.Length + axis] = sizes[axis] == 1 ? 0 : 2 * (Real)(rest % sizes[axis]) / (sizes[axis] - 1) - 1;
        return c;
    }

    /// <summary>c [P,D] → [outputs,P]</summary>
    public Tensor Forward(Tensor c)
    {
        Check.Shape(c, [-1, dim]); Tensor? h = null;
        for (int i = 0; i < layers; i++)
        {
            var distance = c.Square().Sum(1) - c.MatMulT(centre[i]) * 2 + centre[i].Square().Sum(1).Reshape([centre[i].Shape[0]]);
            var g = (distance * width[i].Square() * (Real)(-0.5)).Exp() * (waves[i].Forward(c) * 6).Sin();
            h = h is null ? g : mix[i - 1].Forward(h) * g;
        }
        return output.Forward(h!).Transpose();
    }
}

/// <summary>The operators of Terminator between maps [B,C,H,W] (hyperzzw, §3.2).</summary>
[From("hyperzzw", "§3.2")]
public static class HyperZzw
{
    /// <summary>Global: (x ∘ K) · y, for every channel the product of two H × W matrices, so that a pixel meets its row of x and its column of y and after two steps all pixels; K [C,H,W], square maps. Divided by √W, which keeps the size.</summary>
    public static Tensor Global(Tensor x, Tensor kernel, Tensor y)
    {
        var (b, c, h, w) = x.Shape; Check.Shape(y, x.Shape); Check.Shape(kernel, [c, h, w]);
        if (h != w) throw new ShapeException($"maps are {x.Shape}; the global operator multiplies square ones");
        return (x * kernel).MatMul(y) * (1 / Real.Sqrt(w));
    }

    /// <summary>Its elementwise form for sequences, (x ∘ K) ∘ x, linear in the number of places; x [B,C,N], K [C,N].</summary>
    public static Tensor Elementwise(Tensor x, Tensor kernel) => x * kernel * x;

    /// <summary>Local: x [B,C,H,W] convolved channel by channel with a k × k kernel of its own for every image, the slow kernel [C,k,k] times 1 + what the map source [B,C,H,W] shows when it is averaged to k × k and its channels are mixed by [C,C].</summary>
    public static Tensor Local(Tensor x, Tensor kernel, Tensor source, Tensor shown)
    {
        var (b, c, h, w) = x.Shape; int k = kernel.Shape[1]; Check.Shape(kernel, [c, k, k]); Check.Shape(source, x.Shape); Check.Shape(shown, [c, c]);
        return Depthwise(x, (Mix(Averaged(source, k), shown) + 1) * kernel);
    }

    /// <summary>Means over a grid of k × k cells, [B,C,H,W] → [B,C,k,k]; cells of a side that k does not divide differ by one pixel.</summary>
    public static Tensor Averaged(Tensor x, int k)
    {
        var (b, c, h, w) = x.Shape; return x.Reshape([b * c, h, w]).MatMul(Cells(w, k)).Transpose().MatMul(Cells(h, k)).Transpose().Reshape([b, c, k, k]);
        static Tensor Cells(int n, int k)
        {
            var y = Tensor.Zeros([n, k]);
            for (int j = 0; j < k; j++) { int from = j * n / k, to = Math.Max(from + 1, (j + 1) * n / k); for (int i = from; i < to; i++) y.Span[i * k + j] = (Real)1 / (to - from); }
            return y;
        }
    }

    /// <summary>x [B,C,H,W] convolved with weight [C,k,k], or with one per image [B,C,k,k], zeros around.</summary>
    public static Tensor Depthwise(Tensor x, Tensor weight)
    {
        var (b, c, h, w) = x.Shape; int k = weight.Shape[-1]; bool each = weight.Shape.Rank == 4; int planes = each ? b * c : c, batch = each ? 1 : b;
        if (k % 2 == 0) throw new ShapeException($"a kernel of {k} pixels has no centre");
        if (each) Check.Shape(weight, [b, c, k, k]); else Check.Shape(weight, [c, k, k]);
        var size = new ConvSize(batch, planes, planes, h, w, k, k) { Groups = planes, PadHeight = k / 2, PadWidth = k / 2 }; var y = Tensor.Empty(x.Shape);
        Conv.Forward(size, x.Span, weight.Span, default, y.Span);
        return Tensor.Record(y, [x, weight], y => Conv.Backward(size, x.Span, weight.Span, y.Grad, x.Grad, weight.Grad, default));
    }

    /// <summary>Every channel of every image with mean 0 and variance 1 over its pixels, 1e-3 under the root; no parameters.</summary>
    public static Tensor Standardise(Tensor x) { var (b, c, h, w) = x.Shape; return x.Reshape([b, c, h * w]).LayerNorm(null, null, (Real)1e-3).Reshape(x.Shape); }

    /// <summary>Channels mixed by a matrix [Out,C]: a convolution of 1 × 1.</summary>
    public static Tensor Mix(Tensor x, Tensor weight)
    {
        var (b, c, h, w) = x.Shape; return x.Reshape([b, c, h * w]).Transpose().MatMulT(weight).Transpose().Reshape([b, weight.Shape[0], h, w]);
    }
}
