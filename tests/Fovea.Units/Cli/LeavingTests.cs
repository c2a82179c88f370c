using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
namespace Fovea.Units;

/// <summary>Alone in the process, so that its memory can be looked at.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public sealed class Alone;

/// <summary>Clients that leave in the middle: nothing of them stays.</summary>
[Collection("alone")]
public class LeavingTests
{
    const int Warm = 1_000, Many = 10_000, Clients = 12;
    // Two hundred managed bytes per request that stay would be seen; what the process has of the system also moves with what the collector keeps for itself.
    const long ManagedSlack = 2 << 20, ProcessSlack = 64 << 20;
    static readonly string[] prompts = ["the old lamp", "boat", "and the old sea and the old boat and the lamp", "a", "sea sea sea"];
    sealed record State(int Active, int Waiting, long CacheBytes, long Managed, long Process);

    [Fact]
    public async Task Ten_thousand_requests_of_which_many_leave_leave_nothing_behind()
    {
        await using var s = await RunningServer.Start(parallel: 8, waiting: 64, kept: 4); var alone = new Dictionary<string, string>();
        foreach (string p in prompts) alone[p] = await Ask(s, p, stream: false);
        var counts = new int[6]; var before = await Run(s, alone, 0, Warm, counts); var after = await Run(s, alone, Warm, Warm + Many, counts);
        TestContext.Current.TestOutputHelper!.WriteLine($"answered {counts[0]}, left while streamed {counts[1]}, in the body {counts[2]}, cancelled {counts[3]}, connected only {counts[4]}, refused {counts[5]}; {before} -> {after}");
        Assert.Equal((0, 0), (before.Active, before.Waiting)); Assert.Equal((0, 0), (after.Active, after.Waiting));
        Assert.True(before.CacheBytes > 0); Assert.Equal(before.CacheBytes, after.CacheBytes);
        Assert.InRange(after.Managed - before.Managed, long.MinValue, ManagedSlack); Assert.InRange(after.Process - before.Process, long.MinValue, ProcessSlack);
        Assert.All(counts[..5], c => Assert.InRange(c, (Warm + Many) / 25, Warm + Many)); Assert.InRange(counts[5], 0, Many / 10);
        foreach (string p in prompts) Assert.Equal(alone[p], await Ask(s, p, stream: true));
    }

    static string Body(string prompt, int tokens, bool stream) => $$"""{"prompt":"{{prompt}}","temperature":0,"max_tokens":{{tokens}},"stream":{{(stream ? "true" : "false")}}}""";
    static async Task<string> Ask(RunningServer s, string prompt, bool stream) => stream
        ? string.Concat((await s.Events("/v1/completions", Body(prompt, 5, true)))[..^1].Select(e => (string?)JsonNode.Parse(e)!["choices"]![0]!["text"]))
        : (string)(await s.Post("/v1/completions", Body(prompt, 5, false))).Body["choices"]![0]!["text"]!;

    static async Task<State> Run(RunningServer s, Dictionary<string, string> alone, int from, int to, int[] counts)
    {
        int next = from - 1;
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => Task.Run(async () =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < to;) Interlocked.Increment(ref counts[await One(s, alone, new Rng(41)[i])]);
        })));
        for (int i = 0; i < 1000 && (s.Engine.Active > 0 || s.Engine.Waiting > 0); i++) await Task.Delay(10, TestContext.Current.CancellationToken);
        // The same few texts at the end: what is kept of finished requests is the same then, if nothing else is.
        for (int i = 0; i < 6; i++) await Ask(s, prompts[2], stream: false);
        await Task.Delay(100, TestContext.Current.CancellationToken);
        long managed = GC.GetTotalMemory(forceFullCollection: true);
        return new(s.Engine.Active, s.Engine.Waiting, s.Engine.CacheBytes, managed, Environment.WorkingSet);
    }

    // One request: 0 answered, 1 left while the answer streamed, 2 left in the middle of the body, 3 cancelled at some moment, 4 connected only, 5 refused.
    static async Task<int> One(RunningServer s, Dictionary<string, string> alone, Rng rng)
    {
        string prompt = prompts[rng["prompt"].Below(0, prompts.Length)]; int kind = rng["kind"].Below(0, 10) switch { < 5 => 0, < 7 => 1, < 8 => 2, < 9 => 3, _ => 4 };
        if (kind == 0)
        {
            using var r = await s.Client.PostAsync("/v1/completions", new StringContent(Body(prompt, 5, false), Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken);
            string text = await r.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            if ((int)r.StatusCode == 429) return 5;
            Assert.Equal(alone[prompt], (string)JsonNode.Parse(text)!["choices"]![0]!["text"]!);
            return 0;
        }
        if (kind == 3)
        {
            using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(rng["when"].Below(0, 12)));
            try { using var r = await s.Client.PostAsync(rng["path"].Below(0, 4) == 0 ? "/v1/embeddings" : "/v1/completions", new StringContent(Body(prompt, 60, true).Replace("\"prompt\"", "\"input\":\"the old\",\"prompt\""), Encoding.UTF8, "application/json"), cancel.Token); } catch (OperationCanceledException) { }
            return 3;
        }
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(s.Client.BaseAddress!.Host, s.Client.BaseAddress.Port, TestContext.Current.CancellationToken);
        byte[] body = Encoding.UTF8.GetBytes(Body(prompt, 60, true)), head = Encoding.UTF8.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n");
        if (kind == 4) await socket.SendAsync(head.AsMemory(0, rng["cut"].Below(0, head.Length)));
        else
        {
            await socket.SendAsync(head); await socket.SendAsync(body.AsMemory(0, kind == 2 ? rng["cut"].Below(0, body.Length) : body.Length));
            if (kind == 1) { var some = new byte[64]; for (int i = rng["read"].Below(0, 12); i > 0; i--) if (await socket.ReceiveAsync(some) == 0) break; }
        }
        // Half of them reset the connection, the others close it.
        if (rng["reset"].Below(0, 2) == 0) socket.LingerState = new(true, 0);
        return kind;
    }
}
