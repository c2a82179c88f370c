using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
namespace Fovea.Units;

public partial class ServeDraftTests
{
    /// <summary>The command itself on a free port, until it is stopped.</summary>
    sealed class Command : IAsyncDisposable
    {
        readonly CancellationTokenSource stop = new(); readonly Task<int> run; readonly TextWriter err; readonly StringBuilder said = new();
        HttpClient client = null!;

        Command(string[] options)
        {
            err = TextWriter.Synchronized(new StringWriter(said));
            run = Task.Run(() => Fovea.Cli.Cli.Run(["serve", "--port", "0", .. options], TextWriter.Null, err, stop.Token));
        }
        public static async Task<Command> Start(params string[] options)
        {
            var c = new Command(options);
            for (int i = 0; i < 600; i++, await Task.Delay(50, TestContext.Current.CancellationToken))
            {
                string text; lock (c.err) text = c.said.ToString();
                if (Address().Match(text) is { Success: true } m) { c.client = new() { BaseAddress = new(m.Value), Timeout = TimeSpan.FromSeconds(60) }; return c; }
                if (c.run.IsCompleted) break;
            }
            throw new InvalidOperationException($"the server does not start: {c.said}");
        }
        public async Task<string> Post(string path, string json)
        {
            using var r = await client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken); string body = await r.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            Assert.True(r.StatusCode == HttpStatusCode.OK, body);
            return body;
        }
        public async ValueTask DisposeAsync() { client.Dispose(); await stop.CancelAsync(); await run; stop.Dispose(); }
    }
    [GeneratedRegex(@"http://127\.0\.0\.1:\d+")] private static partial Regex Address();

    static async Task<List<string>> Texts(string[] options)
    {
        var texts = new List<string>();
        await using var c = await Command.Start(options);
        foreach (string prompt in (string[])["the old", "lamp and the", "x"])
        {
            string ask = $"\"prompt\":\"{prompt}\",\"temperature\":0,\"max_tokens\":30";
            string whole = (string)JsonNode.Parse(await c.Post("/v1/completions", $"{{{ask}}}"))!["choices"]![0]!["text"]!;
            string[] events = (await c.Post("/v1/completions", $"{{{ask},\"stream\":true}}")).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal("data: [DONE]", events[^1]);
            Assert.Equal(whole, string.Concat(events[..^1].Select(e => (string)JsonNode.Parse(e["data: ".Length..])!["choices"]![0]!["text"]!)));
            texts.Add(whole);
        }
        return texts;
    }

    [Fact]
    public async Task Greedy_texts_are_the_same_with_a_draft_whole_and_in_events()
    {
        string model = TinyModel.Write();
        var alone = await Texts(["--model", model]);
        Assert.All(alone, Assert.NotEmpty);
        // The model itself is right each time, another one hardly ever.
        foreach (string draft in (string[])[model, TinyModel.Write(seed: 9, dim: 16)]) Assert.Equal(alone, await Texts(["--model", model, "--draft", draft, "--draft-tokens", "3"]));
    }

    [Fact]
    public void A_draft_of_another_vocabulary_is_refused()
    {
        // Stops after a while if it is not.
        using var most = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var run = CliRun.Of(most.Token, "serve", "--port", "0", "--model", TinyModel.Write(), "--draft", TinyModel.Write(vocabulary: 258));
        Assert.Equal(2, run.Code); Assert.Contains("expected a model of the same vocabulary", run.Err);
    }
}
