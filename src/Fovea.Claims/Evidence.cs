using System.Globalization;
namespace Fovea.Claims;

public enum Relation { AtMost, AtLeast }

/// <summary>What a claim measured, against what. Holds is computed, never given; a value that is not a number does not hold.</summary>
public sealed record Evidence
{
    Evidence(double value, Relation relation, double bound, string unit, string note, IReadOnlyList<Evidence> parts) =>
        (Value, Relation, Bound, Unit, Note, this.parts) = (value, relation, bound, unit, note, parts);
    readonly IReadOnlyList<Evidence> parts;

    public double Value { get; }
    public Relation Relation { get; }
    public double Bound { get; }
    public string Unit { get; }
    /// <summary>What the value is, where the statement does not say.</summary>
    public string Note { get; }
    public bool Holds => parts.Count > 0 ? parts.All(p => p.Holds) : Relation == Relation.AtMost ? Value <= Bound : Value >= Bound;
    /// <summary>The single measurements: itself, or the parts it was put together from.</summary>
    public IEnumerable<Evidence> Measurements => parts.Count > 0 ? parts.SelectMany(p => p.Measurements) : [this];

    /// <summary>value ≤ bound</summary>
    public static Evidence AtMost(double value, double bound, string unit = "", string note = "") => new(value, Relation.AtMost, bound, unit, note, []);
    /// <summary>value ≥ bound</summary>
    public static Evidence AtLeast(double value, double bound, string unit = "", string note = "") => new(value, Relation.AtLeast, bound, unit, note, []);
    /// <summary>Several measurements of one claim: it holds if all do.</summary>
    public static Evidence All(params IReadOnlyList<Evidence> parts) =>
        parts.Count == 0 ? throw new ArgumentException("a claim needs at least one measurement", nameof(parts)) : new(double.NaN, Relation.AtMost, double.NaN, "", "", parts);

    public override string ToString() => parts.Count > 0 ? string.Join("; ", parts)
        : string.Create(CultureInfo.InvariantCulture, $"{(Note.Length > 0 ? Note + ": " : "")}{Value:g4} {(Relation == Relation.AtMost ? "≤" : "≥")} {Bound:g4}{(Unit.Length > 0 ? " " + Unit : "")}");
}

/// <summary>One statement of a paper that must hold here, on a static method (ClaimRun) → Evidence of a class with [Paper].</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ClaimAttribute(string statement) : Attribute
{
    public string Statement => statement;
    /// <summary>Takes at most five seconds: runs in continuous integration.</summary>
    public bool Quick { get; init; }
}
