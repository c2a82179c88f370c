using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Argument checks at the public entry of a kernel; below it, trust.</summary>
public static class Guard
{
    /// <summary>Throws unless the span holds at least <paramref name="needed"/> numbers.</summary>
    public static void Holds<T>(ReadOnlySpan<T> x, long needed, [CallerArgumentExpression(nameof(x))] string name = "")
    {
        if (x.Length < needed) throw new ArgumentException($"{name} holds {x.Length} numbers, needs {needed}");
    }
    /// <summary>Throws unless the span holds at least <paramref name="needed"/> numbers.</summary>
    public static void Holds<T>(Span<T> x, long needed, [CallerArgumentExpression(nameof(x))] string name = "") => Holds((ReadOnlySpan<T>)x, needed, name);

    public static void Fits(ReadOnlySpan<Real> x, Span<Real> destination)
    {
        if (x.Length > destination.Length) throw new ArgumentException($"destination holds {destination.Length} numbers, needs {x.Length}");
    }
    public static void AtLeast(int value, int smallest, [CallerArgumentExpression(nameof(value))] string name = "")
    {
        if (value < smallest) throw new ArgumentOutOfRangeException(name, value, $"{name} must be at least {smallest}");
    }
}
