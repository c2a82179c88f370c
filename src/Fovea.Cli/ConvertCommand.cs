using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Fovea.Engine;
using Fovea.Models;
namespace Fovea.Cli;

/// <summary>fovea convert: a model as a GGUF file, in another number format.</summary>
static class ConvertCommand
{
    public static Command Make(Terminal terminal)
    {
        var from = new Argument<string>("from") { Description = "A GGUF file, or a folder of Hugging Face with config.json, safetensors and tokenizer.json." }; var to = new Argument<string>("to") { Description = "The GGUF file that is written, whole or not at all." }; var json = Output.JsonOption();
        var kind = new Option<GgufKind>("--kind") { Description = "How matrices are kept: F32, F16, Q8_0 or Q4_0.", Required = true };
        var command = new Command("convert", "Writes a GGUF file with the matrices of another, or of a folder of Hugging Face, in a number format.") { from, to, kind, json };
        command.SetAction(p =>
        {
            string path = p.GetValue(from)!, made = p.GetValue(to)!;
            bool folder = Directory.Exists(path);
            if (!folder && !File.Exists(path)) throw new UsageException($"{path}: does not exist");
            if (Path.GetFullPath(path) == Path.GetFullPath(made)) throw new UsageException($"{made}: is the file that is read, expected another one");
            if (!GgufWriter.Writes(p.GetValue(kind))) throw new UsageException($"--kind {p.GetValue(kind)}: expected F32, F16, Q8_0 or Q4_0");
            long before, after;
            if (folder) { before = Directory.GetFiles(path, "*.safetensors").Sum(f => new FileInfo(f).Length); FolderConversion.Save(path, made, p.GetValue(kind)); after = new FileInfo(made).Length; }
            else using (var file = GgufFile.Open(path)) { before = file.Length; GgufConversion.To(file, p.GetValue(kind)).Save(made); after = new FileInfo(made).Length; }
            if (p.GetValue(json)) Output.Json(terminal, new JsonObject { ["file"] = Path.GetFullPath(made), ["kind"] = p.GetValue(kind).ToString(), ["bytesBefore"] = before, ["bytes"] = after });
            else terminal.Out.WriteLine($"{Path.GetFullPath(made)}: {after.ToString("N0", CultureInfo.InvariantCulture)} bytes, {before.ToString("N0", CultureInfo.InvariantCulture)} before");
            return Cli.Done;
        });
        return command;
    }
}
