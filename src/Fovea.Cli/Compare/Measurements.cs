using System.Diagnostics;
using Fovea.Kernels;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>Time and memory of a model against the length of its prompt. Nothing here depends on how well it was trained.</summary>
static class Measurements
{
    /// <summary>Adds prefill time, peak memory, state and decoding time to a result.</summary>
    public static MechanismResult Take(DecoderModel model, Plan plan, bool incremental, MechanismResult result, Action<double> progress, CancellationToken cancel)
    {
        var prefill = new SortedDictionary<int, double>(); var peak = new SortedDictionary<int, long>(); var state = new SortedDictionary<int, long>();
        var work = new SortedDictionary<int, double>(); double? decode = null;
        Prompt(model, Tokens(Math.Min(64, plan.Lengths[0]), plan), incremental);
        foreach (int n in plan.Lengths)
        {
            cancel.ThrowIfCancellationRequested();
            var tokens = Tokens(n, plan); Memory? memory = null;
            work[n] = Work.Count(() => peak[n] = Diagnostics.PeakBytes(() => memory = Prompt(model, tokens, incremental)));
            prefill[n] = Best(() => Prompt(model, tokens, incremental), cancel) * 1e3;
            if (memory is not null)
            {
                state[n] = memory.Bytes;
                if (n == plan.Lengths[^1]) decode = Decode(model, memory, cancel) * 1e6;
            }
            Diagnostics.TrimPools();
            progress((Array.IndexOf(plan.Lengths, n) + 1) / (double)plan.Lengths.Length);
        }
        return result with { PrefillMs = prefill, PeakBytes = peak, StateBytes = state, DecodeMicroseconds = decode, Growth = Exponent(prefill), WorkGrowth = Exponent(work) };
    }

    static int[] Tokens(int n, Plan plan)
    {
        var rng = plan.Rng()["prompt"]; var tokens = new int[n];
        for (int i = 0; i < n; i++) tokens[i] = rng.Below(i, 256);
        return tokens;
    }

    /// <summary>Reads the prompt and predicts one token, as an engine does: logits of the last place only.</summary>
    static Memory? Prompt(DecoderModel model, int[] tokens, bool incremental)
    {
        var memory = incremental ? new Memory() : null;
        using var scope = Scope.NoGrad();
        var pass = new Pass { Memory = memory };
        var hidden = model.Hidden(tokens, 1, pass);
        model.Logits(hidden.Slice(1, tokens.Length - 1, tokens.Length), pass);
        return memory;
    }

    static double Decode(DecoderModel model, Memory memory, CancellationToken cancel)
    {
        int[] token = [32];
        void Step() { using var scope = Scope.NoGrad(); var pass = new Pass { Memory = memory }; model.Forward(token, 1, pass); }
        for (int i = 0; i < 8; i++) Step();
        var times = new double[33];
        for (int i = 0; i < times.Length; i++) { cancel.ThrowIfCancellationRequested(); long start = Stopwatch.GetTimestamp(); Step(); times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds; }
        Array.Sort(times);
        return times[times.Length / 2];
    }

    /// <summary>The fastest of two to ten runs within about 0.3 s, in seconds: what slows a run down is never the code.</summary>
    static double Best(Action run, CancellationToken cancel)
    {
        double best = double.PositiveInfinity, total = 0;
        for (int i = 0; i < 10 && (i < 2 || total < 0.3); i++)
        {
            cancel.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp(); run();
            double t = Stopwatch.GetElapsedTime(start).TotalSeconds;
            best = Math.Min(best, t); total += t;
        }
        return best;
    }

    /// <summary>Slope of the least-squares line through (log length, log value); null below two lengths.</summary>
    internal static double? Exponent(IReadOnlyDictionary<int, double> values)
    {
        if (values.Count < 2) return null;
        var x = values.Keys.Select(n => Math.Log(n)).ToArray(); var y = values.Values.Select(v => Math.Log(v)).ToArray();
        double mx = x.Average(), my = y.Average();
        double slope = x.Zip(y, (a, b) => (a - mx) * (b - my)).Sum() / x.Sum(a => (a - mx) * (a - mx));
        return double.IsFinite(slope) ? slope : null;
    }
}
