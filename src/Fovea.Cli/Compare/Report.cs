using System.Globalization;
using System.Text;
namespace Fovea.Cli;

/// <summary>The table of a comparison, and a page with it and its plots that needs no other file.</summary>
static class Report
{
    public static string[] Columns(ComparisonResults r)
    {
        int n = r.Plan.Lengths[^1];
        return ["mechanism", "bits/byte", "recall", "parameters", "train tokens/s", $"prefill {n} ms", $"peak {n} MB", "decode µs", $"state {n} kB", "growth"];
    }

    public static string[] Row(ComparisonResults r, MechanismResult m)
    {
        int n = r.Plan.Lengths[^1];
        return [m.Mechanism, m.Error is null ? F(m.BitsPerByte, "0.000") : "failed", F(m.Recall * 100, "0.0") + (m.Recall is null ? "" : " %"), F(m.Params, "#,0"), F(m.TrainTokensPerSecond, "#,0"),
            F(Value(m.PrefillMs, n), "0.0"), F(Value(m.PeakBytes, n) / 1e6, "0.0"), F(m.DecodeMicroseconds, "0"), F(Value(m.StateBytes, n) / 1e3, "#,0"), m.Growth is null ? "–" : "N^" + F(m.Growth, "0.00")];
    }
    static double? Value<T>(IReadOnlyDictionary<int, T> values, int n) where T : IConvertible => values.TryGetValue(n, out var v) ? v.ToDouble(CultureInfo.InvariantCulture) : null;
    static string F(double? x, string format) => x is { } v && double.IsFinite(v) ? v.ToString(format, CultureInfo.InvariantCulture) : "–";

    public static string Html(ComparisonResults r)
    {
        string E(string s) => Plot.E(s);
        var b = new StringBuilder();
        b.Append($"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Attention mechanisms on {E(r.Corpus.Name)}</title><style>{Style}</style></head><body><main>\n");
        b.Append($"<h1>Attention mechanisms on “{E(r.Corpus.Name)}”</h1>\n");
        b.Append($"<p>The same language model ({r.Plan.Layers} layers, {r.Plan.Dim} channels, {r.Plan.Heads} heads, bytes as tokens) was trained with each mechanism on the same {F(r.Plan.Tokens, "#,0")} tokens of a text of {F(r.Corpus.Bytes, "#,0")} bytes, in the same order, from seed {r.Plan.Seed}. {Summary(r)}</p>\n");
        if (!r.Complete) b.Append("<p class=\"note\"><strong>Not complete:</strong> the run was stopped; <code>fovea compare --resume</code> goes on from here.</p>\n");
        Table(b, r);
        foreach (var m in r.Results) if (m.Error is not null) b.Append($"<p class=\"note\"><strong>{E(m.Mechanism)}</strong> failed: {E(m.Error)}</p>\n");

        Series[] By(Func<MechanismResult, IEnumerable<(double, double)>> points) => [.. r.Results.Select(m => new Series(m.Mechanism, Array.IndexOf(r.Plan.Mechanisms, m.Mechanism), [.. points(m)]))];
        Figure(b, "Quality", "Bits per byte of the held-out text against training tokens; lower is better.",
            Plot.Lines("quality", "Bits per byte against training tokens", Describe(r, m => m.BitsPerByte, "0.000", "bits per byte"), new("training tokens"), new("bits per byte, held-out"), By(m => m.Curve.Select(p => ((double)p.Tokens, p.BitsPerByte)))));
        var recalled = r.Results.Where(m => m.Recall is { } x && double.IsFinite(x)).ToList();
        Figure(b, "Recall", $"Right answers in multi-query associative recall ({Training.RecallTask.Pairs} pairs, {Training.RecallTask.Length} tokens; guessing among the values of the row gives about {F(100.0 / Training.RecallTask.Pairs, "0")} %), two-layer model, {r.Plan.RecallSteps} updates. Windows are {Training.RecallTask.Length / 4} tokens here, so that they do not see the whole row.",
            Plot.Bars("recall", "Associative recall", Describe(r, m => m.Recall * 100, "0", "percent right"), "right answers", [.. recalled.Select(m => (m.Mechanism, Array.IndexOf(r.Plan.Mechanisms, m.Mechanism), m.Recall!.Value))]));
        Figure(b, "Prefill time", "Time to read a prompt and predict one token, both axes logarithmic: the slope is the growth.",
            Plot.Lines("time", "Prefill time against length", Describe(r, m => m.Growth, "0.00", "as growth exponent"), new("prompt, tokens", Log: true), new("milliseconds", Log: true), By(m => m.PrefillMs.Select(p => ((double)p.Key, p.Value)))));
        Figure(b, "Working memory", "The most bytes of intermediate tensors alive at once while reading the prompt.",
            Plot.Lines("memory", "Peak memory against length", Describe(r, m => Value(m.PeakBytes, r.Plan.Lengths[^1]) / 1e6, "0.0", "MB at the longest prompt"), new("prompt, tokens", Log: true), new("bytes", Log: true), By(m => m.PeakBytes.Select(p => ((double)p.Key, (double)p.Value)))));
        Figure(b, "State", "Bytes kept for the past while generating.",
            Plot.Lines("state", "State against length", Describe(r, m => Value(m.StateBytes, r.Plan.Lengths[^1]) / 1e3, "0.0", "kB at the longest prompt"), new("prompt, tokens", Log: true), new("bytes", Log: true), By(m => m.StateBytes.Select(p => ((double)p.Key, (double)p.Value)))));

        b.Append($"<h2>How it was measured</h2>\n<ul><li>Of every ten pieces of the text the last was held out: {F(r.Corpus.HeldOutBytes, "#,0")} bytes, of which up to {F(r.Plan.HeldOutTokens, "#,0")} were predicted in rows of {r.Plan.Context}.</li>");
        b.Append($"<li>AdamW, {F(r.Plan.Steps, "#,0")} updates of {r.Plan.Batch} rows, peak rate {r.Plan.Rate.ToString(CultureInfo.InvariantCulture)}, the same for all; nothing was tuned for any mechanism.</li>");
        b.Append($"<li>Times are the fastest of several runs, on {E(r.Machine)}. One seed: differences of about 0.02 bits per byte may be chance.</li></ul>\n</main></body></html>\n");
        return b.ToString();
    }

    static string Summary(ComparisonResults r)
    {
        var best = r.Results.Where(m => m.BitsPerByte is not null).MinBy(m => m.BitsPerByte);
        var fast = r.Results.Where(m => m.PrefillMs.ContainsKey(r.Plan.Lengths[^1])).MinBy(m => m.PrefillMs[r.Plan.Lengths[^1]]);
        return (best is null ? "" : $"Best on held-out text: <strong>{Plot.E(best.Mechanism)}</strong> at {F(best.BitsPerByte, "0.000")} bits per byte. ")
            + (fast is null ? "" : $"Fastest on {r.Plan.Lengths[^1]} tokens: <strong>{Plot.E(fast.Mechanism)}</strong>, {F(fast.PrefillMs[r.Plan.Lengths[^1]], "0.0")} ms.");
    }

    static void Table(StringBuilder b, ComparisonResults r)
    {
        b.Append("<div class=\"wide\"><table><thead><tr>").AppendJoin("", Columns(r).Select(c => $"<th scope=\"col\">{Plot.E(c)}</th>")).Append("</tr></thead><tbody>\n");
        foreach (var m in r.Results)
        {
            var row = Row(r, m);
            b.Append($"<tr><th scope=\"row\">{Plot.E(row[0])}</th>").AppendJoin("", row[1..].Select(c => $"<td>{Plot.E(c)}</td>")).Append("</tr>\n");
        }
        b.Append("</tbody></table></div>\n");
    }

    static void Figure(StringBuilder b, string title, string caption, string svg) => b.Append($"<h2>{Plot.E(title)}</h2>\n<figure>{svg}<figcaption>{Plot.E(caption)}</figcaption></figure>\n");

    static string Describe(ComparisonResults r, Func<MechanismResult, double?> value, string format, string unit) =>
        string.Join("; ", r.Results.Where(m => value(m) is not null).Select(m => $"{m.Mechanism} {F(value(m), format)}")) is { Length: > 0 } all ? $"{all} {unit}." : "Nothing measured yet.";

    internal const string Style = """
        :root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#59636e;--line:#d8dee4;--c0:#0b62c4;--c1:#c2410c;--c2:#15803d;--c3:#9333ea;--c4:#be123c;--c5:#0e7490;--c6:#854d0e;--c7:#4b5563}
        @media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#9aa5b1;--line:#30363d;--c0:#6cb6ff;--c1:#ff9a62;--c2:#57d27d;--c3:#cf9dff;--c4:#ff8296;--c5:#56d4dd;--c6:#e3b341;--c7:#b1bac4}}
        body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}main{max-width:60rem;margin:0 auto;padding:1.5rem}
        h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.15rem;margin:2rem 0 .4rem}.wide{overflow-x:auto}
        table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}th:first-child{text-align:left}
        figure{margin:0}figcaption,.tick{color:var(--soft)}figcaption{font-size:.9rem}.note{border-left:4px solid var(--c1);padding-left:.8rem}
        svg{width:100%;max-width:46rem;height:auto;font:13px system-ui,sans-serif;fill:var(--ink)}svg .tick{fill:var(--soft);font-size:11px}.grid{stroke:var(--line);fill:none}
        svg g polyline,svg g path{fill:none;stroke:currentColor;stroke-width:2}svg g circle,svg g rect,svg g polygon{fill:currentColor}
        .s0{color:var(--c0)}.s1{color:var(--c1)}.s2{color:var(--c2)}.s3{color:var(--c3)}.s4{color:var(--c4)}.s5{color:var(--c5)}.s6{color:var(--c6)}.s7{color:var(--c7)}
        .b0{fill:var(--c0)}.b1{fill:var(--c1)}.b2{fill:var(--c2)}.b3{fill:var(--c3)}.b4{fill:var(--c4)}.b5{fill:var(--c5)}.b6{fill:var(--c6)}.b7{fill:var(--c7)}
        """;
}
