using System.Text.Json;
namespace Fovea.Models;

/// <summary>A value in a JSON document with its path, which every complaint names.</summary>
readonly record struct JsonPart(JsonElement Value, string Path)
{
    public bool IsNull => Value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;
    public bool IsText => Value.ValueKind == JsonValueKind.String;
    public bool IsArray => Value.ValueKind == JsonValueKind.Array;

    /// <summary>A member of an object; null where it is missing.</summary>
    public JsonPart this[string key] => Value.ValueKind == JsonValueKind.Object ? new(Value.TryGetProperty(key, out var v) ? v : default, $"{Path}.{key}") : throw Bad("an object");

    public IEnumerable<JsonPart> Items()
    {
        if (!IsArray) throw Bad("an array");
        string path = Path;
        return Value.EnumerateArray().Select((v, i) => new JsonPart(v, $"{path}[{i}]"));
    }
    /// <summary>The members of an object, in the order of the file.</summary>
    public IEnumerable<(string Key, JsonPart Value)> Members()
    {
        if (Value.ValueKind != JsonValueKind.Object) throw Bad("an object");
        string path = Path;
        return Value.EnumerateObject().Select(m => (m.Name, new JsonPart(m.Value, path)));
    }

    public string Text() => IsText ? Value.GetString()! : throw Bad("a text");
    public string Text(string otherwise) => IsNull ? otherwise : Text();
    public bool Flag(bool otherwise) => Value.ValueKind switch { JsonValueKind.True => true, JsonValueKind.False => false, _ when IsNull => otherwise, _ => throw Bad("true or false") };
    public int Whole() => Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out int n) ? n : throw Bad("a whole number");
    public double Number() => Value.ValueKind == JsonValueKind.Number && Value.TryGetDouble(out double n) && double.IsFinite(n) ? n : throw Bad("a number");
    public string Type() => this["type"].Text();

    InvalidDataException Bad(string expected) => new($"{Path} is {(IsNull ? "missing" : $"a JSON {Value.ValueKind}")}, expected {expected}");
    public InvalidDataException Unsupported(string what) => new($"{Path}: {(what.Length <= 80 ? what : what[..80] + "…")} is not supported");
}
