using System.Reflection;
namespace Fovea;

/// <summary>The paper a type comes from, and the place in it. The id is the catalogue's ("hedgehog") or arXiv's ("2402.04347"); titles live in the catalogue.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct, AllowMultiple = true)]
public sealed class FromAttribute(string id, string where = "") : Attribute { public string Id => id; public string Where => where; }

/// <summary>A paper of the catalogue, on the class that holds its claims.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class PaperAttribute(string id) : Attribute { public string Id => id; }

/// <summary>Finds types by what they are; there is no list to keep.</summary>
public static class Discover
{
    /// <summary>Types that implement or derive from T, in the loaded Fovea assemblies and the program itself, by name.</summary>
    public static IEnumerable<Type> All<T>() => All(typeof(T));
    public static IEnumerable<Type> All(Type kind) =>
        from a in AppDomain.CurrentDomain.GetAssemblies()
        where a.GetName().Name!.StartsWith("Fovea", StringComparison.Ordinal) || a == Assembly.GetEntryAssembly()
        from t in a.GetTypes()
        where !t.IsAbstract && kind.IsAssignableFrom(t) && !t.ContainsGenericParameters
        orderby t.Name
        select t;

    /// <summary>Calls the constructor that starts with these arguments; everything after them has a default. Knobs override defaults by name.</summary>
    public static object New(Type type, object[] leading, IReadOnlyDictionary<string, object>? knobs = null)
    {
        var c = type.GetConstructors().Single(c => Fits(c.GetParameters(), leading));
        return c.Invoke(BindingFlags.DoNotWrapExceptions, null, [.. leading, .. c.GetParameters()[leading.Length..].Select(p => knobs?.GetValueOrDefault(p.Name!) ?? p.DefaultValue)], null);
    }
    static bool Fits(ParameterInfo[] p, object[] leading) => p.Length >= leading.Length
        && leading.Select((l, i) => p[i].ParameterType.IsInstanceOfType(l)).All(b => b) && p[leading.Length..].All(x => x.HasDefaultValue);
}
