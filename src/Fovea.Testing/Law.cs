using System.Reflection;
using Fovea.Mechanisms;
namespace Fovea.Testing;

/// <summary>A statement that must hold for every subject with the traits it needs. On a static method Subject → double: the largest error found.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LawAttribute(string statement) : Attribute
{
    public string Statement => statement;
    /// <summary>Traits a subject must declare for the law to apply.</summary>
    public Traits Needs { get; init; }
    /// <summary>The error that still counts as none; one of <see cref="Bounds"/>, where the reasons are.</summary>
    public double Bound { get; init; }
}

/// <summary>What laws allow. docs/numerics.md gives the reason for each.</summary>
public static class Bounds
{
    /// <summary>The same bits.</summary>
    public const double Same = 0;
    /// <summary>Two orders of the same float sums, outputs of size one.</summary>
    public const double Rounding = 2e-5;
    /// <summary>The same at inputs thirty times larger, where softmax is near one-hot; relative to the largest output.</summary>
    public const double LargeLogits = 2e-3;
    /// <summary>Fitted exponent of work against length that still counts as linear.</summary>
    public const double LinearGrowth = 1.1;
    /// <summary>Share of the starting loss that may remain after a short training.</summary>
    public const double Learns = 0.7;
}

/// <summary>An attention type under test: how to make it, and what it says of itself.</summary>
public sealed record Subject(string Name, Traits Traits, Func<AttentionConfig, Weights, IReadOnlyDictionary<string, object>?, Attention> Make)
{
    /// <summary>A discovered mechanism.</summary>
    public static Subject Of(Mechanism m) => new(m.Name, m.Traits, m.New) { Knobs = m.Knobs };
    /// <summary>A type found nowhere: someone else's, or a planted fault.</summary>
    public static Subject Of<T>() where T : Attention => new(Mechanism.NameOf(typeof(T)), typeof(T).GetCustomAttribute<TraitsAttribute>()?.Traits ?? Traits.None,
        (c, w, knobs) => (Attention)Discover.New(typeof(T), [c, w], knobs));
    public IReadOnlyList<Knob> Knobs { get; init; } = [];

    public Attention New(AttentionConfig? c = null, Weights? w = null, IReadOnlyDictionary<string, object>? knobs = null) => Make(c ?? Config, w ?? Weights.Random(new Rng(7)), knobs);
    /// <summary><see cref="Small"/>; what looks both ways only is made to do so.</summary>
    public AttentionConfig Config => (Traits & (Traits.Causal | Traits.Bidirectional)) == Traits.Bidirectional ? Small with { Causal = false } : Small;
    /// <summary>Sizes that laws use: 32 channels, 4 heads, rotary positions, made for 128 tokens.</summary>
    public static AttentionConfig Small { get; } = new(32, 4, Position: new Rope(), Length: 128);
    public override string ToString() => Name;
}

/// <summary>One law applied to one subject.</summary>
public sealed record LawResult(string Subject, string Law, double Measured, double Bound, string? Failure = null)
{
    public bool Holds => Failure is null && Measured <= Bound;
    public override string ToString() => $"{(Holds ? "ok  " : "FAIL")} {Subject,-18} {Law,-52} {(Failure is null ? $"{Measured:g3} ≤ {Bound:g3}" : Failure)}";
}

/// <summary>Finds laws and runs them; there is no list to keep.</summary>
public static class Laws
{
    public sealed record Law(string Statement, Traits Needs, double Bound, Func<Subject, double> Check)
    {
        public override string ToString() => Statement;
    }

    /// <summary>Laws of attention.</summary>
    public static IReadOnlyList<Law> Attention { get; } = [.. from type in typeof(LawAttribute).Assembly.GetTypes()
        from m in type.GetMethods(BindingFlags.Public | BindingFlags.Static)
        let law = m.GetCustomAttribute<LawAttribute>() where law is not null
        select new Law(law.Statement, law.Needs, law.Bound, m.CreateDelegate<Func<Subject, double>>())];

    /// <summary>Runs one law; an exception is a failure that says what was thrown. Memory is poisoned meanwhile.</summary>
    public static LawResult Run(Law law, Subject subject)
    {
        bool before = Diagnostics.PoisonReleasedMemory, scratch = Kernels.Scratch.Poison;
        Diagnostics.PoisonReleasedMemory = Kernels.Scratch.Poison = true;
        try { return new(subject.Name, law.Statement, law.Check(subject), law.Bound); }
        catch (Exception e) when (e is not OutOfMemoryException) { return new(subject.Name, law.Statement, double.NaN, law.Bound, $"{e.GetType().Name}: {e.Message}"); }
        finally { Diagnostics.PoisonReleasedMemory = before; Kernels.Scratch.Poison = scratch; }
    }

    /// <summary>All laws that apply to the subject.</summary>
    public static IEnumerable<LawResult> Run(Subject subject) => from law in Attention where (subject.Traits & law.Needs) == law.Needs select Run(law, subject);

    /// <summary>Traits that the subject does not declare although the laws that need them hold: to be declared, or to be doubted.</summary>
    public static IEnumerable<Traits> Undeclared(Subject subject) =>
        from trait in new[] { Traits.Causal, Traits.Grouped, Traits.Incremental, Traits.Cross, Traits.Bidirectional, Traits.ConstantState, Traits.Linear }
        where !subject.Traits.HasFlag(trait)
        let needing = Attention.Where(l => l.Needs.HasFlag(trait) && (l.Needs & ~(subject.Traits | trait)) == 0).ToList()
        where needing.Count > 0 && needing.All(l => Run(l, subject with { Traits = subject.Traits | trait }).Holds)
        select trait;
}
