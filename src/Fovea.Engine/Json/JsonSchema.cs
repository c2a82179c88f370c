using System.Text.Encodings.Web;
using System.Text.Json;
namespace Fovea.Engine;

/// <summary>
/// Reads JSON schemas: type (also several), properties, required, items, minItems, maxItems, minLength, maxLength, enum, const, anyOf, oneOf, and $ref to #/$defs or #/definitions. Titles, descriptions, defaults and examples say nothing about form.
/// Objects with properties have those and no others. Anything else is an <see cref="ArgumentException"/> that names it: a promise that is not kept is worse than none.
/// </summary>
public static class JsonSchema
{
    const int Deepest = 32, Largest = 10_000;
    internal static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    static readonly HashSet<string> silent = ["title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs", "definitions", "strict", "name", "format", "additionalProperties", "readOnly", "writeOnly", "deprecated"];
    static readonly HashSet<string> known = ["type", "properties", "required", "items", "minItems", "maxItems", "minLength", "maxLength", "enum", "const", "anyOf", "oneOf", "$ref"];

    /// <summary>The form that a schema describes.</summary>
    public static JsonForm Parse(JsonElement schema) => new Reader(schema).Form(schema, "#", 0);

    sealed class Reader(JsonElement root)
    {
        int made;
        public JsonForm Form(JsonElement s, string at, int depth)
        {
            if (depth > Deepest) throw new ArgumentException($"schema {at}: nests more than {Deepest} deep; schemas that contain themselves are not supported");
            if (++made > Largest) throw new ArgumentException($"schema {at}: more than {Largest} parts");
            if (s.ValueKind == JsonValueKind.True) return AnyForm.Instance;
            if (s.ValueKind != JsonValueKind.Object) throw Bad(at, s, "an object");
            foreach (var p in s.EnumerateObject()) if (!known.Contains(p.Name) && !silent.Contains(p.Name)) throw new ArgumentException($"schema {at}: '{p.Name}' is not supported");
            if (s.TryGetProperty("$ref", out var r)) return Form(Resolve(r, at), r.GetString()!, depth + 1);
            if (s.TryGetProperty("const", out var c)) return Exactly(c);
            if (s.TryGetProperty("enum", out var e)) return new Either([.. Items(e, at + "/enum").Select(Exactly)]);
            foreach (string many in (string[])["anyOf", "oneOf"])
                if (s.TryGetProperty(many, out var of)) return new Either([.. Items(of, $"{at}/{many}").Select((x, i) => Form(x, $"{at}/{many}/{i}", depth + 1))]);
            if (!s.TryGetProperty("type", out var type)) return s.TryGetProperty("properties", out _) ? Of("object", s, at, depth) : s.TryGetProperty("items", out _) ? Of("array", s, at, depth) : AnyForm.Instance;
            return type.ValueKind == JsonValueKind.Array ? new Either([.. Items(type, at + "/type").Select(t => Of(t.ToString(), s, at, depth))]) : Of(type.ToString(), s, at, depth);
        }

        JsonForm Of(string type, JsonElement s, string at, int depth) => type switch
        {
            "object" => Members(s, at, depth),
            "array" when Range(s, "minItems", "maxItems", at) is var (least, most) => new ArrayForm(s.TryGetProperty("items", out var items) ? Form(items, at + "/items", depth + 1) : AnyForm.Instance, least, most),
            "string" when Range(s, "minLength", "maxLength", at) is var (least, most) => new StringForm(least, most),
            "number" => new NumberForm(whole: false),
            "integer" => new NumberForm(whole: true),
            "boolean" => new Either([Literal.Of("true"), Literal.Of("false")]),
            "null" => Literal.Of("null"),
            _ => throw new ArgumentException($"schema {at}: type '{type}' is not supported; expected object, array, string, number, integer, boolean or null"),
        };

        JsonForm Members(JsonElement s, string at, int depth)
        {
            var members = new List<(string, JsonForm)>(); var required = new HashSet<int>();
            if (s.TryGetProperty("properties", out var properties))
            {
                if (properties.ValueKind != JsonValueKind.Object) throw Bad(at + "/properties", properties, "an object");
                foreach (var p in properties.EnumerateObject()) members.Add((p.Name, Form(p.Value, $"{at}/properties/{p.Name}", depth + 1)));
            }
            if (s.TryGetProperty("required", out var names))
                foreach (var n in Items(names, at + "/required"))
                    if (!required.Add(members.FindIndex(m => m.Item1 == n.ToString()) is >= 0 and var i ? i : throw new ArgumentException($"schema {at}: '{n}' is required and is no property"))) throw new ArgumentException($"schema {at}: '{n}' is required twice");
            return new ObjectForm(members, required, members.Count == 0 ? AnyForm.Instance : null);
        }

        JsonElement Resolve(JsonElement r, string at)
        {
            string[] path = r.ValueKind == JsonValueKind.String ? r.GetString()!.Split('/') : [];
            var found = root;
            if (path.Length < 3 || path[0] != "#" || path[1] is not ("$defs" or "definitions")) throw Bad(at + "/$ref", r, "#/$defs/… or #/definitions/…");
            foreach (string part in path[1..]) if (found.ValueKind != JsonValueKind.Object || !found.TryGetProperty(part.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal), out found)) throw new ArgumentException($"schema {at}: {r} names nothing");
            return found;
        }

        static Literal Exactly(JsonElement value) => Literal.Of(JsonSerializer.Serialize(value, Plain));
        static IEnumerable<JsonElement> Items(JsonElement list, string at) => list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0 ? list.EnumerateArray() : throw Bad(at, list, "an array that is not empty");
        static int Count(JsonElement s, string name, string at, int otherwise) => !s.TryGetProperty(name, out var n) ? otherwise : n.ValueKind == JsonValueKind.Number && n.TryGetInt32(out int count) && count >= 0 ? count : throw Bad($"{at}/{name}", n, "a whole number from 0");
        static (int Least, int Most) Range(JsonElement s, string least, string most, string at) => (Count(s, least, at, 0), Count(s, most, at, int.MaxValue)) is var r && r.Item1 <= r.Item2 ? r : throw new ArgumentException($"schema {at}: {least} is {r.Item1}, {most} {r.Item2}");
        static ArgumentException Bad(string at, JsonElement found, string expected) { string text = found.GetRawText(); return new($"schema {at} is {(text.Length > 60 ? text[..60] + "…" : text)}, expected {expected}"); }
    }
}
