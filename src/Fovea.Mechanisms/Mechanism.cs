using System.Globalization;
using System.Reflection;
using System.Text;
namespace Fovea.Mechanisms;

/// <summary>A constructor parameter of a mechanism beyond configuration and weights: what <c>--set name=value</c> changes.</summary>
public sealed record Knob(string Name, Type Type, object? Default)
{
    /// <summary>The value that a text stands for, in the invariant culture. Throws with what is expected.</summary>
    public object Parse(string text)
    {
        var type = Nullable.GetUnderlyingType(Type) ?? Type; var c = CultureInfo.InvariantCulture;
        if (type == typeof(int) && int.TryParse(text, NumberStyles.Integer, c, out int i)) return i;
        if (type == typeof(double) && double.TryParse(text, NumberStyles.Float, c, out double d)) return d;
        if (type == typeof(Real) && Real.TryParse(text, NumberStyles.Float, c, out Real r)) return r;
        if (type == typeof(bool) && bool.TryParse(text, out bool b)) return b;
        if (type == typeof(string)) return text;
        if (type.IsEnum && Enum.TryParse(type, text, ignoreCase: true, out object? e) && Enum.IsDefined(type, e)) return e;
        throw new ArgumentException($"{Name}={text}: expected {(type.IsEnum ? "one of " + string.Join(", ", Enum.GetNames(type)) : NameOf(type))}");
    }

    /// <summary>"int", "double?" … as in C#.</summary>
    public static string NameOf(Type type) => Nullable.GetUnderlyingType(type) is { } inner ? NameOf(inner) + "?"
        : type == typeof(int) ? "int" : type == typeof(double) ? "double" : type == typeof(Real) ? "number" : type == typeof(bool) ? "bool" : type == typeof(string) ? "string" : type.Name;
}

/// <summary>A discovered <see cref="Attention"/> type under its short name: "sliding-window" for SlidingWindowAttention.</summary>
public sealed record Mechanism(string Name, Type Type, Traits Traits)
{
    static readonly Lazy<IReadOnlyList<Mechanism>> all = new(() =>
        [.. Discover.All<Attention>().Where(t => t.IsPublic).Select(t => new Mechanism(NameOf(t), t, TraitsOf(t))).OrderBy(m => m.Name, StringComparer.Ordinal)]);

    /// <summary>Every mechanism in the loaded Fovea assemblies and the program itself, by name.</summary>
    public static IReadOnlyList<Mechanism> All => all.Value;

    /// <summary>Parameters with their defaults, in the order of the constructor.</summary>
    public IReadOnlyList<Knob> Knobs => [.. Constructor().GetParameters().Skip(2).Select(p => new Knob(p.Name!, p.ParameterType, p.DefaultValue))];
    /// <summary>Where the idea comes from: ids of papers and the place in them.</summary>
    public IReadOnlyList<FromAttribute> Papers => [.. Type.GetCustomAttributes<FromAttribute>()];

    /// <summary>Makes a layer. Throws if a knob has no such name or its value does not fit.</summary>
    public Attention New(AttentionConfig config, Weights weights, IReadOnlyDictionary<string, object>? knobs = null)
    {
        foreach (string name in knobs?.Keys ?? [])
            if (Knobs.All(k => k.Name != name)) throw new ArgumentException($"{Name} has no parameter '{name}'; it has: {(Knobs.Count == 0 ? "none" : string.Join(", ", Knobs.Select(k => k.Name)))}");
        return (Attention)Discover.New(Type, [config, weights], knobs);
    }

    /// <summary>The mechanism of this name. Throws with the nearest name if there is none.</summary>
    public static Mechanism Find(string name) => All.FirstOrDefault(m => m.Name == name)
        ?? throw new ArgumentException($"no mechanism '{name}'; did you mean '{All.MinBy(m => Distance(name, m.Name))?.Name}'? 'fovea mechanisms' lists all {All.Count}");

    /// <summary>Words of the type name in lower case with hyphens, without "Attention".</summary>
    public static string NameOf(Type type)
    {
        string s = type.Name.Length > 9 && type.Name.EndsWith("Attention", StringComparison.Ordinal) ? type.Name[..^9] : type.Name;
        var b = new StringBuilder();
        for (int i = 0; i < s.Length; i++)
        {
            if (i > 0 && char.IsUpper(s[i]) && (!char.IsUpper(s[i - 1]) || i + 1 < s.Length && char.IsLower(s[i + 1]))) b.Append('-');
            b.Append(char.ToLowerInvariant(s[i]));
        }
        return b.ToString();
    }

    /// <summary>Letters to insert, delete or change to get from a to b.</summary>
    public static int Distance(string a, string b)
    {
        var row = new int[b.Length + 1];
        for (int j = 0; j <= b.Length; j++) row[j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0]; row[0] = i;
            for (int j = 1; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }

    static Traits TraitsOf(Type t) => t.GetCustomAttribute<TraitsAttribute>()?.Traits ?? Traits.None;
    ConstructorInfo Constructor() => Type.GetConstructors().Single();
}
