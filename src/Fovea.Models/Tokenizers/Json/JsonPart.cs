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
    /// <summary>
    /// A number as the reference reads it: its digits as a whole number, which is rounded, and then multiplied or divided by a power of ten, which rounds again. The last bit decides between ways to cut a text that score the same.
    /// </summary>
    public double Decimal()
    {
        double number = Number(); ulong digits = 0; int shift = 0, at = 0; bool behind = false; string text = Value.GetRawText();
        if (text[0] == '-') at++;
        for (; at < text.Length && text[at] is var c and (>= '0' and <= '9' or '.'); at++)
        {
            if (c == '.') { behind = true; continue; }
            if (digits > (ulong.MaxValue - (uint)(c - '0')) / 10) { if (!behind) shift++; continue; }
            digits = digits * 10 + (uint)(c - '0');
            if (behind) shift--;
        }
        if (at < text.Length) shift += int.Parse(text.AsSpan(at + 1), System.Globalization.NumberStyles.AllowLeadingSign, System.Globalization.CultureInfo.InvariantCulture);
        if (Math.Abs(shift) > 300) return number;
        double power = double.Parse($"1e{Math.Abs(shift)}", System.Globalization.CultureInfo.InvariantCulture);
        return (shift < 0 ? digits / power : digits * power) * (number < 0 ? -1 : 1);
    }
    public string Type() => this["type"].Text();

    InvalidDataException Bad(string expected) => new($"{Path} is {(IsNull ? "missing" : $"a JSON {Value.ValueKind}")}, expected {expected}");
    public InvalidDataException Unsupported(string what) => new($"{Path}: {(what.Length <= 80 ? what : what[..80] + "…")} is not supported");
}
