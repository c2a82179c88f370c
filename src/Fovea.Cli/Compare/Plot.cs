using System.Globalization;
using System.Net;
using System.Text;
namespace Fovea.Cli;

/// <summary>A line of a plot; its index picks colour, dash and mark, the same in every plot of a page.</summary>
sealed record Series(string Name, int Index, IReadOnlyList<(double X, double Y)> Points);

/// <summary>An axis: its label, and whether equal ratios have equal lengths.</summary>
sealed record Axis(string Label, bool Log = false);

/// <summary>Plots as SVG text. Colours are classes of the page (s0 … s7), so that dark mode is the page's business; every line also has its own dash and mark.</summary>
static class Plot
{
    const int Width = 640, Height = 360, Left = 64, Right = 16, Top = 16, Bottom = 52;
    const int Colours = 8;
    static readonly string[] dashes = ["", "7 4", "2 3", "9 3 2 3"];

    public static string Lines(string id, string title, string description, Axis x, Axis y, IReadOnlyList<Series> series)
    {
        var drawn = series.Select(s => s with { Points = [.. s.Points.Where(p => Drawable(p.X, x) && Drawable(p.Y, y))] }).Where(s => s.Points.Count > 0).ToList();
        if (drawn.Count == 0) return Frame(id, title, description, Height, new StringBuilder($"<text x=\"{Width / 2}\" y=\"{Height / 2}\" text-anchor=\"middle\">nothing measured yet</text>"));
        var across = Scale.Over(drawn.SelectMany(s => s.Points.Select(p => p.X)), x.Log, Left, Width - Right);
        var up = Scale.Over(drawn.SelectMany(s => s.Points.Select(p => p.Y)), y.Log, Height - Bottom, Top);
        var b = new StringBuilder();
        foreach (double t in across.Ticks) b.Append($"<path class=\"grid\" d=\"M{N(across.At(t))} {Top}V{Height - Bottom}\"/><text class=\"tick\" x=\"{N(across.At(t))}\" y=\"{Height - Bottom + 16}\" text-anchor=\"middle\">{Short(t)}</text>");
        foreach (double t in up.Ticks) b.Append($"<path class=\"grid\" d=\"M{Left} {N(up.At(t))}H{Width - Right}\"/><text class=\"tick\" x=\"{Left - 6}\" y=\"{N(up.At(t) + 4)}\" text-anchor=\"end\">{Short(t)}</text>");
        b.Append($"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 14}\" text-anchor=\"middle\">{E(x.Label)}</text>");
        b.Append($"<text transform=\"translate(14 {(Top + Height - Bottom) / 2}) rotate(-90)\" text-anchor=\"middle\">{E(y.Label)}</text>");
        foreach (var s in drawn)
        {
            var points = s.Points.Select(p => (X: across.At(p.X), Y: up.At(p.Y))).ToList();
            b.Append($"<g class=\"s{s.Index % Colours}\"><title>{E(s.Name)}</title><polyline points=\"{string.Join(' ', points.Select(p => $"{N(p.X)},{N(p.Y)}"))}\" stroke-dasharray=\"{dashes[s.Index / 2 % dashes.Length]}\"/>");
            foreach (var p in points) b.Append(Mark(s.Index, p.X, p.Y));
            b.Append("</g>");
        }
        int rows = Legend(b, drawn);
        return Frame(id, title, description, Height + rows * 20, b);
    }

    /// <summary>Horizontal bars of shares from 0 to 1.</summary>
    public static string Bars(string id, string title, string description, string label, IReadOnlyList<(string Name, int Index, double Value)> bars)
    {
        const int bar = 18, step = 26, names = 150; var b = new StringBuilder(); int height = bars.Count * step + Bottom;
        foreach (double t in (double[])[0, 0.25, 0.5, 0.75, 1])
        {
            double at = names + t * (Width - names - 70);
            b.Append($"<path class=\"grid\" d=\"M{N(at)} 4V{height - Bottom + 6}\"/><text class=\"tick\" x=\"{N(at)}\" y=\"{height - Bottom + 22}\" text-anchor=\"middle\">{N(t * 100)} %</text>");
        }
        for (int i = 0; i < bars.Count; i++)
        {
            var (name, index, value) = bars[i]; double w = Math.Clamp(value, 0, 1) * (Width - names - 70); int y = 6 + i * step;
            b.Append($"<text x=\"{names - 8}\" y=\"{y + 14}\" text-anchor=\"end\">{E(name)}</text><rect class=\"b{index % Colours}\" x=\"{names}\" y=\"{y}\" width=\"{N(w)}\" height=\"{bar}\"/><text class=\"tick\" x=\"{N(names + w + 6)}\" y=\"{y + 14}\">{N(value * 100)} %</text>");
        }
        b.Append($"<text x=\"{(names + Width - 70) / 2}\" y=\"{height - 12}\" text-anchor=\"middle\">{E(label)}</text>");
        return Frame(id, title, description, height, b);
    }

    /// <summary>Shares from 0 to 1 over two lists, as shades with their numbers; NaN stays empty.</summary>
    public static string Grid(string id, string title, string description, string across, IReadOnlyList<string> columns, string down, IReadOnlyList<string> rows, Func<int, int, double> value)
    {
        const int left = 90, cell = 34; double wide = (Width - left - Right) / (double)columns.Count; int height = rows.Count * cell + Top + Bottom; var b = new StringBuilder();
        for (int r = 0; r < rows.Count; r++)
        {
            b.Append($"<text class=\"tick\" x=\"{left - 6}\" y=\"{Top + r * cell + 22}\" text-anchor=\"end\">{E(rows[r])}</text>");
            for (int c = 0; c < columns.Count; c++)
            {
                double v = value(r, c), x = left + c * wide;
                if (double.IsNaN(v)) continue;
                // From red through yellow to green, light enough for dark letters.
                b.Append($"<rect x=\"{N(x + 1)}\" y=\"{Top + r * cell + 1}\" width=\"{N(wide - 2)}\" height=\"{cell - 2}\" fill=\"hsl({N(Math.Clamp(v, 0, 1) * 120)} 65% 72%)\"/><text fill=\"#111\" x=\"{N(x + wide / 2)}\" y=\"{Top + r * cell + 22}\" text-anchor=\"middle\">{N(v * 100)}</text>");
            }
        }
        for (int c = 0; c < columns.Count; c++) b.Append($"<text class=\"tick\" x=\"{N(left + (c + 0.5) * wide)}\" y=\"{height - Bottom + 16}\" text-anchor=\"middle\">{E(columns[c])}</text>");
        b.Append($"<text x=\"{(left + Width - Right) / 2}\" y=\"{height - 14}\" text-anchor=\"middle\">{E(across)}</text><text transform=\"translate(14 {(Top + height - Bottom) / 2}) rotate(-90)\" text-anchor=\"middle\">{E(down)}</text>");
        return Frame(id, title, description, height, b);
    }

    static string Frame(string id, string title, string description, int height, StringBuilder content) =>
        $"<svg viewBox=\"0 0 {Width} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" xmlns=\"http://www.w3.org/2000/svg\"><title id=\"{id}-title\">{E(title)}</title><desc id=\"{id}-desc\">{E(description)}</desc>{content}</svg>";

    static int Legend(StringBuilder b, List<Series> series)
    {
        const int columns = 4, wide = (Width - Left - Right) / columns;
        for (int i = 0; i < series.Count; i++)
        {
            int x = Left + i % columns * wide, y = Height + 4 + i / columns * 20;
            b.Append($"<g class=\"s{series[i].Index % Colours}\"><path d=\"M{x} {y}h24\" stroke-dasharray=\"{dashes[series[i].Index / 2 % dashes.Length]}\"/>{Mark(series[i].Index, x + 12, y)}</g><text class=\"tick\" x=\"{x + 30}\" y=\"{y + 4}\">{E(series[i].Name)}</text>");
        }
        return (series.Count + columns - 1) / columns;
    }

    static string Mark(int index, double x, double y) => (index % 3) switch
    {
        0 => $"<circle cx=\"{N(x)}\" cy=\"{N(y)}\" r=\"3.5\"/>",
        1 => $"<rect x=\"{N(x - 3.2)}\" y=\"{N(y - 3.2)}\" width=\"6.4\" height=\"6.4\"/>",
        _ => $"<polygon points=\"{N(x)},{N(y - 4.2)} {N(x + 4)},{N(y + 3)} {N(x - 4)},{N(y + 3)}\"/>",
    };

    static bool Drawable(double v, Axis axis) => double.IsFinite(v) && (!axis.Log || v > 0);
    internal static string E(string text) => WebUtility.HtmlEncode(text);
    internal static string N(double x) => Math.Round(x, 2).ToString("0.##", CultureInfo.InvariantCulture);
    /// <summary>1500000 → 1.5M; 0.25 → 0.25.</summary>
    internal static string Short(double x) => Math.Abs(x) switch
    {
        >= 1e9 => G(x / 1e9) + "G",
        >= 1e6 => G(x / 1e6) + "M",
        >= 1e4 => G(x / 1e3) + "k",
        _ => G(x),
    };
    static string G(double x) => x.ToString("0.####", CultureInfo.InvariantCulture);
}

/// <summary>From values to places, and the round values worth a line.</summary>
sealed record Scale(double Low, double High, bool Log, double From, double To, double[] Ticks)
{
    public double At(double v) => From + (To - From) * (F(v, Log) - F(Low, Log)) / (F(High, Log) - F(Low, Log));
    static double F(double v, bool log) => log ? Math.Log(v) : v;

    public static Scale Over(IEnumerable<double> values, bool log, double from, double to)
    {
        double low = values.Min(), high = values.Max();
        if (log)
        {
            if (high / low < 1.5) (low, high) = (low / 1.5, high * 1.5);
            // Powers of two for up to eight doublings, else powers of ten.
            double power = high / low <= 256 ? 2 : 10;
            var ticks = new List<double>();
            for (double e = Math.Floor(Math.Log(low) / Math.Log(power)); e <= Math.Ceiling(Math.Log(high) / Math.Log(power)); e++) ticks.Add(Math.Pow(power, e));
            (low, high) = (Math.Min(low / 1.1, low), Math.Max(high * 1.1, high));
            return new(low, high, true, from, to, [.. ticks.Where(t => t >= low && t <= high)]);
        }
        double span = high - low;
        if (span <= 0) { span = Math.Max(Math.Abs(high), 1) * 0.2; low -= span / 2; high += span / 2; }
        double raw = span / 5, ten = Math.Pow(10, Math.Floor(Math.Log10(raw))), step = new[] { 1, 2, 5, 10 }.First(m => m * ten >= raw) * ten;
        low = Math.Floor(low / step) * step; high = Math.Ceiling(high / step) * step;
        return new(low, high, false, from, to, [.. Enumerable.Range(0, (int)Math.Round((high - low) / step) + 1).Select(i => low + i * step)]);
    }
}
