using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
namespace Fovea.Units;

public class ServeTests
{
    const string Ask = "\"max_tokens\":12,\"seed\":5,\"temperature\":0.9";

    [Fact]
    public async Task A_text_is_the_same_as_a_whole_and_in_events()
    {
        await using var s = await RunningServer.Start();
        var (status, whole) = await s.Post("/v1/completions", $$"""{"model":"tiny","prompt":"the old",{{Ask}}}""");
        Assert.Equal(HttpStatusCode.OK, status); string text = (string)whole["choices"]![0]!["text"]!;
        Assert.NotEmpty(text); Assert.Equal(((int)whole["usage"]!["prompt_tokens"]! + (int)whole["usage"]!["completion_tokens"]!), (int)whole["usage"]!["total_tokens"]!); Assert.InRange((int)whole["usage"]!["completion_tokens"]!, 1, 12);
        var events = await s.Events("/v1/completions", $$"""{"prompt":"the old","stream":true,"stream_options":{"include_usage":true},{{Ask}}}""");
        Assert.Equal("[DONE]", events[^1]); var parts = events[..^1].Select(e => JsonNode.Parse(e)!).ToList();
        Assert.Equal(text, string.Concat(parts.SelectMany(p => p["choices"]!.AsArray()).Select(c => (string)c!["text"]!)));
        Assert.Equal((int)whole["usage"]!["completion_tokens"]!, (int)parts[^1]["usage"]!["completion_tokens"]!); Assert.Contains((string)parts[^2]["choices"]![0]!["finish_reason"]!, (string[])["stop", "length"]);
    }

    [Fact]
    public async Task A_chat_goes_through_the_models_template_and_tells_probabilities()
    {
        await using var s = await RunningServer.Start();
        string messages = "\"messages\":[{\"role\":\"system\",\"content\":\"be old\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"lamp\"}]}]";
        var (_, chat) = await s.Post("/v1/chat/completions", $$"""{ {{messages}},"logprobs":true,"top_logprobs":3,{{Ask}}}"""); var (_, plain) = await s.Post("/v1/completions", $$"""{"prompt":"system: be old\nuser: lamp\nassistant: ","logprobs":3,{{Ask}}}""");
        // The template adds no first token; a plain prompt gets it.
        Assert.Equal((int)chat["usage"]!["prompt_tokens"]! + 1, (int)plain["usage"]!["prompt_tokens"]!);
        var first = chat["choices"]![0]!["logprobs"]!["content"]![0]!; Assert.Equal(3, first["top_logprobs"]!.AsArray().Count); Assert.InRange((double)first["logprob"]!, -20, 0);
        Assert.Equal("assistant", (string)chat["choices"]![0]!["message"]!["role"]!); Assert.Equal(3, plain["choices"]![0]!["logprobs"]!["top_logprobs"]![0]!.AsObject().Count);
        var events = await s.Events("/v1/chat/completions", $$"""{ {{messages}},"stream":true,{{Ask}}}""");
        Assert.Equal((string)chat["choices"]![0]!["message"]!["content"]!, string.Concat(events[..^1].Select(e => (string?)JsonNode.Parse(e)!["choices"]![0]!["delta"]!["content"])));
    }

    [Fact]
    public async Task Json_is_kept_to_a_schema_whatever_the_model_would_like_to_say()
    {
        await using var s = await RunningServer.Start();
        const string schema = """{"type":"object","properties":{"kind":{"enum":["lamp","boat"]},"count":{"type":"integer"}},"required":["kind","count"]}""";
        for (int seed = 1; seed < 6; seed++)
        {
            var (_, r) = await s.Post("/v1/chat/completions", """{"messages":[{"role":"user","content":"x"}],"seed":SEED,"max_tokens":120,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":SCHEMA}}}""".Replace("SEED", $"{seed}").Replace("SCHEMA", schema));
            Assert.True(r["choices"] is not null, r.ToJsonString());
            var made = JsonNode.Parse((string)r["choices"]![0]!["message"]!["content"]!)!;
            Assert.Contains((string)made["kind"]!, (string[])["lamp", "boat"]); Assert.Equal(2, made.AsObject().Count); Assert.Equal("stop", (string)r["choices"]![0]!["finish_reason"]!);
        }
    }

    [Fact]
    public async Task Vectors_of_texts_have_length_one_in_either_form()
    {
        await using var s = await RunningServer.Start();
        var (_, r) = await s.Post("/v1/embeddings", """{"model":"tiny","input":["the old lamp","the old boat"]}"""); var v = r["data"]!.AsArray().Select(d => d!["embedding"]!.AsArray().Select(x => (float)x!).ToArray()).ToList();
        Assert.All(v, x => Assert.Equal(1, x.Sum(y => (double)y * y), 4)); Assert.NotEqual(v[0], v[1]);
        var (_, b) = await s.Post("/v1/embeddings", """{"input":"the old lamp","encoding_format":"base64"}""");
        Assert.Equal(v[0], System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(Convert.FromBase64String((string)b["data"]![0]!["embedding"]!)).ToArray());
    }

    [Theory]
    [InlineData("/v1/completions", "{", 400, "not JSON")]
    [InlineData("/v1/completions", "[]", 400, "expected an object")]
    [InlineData("/v1/completions", "{}", 400, "'prompt' is missing")]
    [InlineData("/v1/completions", """{"prompt":"a","temperature":3}""", 400, "a number from 0 to 2")]
    [InlineData("/v1/completions", """{"prompt":"a","max_tokens":900}""", 400, "there is room for 400")]
    [InlineData("/v1/completions", """{"prompt":"a","n":2}""", 400, "'n' is not supported")]
    [InlineData("/v1/completions", """{"prompt":[1,999999]}""", 400, "token 999999")]
    [InlineData("/v1/completions", """{"prompt":["a","b"]}""", 400, "several prompts")]
    [InlineData("/v1/chat/completions", """{"messages":[]}""", 400, "'messages' is missing")]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"<|end|>","content":"a"}]}""", 400, "has the role '<|end|>'")]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":7}]}""", 400, "expected a text")]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"yaml"}}""", 400, "'yaml'")]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"tools":[{}]}""", 400, "'tools' is not supported")]
    [InlineData("/v1/embeddings", """{"input":""}""", 200, "")]
    [InlineData("/v1/embeddings", """{"input":[]}""", 400, "'input' is missing")]
    [InlineData("/v1/nothing", "{}", 404, "there is no POST")]
    [InlineData("/v1/models", "{}", 405, "expected GET")]
    public async Task What_is_wrong_with_a_request_is_told(string path, string body, int status, string message)
    {
        await using var s = await RunningServer.Start();
        var (found, r) = await s.Post(path, body);
        Assert.Equal(status, (int)found); if (status != 200) Assert.Contains(message, (string)r["error"]!["message"]!);
    }

    [Fact]
    public async Task A_body_that_is_too_large_and_a_wrong_key_are_refused_and_health_needs_none()
    {
        await using var s = await RunningServer.Start(key: "secret");
        Assert.Equal(HttpStatusCode.Unauthorized, (await s.Post("/v1/completions", "{}")).Status); Assert.Equal(HttpStatusCode.OK, (await s.Client.GetAsync("/health", TestContext.Current.CancellationToken)).StatusCode);
        s.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "secret");
        Assert.Equal("tiny", (string)JsonNode.Parse(await s.Client.GetStringAsync("/v1/models", TestContext.Current.CancellationToken))!["data"]![0]!["id"]!);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await s.Post("/v1/completions", $$"""{"prompt":"{{new string('a', 70_000)}}"}""")).Status);
    }

    [Fact]
    public async Task A_full_queue_answers_429_and_who_leaves_frees_a_place_and_its_cache()
    {
        await using var s = await RunningServer.Start(parallel: 1, waiting: 1); using var leave = new CancellationTokenSource();
        Task<HttpResponseMessage> Long() => s.Client.SendAsync(new(HttpMethod.Post, "/v1/completions") { Content = new StringContent("""{"prompt":"the","max_tokens":390,"stream":true,"logit_bias":{"270":-100}}""", Encoding.UTF8, "application/json") }, HttpCompletionOption.ResponseHeadersRead, leave.Token);
        using var first = await Long(); Task<HttpResponseMessage> second = Long(); int refused = 0;
        for (int i = 0; i < 20 && refused == 0; i++) { var (status, _) = await s.Post("/v1/completions", """{"prompt":"the","max_tokens":1}"""); if (status == HttpStatusCode.TooManyRequests) refused++; }
        leave.Cancel(); first.Dispose();
        string metrics = "";
        for (int i = 0; i < 200 && !(metrics.Contains("fovea_requests_active 0") && metrics.Contains("fovea_cache_bytes 0")); i++) { await Task.Delay(25, TestContext.Current.CancellationToken); metrics = await s.Client.GetStringAsync("/metrics", TestContext.Current.CancellationToken); }
        Assert.Contains("fovea_cache_bytes 0", metrics); Assert.Contains("fovea_requests_active 0", metrics); Assert.Contains("# TYPE fovea_tokens_written_total counter", metrics);
        try { (await second).Dispose(); } catch (OperationCanceledException) { }
    }

    [Fact]
    public async Task Many_at_once_get_what_they_would_get_alone()
    {
        await using var s = await RunningServer.Start(kept: 4); string[] prompts = ["the old", "lamp", "and the sea", "boat boat boat"];
        string Body(string p) => $$"""{"prompt":"{{p}}","temperature":0,"max_tokens":20}""";
        var alone = new List<string>(); foreach (string p in prompts) alone.Add((string)(await s.Post("/v1/completions", Body(p))).Body["choices"]![0]!["text"]!);
        var together = await Task.WhenAll(prompts.Select(p => s.Post("/v1/completions", Body(p))));
        Assert.Equal(alone, together.Select(r => (string)r.Body["choices"]![0]!["text"]!));
    }
}
