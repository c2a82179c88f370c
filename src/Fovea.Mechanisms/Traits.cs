namespace Fovea.Mechanisms;

/// <summary>Facts the conformance laws rely on and check. What a type can show by implementing an interface is not repeated here.</summary>
[Flags]
public enum Traits
{
    None = 0,
    /// <summary>Never sees the future when the configuration is causal.</summary>
    Causal = 1,
    /// <summary>Works with Causal = false.</summary>
    Bidirectional = 2,
    /// <summary>Works with a context other than the input.</summary>
    Cross = 4,
    /// <summary>Works with fewer key heads than query heads.</summary>
    Grouped = 8,
    /// <summary>Continues from a memory: pieces give what the whole gives.</summary>
    Incremental = 16,
    /// <summary>Has a plain twin (Pass.Reference) that its fused form equals.</summary>
    Exact = 32,
    /// <summary>Work grows in proportion to the length.</summary>
    Linear = 64,
    /// <summary>Computes fewer pairs than dense attention.</summary>
    Sparse = 128,
    /// <summary>Draws random numbers in evaluation too.</summary>
    Stochastic = 256,
    /// <summary>The state that it keeps while decoding does not grow with the length.</summary>
    ConstantState = 512,
}

[AttributeUsage(AttributeTargets.Class)]
public sealed class TraitsAttribute(Traits traits) : Attribute { public Traits Traits => traits; }
