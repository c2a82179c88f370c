using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Two-layer decoders on made-up melodies in rondo form, 192 events long, with absolute sinusoids and with relative attention: same sizes, steps and batches. Distances from half the length
/// on share a vector: of a vector per distance the last ones are hardly trained, and at twice the length they stand for most keys. Ablated: relative attention
/// is replaced by the absolute model, and the fused kernel by the naive gather.
/// </summary>
[Paper("music-transformer")]
public static class MusicTransformer
{
    const int Trained = 192, Far = Trained / 2, Steps = 700;
    static readonly ModelConfig Small = new(MusicEvents.Vocabulary, 64, 2, 4) { Length = Trained, Position = null };
    static DecoderModel Absolute(ClaimRun run) => SmallRuns.Train(run, "music-absolute", Small with { TokenPositions = (_, _, d) => new SinusoidalPositions(d) }, new Melodies(Trained), Steps, 8);
    static DecoderModel Relative(ClaimRun run) => run.Ablated ? Absolute(run) : SmallRuns.Train(run, "music-relative", Small, new Melodies(Trained), Steps, 8, mixer: (_, c, w) => new RelativeAttention(c with { Length = Far }, w));

    [Claim("Skewing gives what the gather of a vector per pair gives, for whole sequences and for a block and the one before, forward and gradients", Quick = true)]
    public static Evidence SkewIsGather(ClaimRun run)
    {
        const int n = 37, d = 16; double worst = 0;
        foreach (bool previous in new[] { false, true })
        {
            int rows = previous ? 2 * n - 1 : n;
            (Real[] Y, Real[] Dq, Real[] De) Of(bool skewed)
            {
                Tensor q = Draw(run, "q", [2, 3, n, d]), e = Draw(run, "e", [3, rows, d]), g = Draw(run, "g", [2, 3, n, n]);
                using var scope = Scope.Train();
                // Above the diagonal the global skew holds what the causal mask covers.
                for (int i = 0; i < n * n * 6 && !previous; i++) if (i % n > i / n % n) g.Span[i] = 0;
                var x = q.MatMulT(e.Expand([2, 3, rows, d]));
                var y = !skewed ? RelativeShift.Gather(q, e, n, (i, j) => previous ? n - 1 + j - i : Math.Max(0, n - 1 - i + j) % n) : previous ? RelativeShift.SkewPrevious(x) : RelativeShift.Skew(x);
                y *= previous ? Tensor.Full([n, n], 1) : Lower(n);
                (y * g).Sum().Backward();
                return (y.Span.ToArray(), q.Grad.ToArray(), e.Grad.ToArray());
            }
            var a = Of(true); var b = Of(false);
            worst = Math.Max(worst, Math.Max(SmallRuns.Apart(a.Y, b.Y), Math.Max(SmallRuns.Apart(a.Dq, b.Dq), SmallRuns.Apart(a.De, b.De))));
        }
        return Evidence.AtMost(worst, 2e-5, "", "largest difference of values and gradients, which are sums of up to 74 products of size one");
    }
    static Tensor Draw(ClaimRun run, string name, Shape shape)
    {
        var t = Tensor.Over(new Real[shape.Size], shape); run.Rng[name].Normal(t.Span); t.RequiresGrad = true;
        return t;
    }
    static Tensor Lower(int n) { var t = Tensor.Zeros([n, n]); for (int i = 0; i < n; i++) t.Span.Slice(i * n, i + 1).Fill(1); return t; }

    [Claim("Memory of the fused form grows with the length and not with its square; the skew needs at most 4/D of the gather", Quick = true)]
    public static Evidence Memory(ClaimRun run)
    {
        const int d = 64;
        long Fused(int n) => Scratch.Fresh(() => Diagnostics.PeakBytes(() =>
        {
            using var scope = Scope.Train();
            Tensor q = Draw(run, "q", [1, 1, n, d]), k = Draw(run, "k", [1, 1, n, d]), v = Draw(run, "v", [1, 1, n, d]), e = Draw(run, "e", [1, n, d]);
            var o = run.Ablated ? (q.MatMulT(k) + RelativeShift.Gather(q, e, n, (i, j) => Math.Max(0, n - 1 - i + j) % n)).Softmax().MatMul(v) : RelativeAttention.Fused(q, k, v, e);
            o.Sum().Backward();
        }));
        // The gather does not fit at the lengths that the fused form is measured at.
        var (few, many) = run.Ablated ? (64, 256) : (512, 8192);
        double exponent = Math.Log((double)Fused(many) / Fused(few)) / Math.Log((double)many / few);
        const int t = 512;
        Tensor q = Draw(run, "q", [1, 1, t, d]), e = Draw(run, "e", [1, t, d]);
        long Peak(Func<Tensor> of) => Diagnostics.PeakBytes(() => { using var scope = Scope.NoGrad(); of(); });
        long skewed = Peak(() => RelativeShift.Skew(q.MatMulT(e.Reshape([1, 1, t, d])))), naive = Peak(() => RelativeShift.Gather(q, e, t, (i, j) => Math.Max(0, t - 1 - i + j) % t));
        return Evidence.All(Evidence.AtMost(exponent, 1.1, "", $"exponent of peak bytes between {few} and {many} tokens, forward and backward, scratch included"),
            Evidence.AtLeast((double)naive / skewed, d / 4, "", "bytes of the gather over those of the skew, 512 tokens, D = 64"));
    }

    [Claim("Relative attention predicts held-out melodies better than absolute sinusoids, above all where a section returns, and holds at twice the length it was trained on")]
    public static Evidence Music(ClaimRun run)
    {
        DecoderModel absolute = Absolute(run), relative = Relative(run); int batches = 12;
        (double All, double Repeat) Nats(DecoderModel m, int length)
        {
            double all = 0, repeat = 0; int n = 0, again = 0;
            foreach (var b in SmallRuns.HeldOut(run, new Melodies(length), batches, 8))
            {
                var losses = SmallRuns.Losses(m, b);
                for (int i = 0; i < losses.Length; i++) { all += losses[i]; n++; if (Melodies.Repeats(i % length + 1)) { repeat += losses[i]; again++; } }
            }
            return (all / n, repeat / again);
        }
        var (a, r, a2, r2) = (Nats(absolute, Trained), Nats(relative, Trained), Nats(absolute, 2 * Trained), Nats(relative, 2 * Trained));
        return Evidence.All(
            Evidence.AtLeast(a.All - r.All, 0.02, "nats", $"held-out loss of absolute ({a.All:f3}) beyond relative"),
            Evidence.AtLeast(a.Repeat - r.Repeat, 0.05, "nats", $"the same where A returns (absolute {a.Repeat:f3})"),
            Evidence.AtMost((r2.All - r.All) / (a2.All - a.All), 0.5, "", $"rise of the loss at twice the length, relative over absolute ({a2.All - a.All:f3})"));
    }

    [Claim("Primed with a motif that returns, relative attention continues it more often")]
    public static Evidence Continuation(ClaimRun run)
    {
        double absolute = MotifContinuation.Share(run, Absolute(run)), relative = MotifContinuation.Share(run, Relative(run));
        return Evidence.AtLeast(relative - absolute, 0.1, "", $"share of 16-event continuations within edit distance 4 of the motif, beyond that of absolute ({absolute:f3})");
    }
}
