namespace Fovea.Cli;

/// <summary>What is said about a time beside its fractions of the limits, such as the time of another kernel over its own; 1 is what can be had, more is better.</summary>
sealed record Relative(string To, double Value);

/// <summary>Seconds of one call: the best and the median of so many samples.</summary>
readonly record struct Sample(double Best, double Median, int Count);

/// <summary>Operations per second and bytes read per second that this machine can do with so many threads.</summary>
readonly record struct Limit(double Flops, double Bytes);

/// <summary>The time of a kernel, the operations that it needs and the bytes that it must touch at least, beside the limits of the machine.</summary>
/// <param name="Benchmark">The name that measures it again.</param>
sealed record Timing(string Benchmark, string Name, string Size, int Threads, Sample Sample, double Flops, double Bytes, Limit Limit, Relative? Relative = null, int Tokens = 0)
{
    public double Seconds => Sample.Best;
    public double FractionOfPeak => Flops / Seconds / Limit.Flops;
    public double FractionOfBandwidth => Bytes / Seconds / Limit.Bytes;
    /// <summary>What is compared from one run to the next: the fraction of the tighter limit, or what the kernel is held against.</summary>
    public double Fraction => Relative?.Value ?? Math.Max(FractionOfPeak, FractionOfBandwidth);
    public RowKey Key => new(Name, Size, Threads);
}

/// <summary>What makes two rows of different runs the same one.</summary>
readonly record struct RowKey(string Name, string Size, int Threads)
{
    /// <summary>Rows that say what the machine can do, not what a kernel does.</summary>
    public bool IsLimit => Name.StartsWith("limit: ", StringComparison.Ordinal);
    public override string ToString() => $"{Name}, {Size}, {Threads} thread{(Threads == 1 ? "" : "s")}";
}
