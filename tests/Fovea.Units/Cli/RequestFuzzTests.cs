using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fovea.Cli;
using Fovea.Engine;
namespace Fovea.Units;

/// <summary>Requests that nobody should send: the server says what is wrong with them, or answers them. With the damaged files these are more than 100,000 inputs.</summary>
public class RequestFuzzTests
{
    const int Parsed = 40_000, Sent = 3_000;
    static readonly (string Path, string Body)[] good =
    [
        ("/v1/chat/completions", """{"model":"tiny","messages":[{"role":"system","content":"be old"},{"role":"user","content":[{"type":"text","text":"lamp"}]}],"max_tokens":3,"temperature":0.5,"top_p":0.9,"top_k":20,"min_p":0.01,"stop":["sea"],"seed":4,"logprobs":true,"top_logprobs":2,"stream":true,"stream_options":{"include_usage":true}}"""),
        ("/v1/chat/completions", """{"messages":[{"role":"user","content":"x"}],"max_completion_tokens":4,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"kind":{"enum":["lamp",1,null]},"many":{"type":"array","items":{"$ref":"#/$defs/d"},"minItems":1,"maxItems":3}},"required":["kind"],"$defs":{"d":{"anyOf":[{"type":"integer"},{"type":"string","maxLength":4}]}}}}}}"""),
        ("/v1/completions", """{"prompt":"the old","max_tokens":3,"logit_bias":{"3":-100,"270":5.5},"frequency_penalty":0.5,"presence_penalty":-0.5,"repetition_penalty":1.1,"logprobs":1,"n":1,"best_of":1,"user":"u"}"""),
        ("/v1/completions", """{"prompt":[270,3,4],"max_tokens":2,"stop":"a","echo":false,"tools":[],"response_format":{"type":"json_object"}}"""),
        ("/v1/embeddings", """{"model":"tiny","input":["the old lamp","the old boat"],"encoding_format":"base64"}"""),
        ("/v1/embeddings", """{"input":[1,2,3]}"""),
    ];
    static readonly string[] raw =
    [
        "null", "true", "-1", "0", "1e999", "-1e999", "1e-400", "99999999999999999999999", "9223372036854775807", "9223372036854775808", "2147483648", "-0", "0.5", "\"\"", "\"\\ud800\"", "\"\\udc00x\"", "\"\\u0000\"", "\"<|end|>\"", "[]", "{}", "[[]]", "{\"\":{}}", "{\"\\ud800\":1}",
        "[1,\"a\"]", "[null]", "{\"$ref\":\"#/$defs/d\"}", "{\"anyOf\":[{},{}]}", "{\"type\":[\"object\",\"array\"]}", "{\"minItems\":5,\"maxItems\":2,\"type\":\"array\"}", "{\"type\":\"string\",\"minLength\":9,\"maxLength\":1}", "\"json_schema\"", "\"json_object\"",
        new string('[', 40) + new string(']', 40), new string('[', 100) + new string(']', 100), string.Concat(Enumerable.Repeat("{\"a\":", 70)) + "1" + new string('}', 70), "\"" + new string('q', 3000) + "\"", "[" + string.Join(',', Enumerable.Repeat("7", 3000)) + "]",
    ];
    static readonly string[] words = ["null", "1e999", "\"", "[", "{", "},", ",", ":", "\\ud800", "\\u0000", "[[[[[[[[", "-", "\"stream\":true,", "\"n\":2,", "\"max_tokens\":400,", "\"stop\":", "é", "🙂", "\u00ff"];

    /// <summary>Changes some values, names and places of JSON, and then, for every second one, some bytes.</summary>
    static byte[] Spoilt(string body, Rng rng)
    {
        int draws = 0; int Below(int n) => (int)(n * rng.Uniform(draws++));
        var root = new JsonObject { ["root"] = JsonNode.Parse(body) };
        for (int i = Below(4); i > 0; i--)
        {
            var all = new List<JsonNode>(); void Walk(JsonNode? n) { if (n is null) return; if (n.Parent is not null) all.Add(n); if (n is JsonObject o) foreach (var p in o) Walk(p.Value); else if (n is JsonArray a) foreach (var x in a) Walk(x); }
            Walk(root["root"]);
            if (all.Count == 0) break;
            var at = all[Below(all.Count)]; var parent = at.Parent!; JsonNode made = Below(3) == 0 ? all[Below(all.Count)].DeepClone() : JsonValue.Create($"@@{Below(raw.Length)}@@");
            if (parent is JsonArray list) { int k = list.IndexOf(at); if (Below(3) == 0) list.Insert(k, made); else list[k] = made; }
            else
            {
                var map = (JsonObject)parent; string name = at.GetPropertyName();
                switch (Below(4)) { case 0: map.Remove(name); break; case 1: map[((string[])["type", "content", "prompt", "input", "", "stop", "items", "seed"])[Below(8)]] = made; break; default: map[name] = made; break; }
            }
        }
        string text = root["root"]?.ToJsonString() ?? "";
        for (int i = 0; i < raw.Length; i++) text = text.Replace($"\"@@{i}@@\"", raw[i]);
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return Below(2) == 0 ? bytes : FuzzTests.Damage(bytes, rng["bytes"], words);
    }

    [Fact]
    public async Task Spoilt_bodies_are_read_or_refused()
    {
        using var loaded = LoadedModel.Open(TinyModel.Write()); int read = 0, refused = 0; var cancel = TestContext.Current.CancellationToken;
        for (int i = 0; i < Parsed; i++)
        {
            var (path, body) = good[i % good.Length]; byte[] bytes = Spoilt(body, new Rng(31)[i]); long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var fields = await ApiCall.Body(new MemoryStream(bytes), cancel);
                if (path.EndsWith("embeddings", StringComparison.Ordinal)) ApiCall.Embedding(fields, loaded, 400);
                else if (path.Contains("chat", StringComparison.Ordinal)) ApiCall.Chat(fields, loaded, 400, cancel);
                else ApiCall.Completion(fields, loaded, 400, cancel);
                read++;
            }
            catch (ApiException e) { Assert.InRange(e.Status, 400, 499); Assert.NotEmpty(e.Message); refused++; }
            catch (Exception e) { Assert.Fail($"body {i} {path}: {e.GetType().Name} {e.Message}\n{Encoding.UTF8.GetString(bytes)}\n{e.StackTrace}"); }
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 16 << 20);
        }
        Assert.InRange(read, Parsed / 20, Parsed); Assert.InRange(refused, Parsed / 4, Parsed);
    }

    [Fact]
    public async Task Spoilt_requests_are_answered_with_2xx_or_4xx_and_the_server_stays_well()
    {
        await using var s = await RunningServer.Start(parallel: 4, waiting: 64); var cancel = TestContext.Current.CancellationToken; int ok = 0, bad = 0, next = -1;
        const string ask = """{"prompt":"the old","temperature":0,"max_tokens":8}""";
        string before = (string)(await s.Post("/v1/completions", ask)).Body["choices"]![0]!["text"]!;
        async Task Send()
        {
            for (int i; (i = Interlocked.Increment(ref next)) < Sent;)
            {
                var (path, body) = good[i % good.Length]; byte[] bytes = Spoilt(body, new Rng(32)[i]);
                var content = new ByteArrayContent(bytes); content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                using var r = await s.Client.PostAsync(path, content, cancel); string text = await r.Content.ReadAsStringAsync(cancel); int status = (int)r.StatusCode;
                Assert.True(status is 200 or >= 400 and < 500, $"request {i} {path}: {status} {text}\n{Encoding.UTF8.GetString(bytes)}");
                if (status == 200) { Interlocked.Increment(ref ok); Assert.DoesNotContain("\"server_error\"", text); continue; }
                Interlocked.Increment(ref bad);
                var error = JsonNode.Parse(text)!["error"]!; Assert.NotEmpty((string)error["message"]!); Assert.Contains("error", (string)error["type"]!);
            }
        }
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Send()));
        Assert.InRange(ok, Sent / 20, Sent); Assert.InRange(bad, Sent / 4, Sent);
        Assert.Equal(before, (string)(await s.Post("/v1/completions", ask)).Body["choices"]![0]!["text"]!);
        Assert.Equal((0, 0, 0L), (s.Engine.Active, s.Engine.Waiting, s.Engine.CacheBytes));
    }
}
