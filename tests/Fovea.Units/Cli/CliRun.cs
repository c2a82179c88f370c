using System.Text.Json.Nodes;
namespace Fovea.Units;

/// <summary>Runs the command line in this process.</summary>
sealed record CliRun(int Code, string Out, string Err)
{
    public static CliRun Of(params string[] args) => Of(CancellationToken.None, args);
    public static CliRun Of(CancellationToken cancel, params string[] args)
    {
        using var o = new StringWriter(); using var e = new StringWriter();
        int code = Fovea.Cli.Cli.Run(args, o, e, cancel);
        return new(code, o.ToString(), e.ToString());
    }
    public JsonNode Json => JsonNode.Parse(Out)!;

    public static string Folder() => Directory.CreateTempSubdirectory("fovea-units-").FullName;
    public static string TextFile(int bytes)
    {
        string path = Path.Combine(Folder(), "text.txt"); var text = new byte[bytes];
        for (int i = 0; i < bytes; i++) text[i] = (byte)"the cat sat on the mat and the dog sat on the log. "[i % 51];
        File.WriteAllBytes(path, text);
        return path;
    }
}
