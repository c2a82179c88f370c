using System.Security.Cryptography;
namespace Fovea.Cli;

/// <summary>Bytes to train on, and where they are from.</summary>
sealed record SourceText(string Name, byte[] Bytes)
{
    public string Hash { get; } = Convert.ToHexStringLower(SHA256.HashData(Bytes))[..32];
}

static class Texts
{
    /// <summary>The part of a larger file that is read.</summary>
    const int Most = 64 << 20;

    /// <summary>A file's first 64 MiB; without a path the documentation and sources that this program was built from.</summary>
    public static SourceText Open(string? path)
    {
        if (path is null) return new("fovea", Own());
        if (Directory.Exists(path)) throw new UsageException($"--text {path}: is a folder, expected a file");
        if (!File.Exists(path)) throw new UsageException($"--text {path}: does not exist");
        using var file = File.OpenRead(path);
        var bytes = new MemoryStream(); var buffer = new byte[1 << 16];
        for (int n; bytes.Length < Most && (n = file.Read(buffer)) > 0;) bytes.Write(buffer, 0, (int)Math.Min(n, Most - bytes.Length));
        if (bytes.Length == 0) throw new UsageException($"--text {path}: is empty, expected some text");
        return new(Path.GetFileName(path), bytes.ToArray());
    }

    static byte[] Own()
    {
        var assembly = typeof(Texts).Assembly; var all = new MemoryStream();
        foreach (string name in assembly.GetManifestResourceNames().Where(n => n.StartsWith("text/", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using var stream = assembly.GetManifestResourceStream(name)!;
            stream.CopyTo(all);
        }
        return all.ToArray();
    }
}
