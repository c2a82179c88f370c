using System.CommandLine;
namespace Fovea.Cli;

/// <summary>fovea serve: a language model behind the OpenAI interface.</summary>
static class ServeCommand
{
    public static Command Make(Terminal terminal)
    {
        var engine = new EngineOptions();
        var host = new Option<string>("--host") { Description = "The address to listen on; the default is this machine only.", DefaultValueFactory = _ => "127.0.0.1" };
        var port = new Option<int>("--port") { Description = "0 takes a free one.", DefaultValueFactory = _ => 8080 };
        var key = new Option<string?>("--api-key") { Description = "What clients must send as bearer token; the variable FOVEA_API_KEY does the same." };
        var parallel = new Option<int>("--parallel") { Description = "Requests that are written at the same time.", DefaultValueFactory = _ => 8 };
        var waiting = new Option<int>("--queue") { Description = "Requests that may wait; more are refused with status 429.", DefaultValueFactory = _ => 64 };
        var body = new Option<long>("--max-body") { Description = "The largest body of a request, in bytes.", DefaultValueFactory = _ => 4 << 20 };
        var name = new Option<string?>("--name") { Description = "What the model is called; the file's name without it." };
        var command = new Command("serve", "Serves a language model over HTTP: completions, chats, embeddings, streaming, JSON schemas; /health and /metrics.") { host, port, key, parallel, waiting, body, name };
        engine.AddTo(command); engine.AddDraftTo(command);
        command.SetAction(p =>
        {
            static int Within(string option, int x, int least, int most) => x >= least && x <= most ? x : throw new UsageException($"{option} {x}: expected {least} to {most}");
            var plain = engine.Batch(p); using var loaded = engine.Open(p); var (batch, draft) = engine.WithDraft(p, plain, loaded); using var opened = draft;
            var options = new ServerOptions(p.GetValue(host)!, Within("--port", p.GetValue(port), 0, 65535), p.GetValue(key) ?? Environment.GetEnvironmentVariable("FOVEA_API_KEY"), Within("--parallel", p.GetValue(parallel), 1, 1024), Within("--queue", p.GetValue(waiting), 1, 100_000),
                p.GetValue(body) is >= 1024 and var b ? b : throw new UsageException($"--max-body {p.GetValue(body)}: expected at least 1024"), p.GetValue(name) ?? loaded.Model.Name);
            Run(loaded, batch, options, terminal).GetAwaiter().GetResult();
            return Cli.Done;
        });
        return command;
    }

    static async Task Run(Engine.LoadedModel loaded, Engine.BatchOptions batch, ServerOptions options, Terminal terminal)
    {
        await using var server = new Server(loaded, batch, options);
        await server.Start(terminal.Cancel);
        terminal.Err.WriteLine($"{options.Name} at {server.Address}/v1; stop with Ctrl+C");
        try { await Task.Delay(Timeout.Infinite, terminal.Cancel); } catch (OperationCanceledException) { }
        await server.Stop();
    }
}
