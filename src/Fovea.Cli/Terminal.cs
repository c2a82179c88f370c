namespace Fovea.Cli;

/// <summary>Where a command writes: results to Out, everything else to Err. Colours only where someone watches and NO_COLOR is not set.</summary>
public sealed record Terminal(TextWriter Out, TextWriter Err, CancellationToken Cancel, bool Colours = false, bool Live = false, int Width = 200)
{
    /// <summary>Where texts come from that are given neither as arguments nor as files.</summary>
    public TextReader In { get; init; } = TextReader.Null;

    public static Terminal OfConsole(CancellationToken cancel)
    {
        bool colours = !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        return new(Console.Out, Console.Error, cancel, colours, !Console.IsErrorRedirected, Console.IsOutputRedirected ? 200 : Math.Max(60, Console.WindowWidth)) { In = Console.In };
    }
}

/// <summary>Bad input from the user: one line that says what, where, what was found and what was expected.</summary>
public sealed class UsageException(string message) : Exception(message);

/// <summary>One line on stderr, rewritten in place, with the time that is left; nothing where no one watches.</summary>
public sealed class ProgressLine(Terminal terminal, TimeProvider? clock = null) : IDisposable
{
    readonly TimeProvider clock = clock ?? TimeProvider.System;
    long start = -1, last; double from; int width;

    /// <param name="done">0 … 1 of the whole work.</param>
    public void Show(string what, double done)
    {
        if (!terminal.Live) return;
        long now = clock.GetTimestamp();
        if (start < 0) (start, from) = (now, done);
        else if (clock.GetElapsedTime(last, now).TotalMilliseconds < 100) return;
        last = now;
        double elapsed = clock.GetElapsedTime(start, now).TotalSeconds, rate = done - from;
        string left = rate > 0.005 && elapsed > 1 ? $", {Time(elapsed / rate * (1 - done))} left" : "";
        string line = $"{Math.Clamp(done, 0, 1) * 100,3:0} % {what}{left}";
        if (line.Length > terminal.Width - 1) line = line[..(terminal.Width - 1)];
        terminal.Err.Write('\r' + line.PadRight(width)); terminal.Err.Flush();
        width = line.Length;
    }
    public void Dispose() { if (width > 0) { terminal.Err.Write('\r' + new string(' ', width) + '\r'); width = 0; } }

    static string Time(double seconds) => seconds < 90 ? $"{Math.Ceiling(seconds):0} s" : $"{Math.Ceiling(seconds / 60):0} min";
}
