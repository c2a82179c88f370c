using Fovea.Kernels;
using Fovea.Mechanisms;
using static Fovea.Testing.Draws;
namespace Fovea.Testing;

/// <summary>What every attention must do. Each law returns the largest error that it found; sizes are odd on purpose.</summary>
public static class AttentionLaws
{
    [Law("keeps its shape and stays finite", Bound = Bounds.Same)]
    public static double Shape(Subject s)
    {
        foreach (int n in new[] { 1, 7, 70, 200 })
        {
            var x = Draw(2, n);
            var y = s.New().Forward(x, Pass.Eval);
            if (y.Shape != x.Shape || !Finite(y)) return n;
        }
        return 0;
    }

    [Law("stays finite at large inputs", Bound = Bounds.Same)]
    public static double Large(Subject s) => Finite(s.New().Forward(Draw(1, 70, 100), Pass.Eval)) && Finite(s.New().Forward(Rising(70), Pass.Eval)) ? 0 : 1;

    [Law("does not see the future", Needs = Traits.Causal, Bound = Bounds.Same)]
    public static double Future(Subject s)
    {
        var a = s.New(); double worst = 0;
        foreach (int n in new[] { 9, 70, 150 })
        {
            int seen = n * 5 / 9;
            var x = Draw(1, n); var y = a.Forward(x, Pass.Eval).Rows(0, seen);
            var changed = Tensor.From(x.Span, x.Shape);
            for (int i = seen * C; i < n * C; i++) changed.Span[i] += 3;
            worst = Math.Max(worst, Difference(y, a.Forward(changed, Pass.Eval).Rows(0, seen)));
        }
        return worst;
    }

    [Law("sees the past", Needs = Traits.Causal, Bound = Bounds.Same)]
    public static double Past(Subject s)
    {
        var a = s.New(); var x = Draw(1, 9); var y = a.Forward(x, Pass.Eval).Rows(8, 9);
        var changed = Tensor.From(x.Span, x.Shape);
        for (int i = 7 * C; i < 8 * C; i++) changed.Span[i] += 3;
        return Difference(y, a.Forward(changed, Pass.Eval).Rows(8, 9)) > 0 ? 0 : 1;
    }

    [Law("batches do not mix", Bound = Bounds.Same)]
    public static double Batches(Subject s)
    {
        var a = s.New(); var x = Draw(3, 41);
        var y = a.Forward(x, Pass.Eval);
        var changed = Tensor.From(x.Span, x.Shape);
        for (int i = 41 * C; i < 2 * 41 * C; i++) changed.Span[i] -= 2;
        var z = a.Forward(changed, Pass.Eval);
        return Math.Max(Difference(y.Slice(0, 0, 1), z.Slice(0, 0, 1)), Difference(y.Slice(0, 2, 3), z.Slice(0, 2, 3)));
    }

    [Law("gives each row of a batch what it gives it alone", Bound = Bounds.Rounding)]
    public static double Alone(Subject s)
    {
        var a = s.New(); var x = Draw(3, 41); var y = a.Forward(x, Pass.Eval); double worst = 0;
        for (int b = 0; b < 3; b++) worst = Math.Max(worst, Difference(y.Slice(0, b, b + 1), a.Forward(x.Slice(0, b, b + 1).Detach(), Pass.Eval)));
        return worst;
    }

    [Law("remembers nothing between calls", Bound = Bounds.Same)]
    public static double Stale(Subject s)
    {
        var a = s.New(); var x = Draw(2, 33);
        var y = a.Forward(x, Pass.Eval).Detach();
        a.Forward(Draw(1, 70, 5), Pass.Eval);
        return Difference(y, a.Forward(x, Pass.Eval));
    }

    [Law("decodes as it trains", Needs = Traits.Causal | Traits.Incremental, Bound = Bounds.Rounding)]
    public static double Decodes(Subject s)
    {
        var a = s.New(); double worst = 0;
        foreach (int[] pieces in new int[][] { [4, 1, 1, 3], [70, 1, 1, 64, 1, 13], [1, 1, 1], [130, 1, 69] })
        {
            var x = Draw(2, pieces.Sum()); var whole = a.Forward(x, Pass.Eval);
            var pass = new Pass { Memory = new() };
            int at = 0;
            foreach (int n in pieces)
            {
                worst = Math.Max(worst, Difference(whole.Rows(at, at + n), a.Forward(x.Rows(at, at + n).Detach(), pass)));
                at += n;
            }
        }
        return worst;
    }

    [Law("keeps two conversations apart", Needs = Traits.Causal | Traits.Incremental, Bound = Bounds.Same)]
    public static double Conversations(Subject s)
    {
        var a = s.New(); var x = Draw(1, 8); var other = Draw(1, 8, 3);
        Pass One() => new() { Memory = new() };
        Pass alone = One(), first = One(), second = One(); double worst = 0;
        for (int i = 0; i < 8; i++)
        {
            var y = a.Forward(x.Rows(i, i + 1).Detach(), alone).Detach();
            a.Forward(other.Rows(i, i + 1).Detach(), second);
            worst = Math.Max(worst, Difference(y, a.Forward(x.Rows(i, i + 1).Detach(), first)));
        }
        return worst;
    }

    [Law("its state does not grow", Needs = Traits.Causal | Traits.Incremental | Traits.ConstantState, Bound = Bounds.Same)]
    public static double State(Subject s)
    {
        long Bytes(int n) { var pass = new Pass { Memory = new() }; s.New().Forward(Draw(1, n), pass); return pass.Memory!.Bytes; }
        long a = Bytes(100), b = Bytes(350);
        return a > 0 ? Math.Abs(b - a) : 1;
    }

    [Law("reports the bytes of its state", Needs = Traits.Causal | Traits.Incremental, Bound = Bounds.Same)]
    public static double Bytes(Subject s)
    {
        var pass = new Pass { Memory = new() };
        s.New().Forward(Draw(1, 5), pass);
        return pass.Memory!.Bytes > 0 ? 0 : 1;
    }

    [Law("fused equals plain", Needs = Traits.Exact, Bound = Bounds.Rounding)]
    public static double Fused(Subject s)
    {
        double worst = 0;
        foreach (int n in new[] { 1, 7, 70, 200 })
        {
            var a = s.New(); var x = Draw(2, n);
            worst = Math.Max(worst, Difference(a.Forward(x, Pass.Eval), a.Forward(x, new Pass { Reference = true })));
        }
        return worst;
    }

    [Law("fused equals plain at large logits", Needs = Traits.Exact, Bound = Bounds.LargeLogits)]
    public static double FusedLarge(Subject s)
    {
        var a = s.New(); double worst = 0;
        foreach (var x in new[] { Draw(1, 150, 30), Rising(150) })
        {
            var plain = a.Forward(x, new Pass { Reference = true });
            worst = Math.Max(worst, Difference(a.Forward(x, Pass.Eval), plain) / Math.Max(1, Largest(plain)));
        }
        return worst;
    }

    [Law("grouped heads are repeated heads", Needs = Traits.Grouped, Bound = Bounds.Rounding)]
    public static double Grouped(Subject s)
    {
        double worst = 0;
        foreach (int groups in new[] { 1, 2 })
        {
            Weights few = Weights.Random(new Rng(7)), all = Weights.Random(new Rng(8));
            var a = s.New(s.Config with { KvHeads = groups }, few); var b = s.New(w: all);
            foreach (var (name, p) in few.All)
            {
                // Parameters that exist per key head are longer in the full layer: each head's part is repeated for the heads that share it.
                var q = all.All[name]; int times = q.Shape[0] / p.Shape[0], part = p.Shape.Size / Math.Max(1, times == 1 ? 1 : groups);
                for (int i = 0; i < q.Shape.Size; i += part) p.Span.Slice(times == 1 ? 0 : i / part / times * part, part).CopyTo(q.Span[i..]);
            }
            var x = Draw(2, 70);
            worst = Math.Max(worst, Difference(a.Forward(x, Pass.Eval), b.Forward(x, Pass.Eval)));
        }
        return worst;
    }

    [Law("same result on any number of threads", Bound = Bounds.Same)]
    public static double AnyThreads(Subject s)
    {
        int before = Threads.Max; double worst = 0; Real[]? first = null, firstGrad = null;
        try
        {
            foreach (int threads in new[] { 1, 2, 3 })
            {
                Threads.Max = threads;
                var x = Draw(2, 130); x.RequiresGrad = true;
                using var scope = Scope.Train();
                var y = s.New().Forward(x, new Pass { Training = true, Rng = new(3) });
                Real[] got = y.Span.ToArray();
                (y * y).Sum().Backward();
                Real[] grad = x.Grad.ToArray();
                (first, firstGrad) = (first ?? got, firstGrad ?? grad);
                for (int i = 0; i < got.Length; i++) worst = Worse(worst, Math.Max(Math.Abs(got[i] - first[i]), Math.Abs(grad[i] - firstGrad[i])));
            }
        }
        finally { Threads.Max = before; }
        return worst;
    }

    [Law("watching changes nothing", Bound = Bounds.Same)]
    public static double Watching(Subject s)
    {
        var a = s.New(); var x = Draw(1, 70);
        return Difference(a.Forward(x, Pass.Eval), a.Forward(x, new Pass { Probe = new Watcher(patterns: false) }));
    }

    [Law("looking at patterns changes no more than rounding", Bound = Bounds.Rounding)]
    public static double Patterns(Subject s)
    {
        var a = s.New(); var x = Draw(1, 70);
        return Difference(a.Forward(x, Pass.Eval), a.Forward(x, new Pass { Probe = new Watcher(patterns: true) }));
    }

    [Law("reads no released memory", Bound = Bounds.Same)]
    public static double Released(Subject s)
    {
        var a = s.New(); var x = Draw(2, 40);
        var outside = a.Forward(x, Pass.Eval);
        double worst = 0;
        for (int i = 0; i < 3; i++)
        {
            Tensor y;
            using (var scope = Scope.NoGrad()) y = scope.Keep(a.Forward(x, Pass.Eval));
            worst = Worse(worst, Difference(outside, y));
        }
        return worst;
    }

    [Law("state dict round-trips", Bound = Bounds.Same)]
    public static double RoundTrip(Subject s)
    {
        var w = Weights.Random(new Rng(7)); var a = s.New(w: w); var x = Draw(1, 20);
        string path = Path.Combine(Path.GetTempPath(), $"fovea-law-{Environment.ProcessId}-{Environment.CurrentManagedThreadId}.safetensors");
        try
        {
            w.Save(path);
            var loaded = Weights.Open(path); var b = s.New(w: loaded);
            return loaded.Unused.Any() ? 1 : Difference(a.Forward(x, Pass.Eval), b.Forward(x, Pass.Eval));
        }
        finally { File.Delete(path); }
    }

    [Law("looks both ways when it is not causal", Needs = Traits.Bidirectional, Bound = Bounds.Same)]
    public static double BothWays(Subject s)
    {
        var a = s.New(Subject.Small with { Causal = false }); var x = Draw(1, 9); var y = a.Forward(x, Pass.Eval).Rows(0, 1);
        var changed = Tensor.From(x.Span, x.Shape);
        for (int i = 8 * C; i < 9 * C; i++) changed.Span[i] += 3;
        var z = a.Forward(changed, Pass.Eval).Rows(0, 1);
        return Finite(z) && Difference(y, z) > 0 ? 0 : 1;
    }

    [Law("reads a context of another length", Needs = Traits.Cross, Bound = Bounds.Same)]
    public static double Cross(Subject s)
    {
        var a = s.New(Subject.Small with { Causal = false });
        foreach (var (n, m) in new[] { (5, 70), (70, 5), (1, 1) })
        {
            var x = Draw(2, n); var context = Draw(2, m, 2); var y = a.Forward(x, context, Pass.Eval);
            var changed = Tensor.From(context.Span, context.Shape);
            changed.Span[^1] += 5;
            var z = a.Forward(x, changed, Pass.Eval);
            if (y.Shape != x.Shape || !Finite(y) || Difference(y.Slice(0, 1, 2), z.Slice(0, 1, 2)) == 0 || Difference(y.Slice(0, 0, 1), z.Slice(0, 0, 1)) != 0) return n;
        }
        return 0;
    }
}
