using System.Globalization;
using System.Text;
namespace Fovea.Models;

/// <summary>A message of a conversation; More holds what else a template may ask for (tool calls, a name).</summary>
public sealed record ChatMessage(string Role, string Content, IReadOnlyDictionary<string, object?>? More = null);

/// <summary>
/// How a model wants a conversation written: the Jinja template that comes with it ("tokenizer.chat_template"), in the subset that such templates use. Lines are trimmed as their authors expect
/// (trim_blocks, lstrip_blocks). What is not supported, and what the template raises, is a <see cref="TemplateException"/> with line and column; depth, steps and text are bounded.
/// </summary>
public sealed class ChatTemplate
{
    /// <summary>The longest template, in characters.</summary>
    public const int Longest = 1 << 20;
    readonly TemplateNode[] body;
    ChatTemplate(TemplateNode[] body) => this.body = body;

    /// <summary>Reads a template.</summary>
    public static ChatTemplate Parse(string text) => text.Length <= Longest ? new(TemplateParser.Parse(text)) : throw new TemplateException($"the template has {text.Length} characters, expected at most {Longest}", 1, 1);

    /// <summary>
    /// The conversation as text. With <paramref name="addGenerationPrompt"/> it ends where the model is to go on; <paramref name="bos"/> and <paramref name="eos"/> are the texts of those tokens;
    /// <paramref name="tools"/> and what <paramref name="more"/> names are there for templates that ask; the date only where <paramref name="time"/> is given.
    /// Texts of messages, but not their roles, pass <paramref name="content"/> first, if it is given.
    /// </summary>
    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true, string bos = "", string eos = "", IReadOnlyList<object?>? tools = null, TimeProvider? time = null,
        IReadOnlyDictionary<string, object?>? more = null, Func<string, string>? content = null)
    {
        var scope = new TemplateScope(null);
        scope["messages"] = new TemplateList([.. messages.Select(m => Message(m, content))]);
        scope["add_generation_prompt"] = addGenerationPrompt;
        scope["bos_token"] = bos; scope["eos_token"] = eos;
        scope["tools"] = tools is null ? null : TemplateValues.From(tools);
        scope["documents"] = null;
        foreach (var (key, value) in more ?? new Dictionary<string, object?>()) scope[key] = TemplateValues.From(value);
        scope["raise_exception"] = new TemplateFunction("raise_exception", call => throw call.Place.Bad(call.Text(0, "message")));
        scope["namespace"] = new TemplateFunction("namespace", Namespace);
        scope["dict"] = new TemplateFunction("dict", call => TemplateValues.Map(call.Only(0, [.. call.Named.Select(n => n.Name)]).Named));
        scope["range"] = new TemplateFunction("range", Range);
        if (time is not null) scope["strftime_now"] = new TemplateFunction("strftime_now", call => Date(time.GetLocalNow(), call));
        return new TemplateRun().Render(body, scope);
    }

    static TemplateMap Message(ChatMessage m, Func<string, string>? content)
    {
        object? Of(object? x) => content is null ? x : x switch
        {
            string s => content(s),
            TemplateList l => new TemplateList([.. l.Select(Of)], l.IsTuple),
            TemplateMap map => TemplateValues.Map(map.Items.Select(p => ((string)p.Key, Of(p.Value)))),
            _ => x,
        };
        var map = TemplateValues.Map([("role", m.Role), ("content", Of(m.Content))]);
        foreach (var (key, value) in m.More ?? new Dictionary<string, object?>()) map.Items[key] = Of(TemplateValues.From(value));
        return map;
    }

    static TemplateMap Namespace(TemplateCall call)
    {
        var map = new TemplateMap(isNamespace: true);
        if (call.Plain is [TemplateMap first]) foreach (var (key, value) in first.Items) map.Items[key] = value;
        else if (call.Plain.Length > 0) throw call.Bad("takes names and values");
        foreach (var (name, value) in call.Named) map.Items[name] = value;
        return map;
    }

    static TemplateList Range(TemplateCall call)
    {
        call.Only(3);
        long from = call.Plain.Length > 1 ? call.Whole(0, "start", 0) : 0, to = call.Plain.Length > 1 ? call.Whole(1, "stop", 0) : call.Whole(0, "stop", 0), step = call.Whole(2, "step", 1);
        double count = step == 0 ? throw call.Bad("has a step of 0") : Math.Max(0, Math.Ceiling(((double)to - from) / step));
        if (count > 100_000) throw call.Bad("has more than 100000 numbers");
        call.Run.Step(call.Place, (long)count);
        return new([.. Enumerable.Range(0, (int)count).Select(i => (object?)(from + i * step))]);
    }

    static string Date(DateTimeOffset now, TemplateCall call)
    {
        string format = call.Text(0, "format"); var to = new StringBuilder();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length) { to.Append(format[i]); continue; }
            to.Append(format[++i] switch
            {
                'Y' => now.ToString("yyyy", CultureInfo.InvariantCulture),
                'y' => now.ToString("yy", CultureInfo.InvariantCulture),
                'm' => now.ToString("MM", CultureInfo.InvariantCulture),
                'B' => now.ToString("MMMM", CultureInfo.InvariantCulture),
                'b' => now.ToString("MMM", CultureInfo.InvariantCulture),
                'd' => now.ToString("dd", CultureInfo.InvariantCulture),
                'A' => now.ToString("dddd", CultureInfo.InvariantCulture),
                'a' => now.ToString("ddd", CultureInfo.InvariantCulture),
                'H' => now.ToString("HH", CultureInfo.InvariantCulture),
                'I' => now.ToString("hh", CultureInfo.InvariantCulture),
                'M' => now.ToString("mm", CultureInfo.InvariantCulture),
                'S' => now.ToString("ss", CultureInfo.InvariantCulture),
                'p' => now.ToString("tt", CultureInfo.InvariantCulture),
                'j' => now.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
                '%' => "%",
                var other => throw call.Bad($"does not know '%{other}'"),
            });
        }
        return to.ToString();
    }
}
