using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;
namespace Fovea.Cli;

/// <summary>How results look: one JSON document, or a table.</summary>
static class Output
{
    static readonly JsonSerializerOptions json = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    public static Option<bool> JsonOption() => new("--json") { Description = "Print one JSON document to stdout and nothing else." };
    public static Option<int> SeedOption(int start = 1) => new("--seed") { Description = "Key of everything that is drawn.", DefaultValueFactory = _ => start };

    public static string Text(JsonNode node) => node.ToJsonString(json);
    public static void Json(Terminal terminal, JsonNode node) => terminal.Out.WriteLine(Text(node));

    /// <summary>Numbers that JSON cannot hold become null.</summary>
    public static JsonNode? Number(double x, int digits = 6)
    {
        if (!double.IsFinite(x)) return null;
        return x == 0 ? 0 : JsonValue.Create(double.Parse(x.ToString("g" + digits, CultureInfo.InvariantCulture), CultureInfo.InvariantCulture));
    }

    public static void Table(Terminal terminal, string[] header, IEnumerable<string[]> rows, params int[] numbers)
    {
        var table = new Table().Border(terminal.Colours ? TableBorder.Rounded : TableBorder.Minimal);
        for (int i = 0; i < header.Length; i++)
        {
            var column = new TableColumn(new Markup($"[bold]{Markup.Escape(header[i])}[/]"));
            table.AddColumn(Array.IndexOf(numbers, i) >= 0 ? column.RightAligned() : column);
        }
        foreach (var row in rows) table.AddRow([.. row.Select(cell => new Text(cell))]);
        Console(terminal).Write(table);
    }

    static IAnsiConsole Console(Terminal terminal)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = terminal.Colours ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = terminal.Colours ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(terminal.Out),
        });
        console.Profile.Width = terminal.Width;
        console.Profile.Capabilities.Unicode = true;
        return console;
    }
}
