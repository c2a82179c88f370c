using System.Text;
using System.Text.Json;
using Fovea.Engine;
namespace Fovea.Units;

public class JsonConstraintTests
{
    static bool Reads(string text, string? schema = null, bool complete = true)
    {
        var c = schema is null ? new JsonConstraint() : new JsonConstraint(JsonSchema.Parse(JsonDocument.Parse(schema).RootElement));
        foreach (byte b in Encoding.UTF8.GetBytes(text)) { if (!c.Allows([b])) return false; c.Accept([b]); }
        return c.Complete == complete;
    }

    [Theory, InlineData("{}"), InlineData("{ \"a\" : [1, -2.5e+3, 0.1, true, false, null, {\"ü\":\"\\u00e9\\n😀\"}] }"), InlineData("{\"a\":[],\"b\":{}}"), InlineData("{\n  \"a\": 0\n}")]
    public void Objects_of_any_form_are_read(string text) { JsonDocument.Parse(text).Dispose(); Assert.True(Reads(text)); }

    [Theory, InlineData("[]"), InlineData("{,}"), InlineData("{\"a\":}"), InlineData("{\"a\":01}"), InlineData("{\"a\":1,}"), InlineData("{\"a\":\"\n\"}"), InlineData("{\"a\":\"\\x\"}"), InlineData("{a:1}"), InlineData("{\"a\":1.}"), InlineData("{\"a\":tru}"), InlineData("{} x"), InlineData("{\"a\":-}"), InlineData("{\"a\":1e}")]
    public void What_is_no_object_is_not(string text) { Assert.ThrowsAny<Exception>(() => { using var d = JsonDocument.Parse(text); if (d.RootElement.ValueKind != JsonValueKind.Object) throw new JsonException(); }); Assert.False(Reads(text)); }

    const string Person = """{"type":"object","properties":{"name":{"type":"string","maxLength":8},"age":{"type":"integer"},"tags":{"type":"array","items":{"enum":["a","b"]},"minItems":1,"maxItems":2},"at":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/place"}]}},"required":["name","age"],"$defs":{"place":{"type":"object","properties":{"x":{"type":"number"}},"required":["x"]}}}""";
    [Theory]
    [InlineData("{\"name\":\"Ada\",\"age\":36}", true), InlineData("{\"age\":36,\"name\":\"Ada\"}", true), InlineData("{\"age\":36}", false), InlineData("{\"name\":\"Ada\",\"age\":3.5}", false), InlineData("{\"name\":\"Ada\",\"age\":3,\"more\":1}", false)]
    [InlineData("{\"name\":\"Ada\",\"age\":3,\"age\":4}", false), InlineData("{\"name\":\"far too long\",\"age\":3}", false), InlineData("{\"name\":\"A\",\"age\":3,\"tags\":[\"a\",\"b\"]}", true), InlineData("{\"name\":\"A\",\"age\":3,\"tags\":[]}", false)]
    [InlineData("{\"name\":\"A\",\"age\":3,\"tags\":[\"a\",\"b\",\"a\"]}", false), InlineData("{\"name\":\"A\",\"age\":3,\"at\":null}", true), InlineData("{\"name\":\"A\",\"age\":3,\"at\":{\"x\":-0.5}}", true), InlineData("{\"name\":\"A\",\"age\":3,\"at\":{}}", false)]
    public void A_schema_is_kept(string text, bool good) => Assert.Equal(good, Reads(text, Person));

    [Theory, InlineData("""{"type":"object","patternProperties":{}}""", "'patternProperties' is not supported"), InlineData("""{"type":"date"}""", "type 'date'"), InlineData("""{"$ref":"#/x"}""", "expected #/$defs"), InlineData("""{"type":"object","required":["a"]}""", "is no property"), InlineData("""{"enum":[]}""", "not empty"), InlineData("""{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}""", "nests more than")]
    public void What_a_schema_asks_that_is_not_kept_is_refused(string schema, string message) => Assert.Contains(message, Assert.Throws<ArgumentException>(() => JsonSchema.Parse(JsonDocument.Parse(schema).RootElement)).Message);

    [Fact]
    public void Nothing_leads_where_nothing_follows()
    {
        // Every way of a small schema is walked to its end.
        const string schema = """{"type":"object","properties":{"a":{"enum":["x"]},"b":{"type":"array","items":{"type":"boolean"},"maxItems":1}},"required":["a"]}"""; byte[] letters = Encoding.UTF8.GetBytes("{}[]\",:abxtruefls"); int ends = 0;
        void Walk(string text)
        {
            var c = new JsonConstraint(JsonSchema.Parse(JsonDocument.Parse(schema).RootElement)); c.Accept(Encoding.UTF8.GetBytes(text));
            int ways = c.Complete ? 1 : 0; ends += ways;
            foreach (byte b in letters) if (c.Allows([b])) { ways++; Walk(text + (char)b); }
            Assert.True(ways > 0, text);
        }
        Walk("{");
        Assert.Equal(7, ends);      // a; a with three arrays behind it; three arrays with a behind them
    }

    [Fact]
    public void Random_walks_through_a_constraint_are_json()
    {
        byte[] letters = Encoding.UTF8.GetBytes("{}[]\",:0123456789.-eE+truefalsnb \\u\u00e9");
        for (int seed = 0; seed < 300; seed++)
        {
            var c = seed % 2 == 0 ? new JsonConstraint() : new JsonConstraint(JsonSchema.Parse(JsonDocument.Parse(Person).RootElement)); var text = new List<byte>(); var rng = new Rng((ulong)seed);
            for (int i = 0; i < 4000 && !(c.Complete && text.Count > 20 + seed % 50); i++)
            {
                byte b = letters[rng.Below(i, letters.Length)];
                // Closing is preferred after a while, or texts would hardly ever end.
                if (i > 500) foreach (byte close in "\"}]:"u8) if (c.Allows([close])) { b = close; break; }
                if (!c.Allows([b])) continue;
                c.Accept([b]); text.Add(b);
            }
            if (c.Complete) JsonDocument.Parse(text.ToArray()).Dispose();
        }
    }
}
