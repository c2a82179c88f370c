using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Fovea.Mechanisms;
namespace Fovea.Cli;

/// <summary>fovea mechanisms: what is discovered, with traits and constructor parameters.</summary>
static class MechanismsCommand
{
    public static Command Make(Terminal terminal)
    {
        var json = Output.JsonOption();
        var command = new Command("mechanisms", "Lists the attention mechanisms, their traits and their parameters.") { json };
        command.SetAction(p => { if (p.GetValue(json)) Output.Json(terminal, Json()); else Table(terminal); return Cli.Done; });
        return command;
    }

    static JsonArray Json() => [.. Mechanism.All.Select(m => new JsonObject
    {
        ["name"] = m.Name,
        ["paper"] = m.Papers.FirstOrDefault()?.Id,
        ["papers"] = new JsonArray([.. m.Papers.Select(f => new JsonObject { ["id"] = f.Id, ["where"] = f.Where })]),
        ["traits"] = new JsonArray([.. TraitNames(m.Traits).Select(t => JsonValue.Create(t))]),
        ["type"] = m.Type.FullName,
        ["parameters"] = new JsonArray([.. m.Knobs.Select(k => new JsonObject { ["name"] = k.Name, ["type"] = Knob.NameOf(k.Type), ["default"] = Default(k.Default) })]),
    })];

    static void Table(Terminal terminal) => Output.Table(terminal, ["name", "paper", "traits", "parameters"], Mechanism.All.Select(m => new[]
    {
        m.Name, string.Join(", ", m.Papers.Select(f => f.Id)), string.Join(", ", TraitNames(m.Traits)),
        string.Join(", ", m.Knobs.Select(k => $"{k.Name}={Convert.ToString(k.Default, CultureInfo.InvariantCulture)}")),
    }));

    static IEnumerable<string> TraitNames(Traits traits) => from t in Enum.GetValues<Traits>() where t != Traits.None && traits.HasFlag(t) select t.ToString();
    static JsonNode? Default(object? x) => x switch { null => null, bool b => b, int i => i, double d => d, float f => f, _ => x.ToString() };
}
