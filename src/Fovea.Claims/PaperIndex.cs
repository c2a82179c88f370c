using System.Reflection;
namespace Fovea.Claims;

/// <summary>A claim that was found: its method, statement and cost.</summary>
public sealed record Claim(string Name, string Statement, bool Quick, Func<ClaimRun, Evidence> Run);

/// <summary>What the code has for a paper.</summary>
/// <param name="Code">Types that carry [From] with its catalogue id or arXiv number, and the places in the paper.</param>
public sealed record PaperCode(Paper Paper, IReadOnlyList<(Type Type, string Where)> Code, Type? ClaimClass, IReadOnlyList<Claim> Claims);

/// <summary>Finds by one pass over the types which paper has which code and which claims.</summary>
public sealed class PaperIndex
{
    readonly Dictionary<string, PaperCode> all = new(StringComparer.Ordinal);

    /// <summary>Throws if a [Paper] names no paper of the catalogue, if two classes hold one paper's claims, or if a [Claim] has another signature than (ClaimRun) → Evidence.</summary>
    public PaperIndex(Catalogue catalogue, params IEnumerable<Assembly> assemblies)
    {
        var code = new Dictionary<string, List<(Type, string)>>(); var classes = new Dictionary<string, Type>();
        foreach (var type in assemblies.SelectMany(a => a.GetTypes()))
        {
            // Attribute data and not attributes: nothing is made for the thousands of types that have none.
            foreach (var data in type.CustomAttributes)
            {
                if (data.AttributeType == typeof(FromAttribute) && catalogue.Find(Text(data, 0)) is { } source)
                {
                    if (!code.TryGetValue(source.Id, out var types)) code[source.Id] = types = [];
                    types.Add((type, Text(data, 1)));
                }
                else if (data.AttributeType == typeof(PaperAttribute))
                {
                    var paper = catalogue.Find(Text(data, 0)) ?? throw new InvalidOperationException($"{type.FullName}: [Paper(\"{Text(data, 0)}\")] is not in the catalogue");
                    if (!classes.TryAdd(paper.Id, type)) throw new InvalidOperationException($"{type.FullName} and {classes[paper.Id].FullName} both hold the claims of '{paper.Id}'");
                }
            }
        }
        foreach (var p in catalogue.Papers)
        {
            var types = code.GetValueOrDefault(p.Id) ?? [];
            var holder = classes.GetValueOrDefault(p.Id);
            all[p.Id] = new(p, [.. types.OrderBy(t => t.Item1.FullName, StringComparer.Ordinal)], holder, holder is null ? [] : [.. Claims(holder)]);
        }
        Papers = [.. catalogue.Papers.Select(p => all[p.Id])];
    }

    public IReadOnlyList<PaperCode> Papers { get; }
    public PaperCode this[string id] => all[id];

    public static Status StatusOf(PaperCode code, EvidenceStore evidence)
    {
        var claims = code.Claims.Select(c => c.Name).ToList();
        return Statuses.Of(code.Code.Count > 0, claims, claims.Count > 0 ? evidence.Read(code.Paper.Id) : new(code.Paper.Id, []));
    }

    static string Text(CustomAttributeData data, int argument) => argument < data.ConstructorArguments.Count ? data.ConstructorArguments[argument].Value as string ?? "" : "";

    static IEnumerable<Claim> Claims(Type holder)
    {
        // In the order of the file, which is the order in which they are best read.
        foreach (var method in holder.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance).OrderBy(m => m.MetadataToken))
        {
            if (method.GetCustomAttribute<ClaimAttribute>() is not { } claim) continue;
            if (!method.IsStatic || method.ReturnType != typeof(Evidence) || method.GetParameters() is not [{ } p] || p.ParameterType != typeof(ClaimRun))
                throw new InvalidOperationException($"{holder.FullName}.{method.Name}: a claim is static Evidence {method.Name}(ClaimRun run)");
            yield return new(method.Name, claim.Statement, claim.Quick, method.CreateDelegate<Func<ClaimRun, Evidence>>());
        }
    }
}
