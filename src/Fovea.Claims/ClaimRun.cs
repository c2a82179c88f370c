using System.Reflection;
using System.Security.Cryptography;
namespace Fovea.Claims;

/// <summary>What a claim is run with.</summary>
public sealed class ClaimRun
{
    readonly Fixtures fixtures; readonly IProgress<string>? progress;

    public ClaimRun(int seed, bool ablated = false, bool quick = false, Fixtures? fixtures = null, IProgress<string>? progress = null, CancellationToken cancel = default)
    {
        (Seed, Ablated, Quick, Cancel, this.progress) = (seed, ablated, quick, cancel, progress);
        this.fixtures = fixtures ?? new Fixtures(null);
    }

    public int Seed { get; }
    /// <summary>True: the idea is replaced by the baseline that it claims to beat, or by a planted fault; at least one claim must then fail.</summary>
    public bool Ablated { get; }
    /// <summary>True: only claims that take seconds are run, on their smallest budget.</summary>
    public bool Quick { get; }
    public CancellationToken Cancel { get; }
    /// <summary>Key for everything that this run draws.</summary>
    public Rng Rng => new Rng((ulong)(uint)Seed)["claims"];
    public void Report(string what) => progress?.Report(what);

    /// <summary>
    /// Something that several claims share, built once per process, name and seed. What depends on Ablated must say so in its name.
    /// </summary>
    public T Fixture<T>(string name, Func<T> build) where T : class { Cancel.ThrowIfCancellationRequested(); return fixtures.Get($"{name}-{Seed}", build); }

    /// <summary>
    /// Trained weights that are also kept in the cache folder, under the version of the code, the name and the seed: trained once, then read.
    /// The shapes are those that build's weights were asked for.
    /// </summary>
    public Weights Trained(string name, Func<Weights> build) { Cancel.ThrowIfCancellationRequested(); return fixtures.Get($"{name}-{Seed}", () => fixtures.Weights($"{name}-{Seed}", build)); }
}

/// <summary>What claims of one process share, and the folder where trained weights stay (null: memory only). Used from one thread.</summary>
public sealed class Fixtures(string? folder)
{
    readonly Dictionary<string, object> made = new(StringComparer.Ordinal);

    internal T Get<T>(string key, Func<T> build) where T : class
    {
        if (!made.TryGetValue(key, out var x)) made[key] = x = build();
        return x as T ?? throw new InvalidOperationException($"fixture '{key}' is a {x.GetType().Name}, asked for as {typeof(T).Name}");
    }

    internal Weights Weights(string key, Func<Weights> build)
    {
        if (folder is null) return build();
        string path = Path.Combine(folder, CodeVersion(), string.Concat(key.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' ? c : '_')) + ".safetensors");
        // A file that cannot be read is a cache miss.
        if (File.Exists(path)) try { return Fovea.Weights.Open(path); } catch (InvalidDataException) { }
        var weights = build();
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        weights.Save(path);
        return weights;
    }

    /// <summary>Changes whenever the code of any Fovea assembly that trains does: builds are deterministic, so equal code has equal module ids.</summary>
    static string CodeVersion()
    {
        var ids = typeof(Fixtures).Assembly.GetReferencedAssemblies().Where(a => a.Name!.StartsWith("Fovea.", StringComparison.Ordinal))
            .OrderBy(a => a.Name, StringComparer.Ordinal).Select(a => Assembly.Load(a).ManifestModule.ModuleVersionId).Append(typeof(Fixtures).Module.ModuleVersionId);
        return Convert.ToHexStringLower(SHA256.HashData([.. ids.SelectMany(i => i.ToByteArray())]))[..16];
    }
}
