using System.Text.Json;
namespace Fovea.Models;

/// <summary>What a tokenizer_config.json adds to a tokenizer.json.</summary>
static class JsonConfig
{
    /// <summary>The texts of the tokens that begin and end a text, where they are named: a text, or an object with "content".</summary>
    public static (string? Bos, string? Eos) Boundaries(byte[] json, string name)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new() { MaxDepth = 32 });
            var root = new JsonPart(document.RootElement, name);
            return (Text(root["bos_token"]), Text(root["eos_token"]));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { throw new InvalidDataException($"{name}: {e.Message}", e); }
        static string? Text(JsonPart part) => part.IsNull ? null : part.IsText ? part.Text() : part["content"].Text();
    }
}
