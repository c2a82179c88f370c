using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
namespace Fovea.Cli;

/// <summary>The entry point: parses, runs one command, and turns every outcome into an exit code.</summary>
public static class Cli
{
    /// <summary>Exit codes: done and holds, a check failed, usage or bad input, cancelled.</summary>
    public const int Done = 0, Failed = 1, BadInput = 2, Cancelled = 130;

    public static int Run(string[] args, TextWriter output, TextWriter error, CancellationToken cancel) => Run(args, new Terminal(output, error, cancel));

    public static int Run(string[] args, Terminal terminal)
    {
        try
        {
            var parsed = Root(terminal).Parse(args);
            if (parsed.Action is not HelpAction && parsed.Errors.Count > 0) throw new UsageException(Explain(parsed));
            return parsed.Invoke(new() { Output = terminal.Out, Error = terminal.Err, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (OperationCanceledException) { terminal.Err.WriteLine("fovea: cancelled"); return Cancelled; }
        catch (Exception e) when (e is UsageException or InvalidDataException or IOException or UnauthorizedAccessException or ArgumentException or KeyNotFoundException or Engine.ContextOverflowException)
        {
            terminal.Err.WriteLine("fovea: " + OneLine(e.Message));
            return BadInput;
        }
        catch (Exception e) { terminal.Err.WriteLine("fovea: " + e); return Failed; }
    }

    static RootCommand Root(Terminal terminal)
    {
        var root = new RootCommand("Attention for .NET: compare mechanisms, run papers' claims, check layers against other languages, time kernels.")
        {
            CompareCommand.Make(terminal), PapersCommand.Make(terminal), MechanismsCommand.Make(terminal), ExplainCommand.Make(terminal), LayerCommand.Make(terminal), BenchCommand.Make(terminal),
            GenerateCommand.Make(terminal), PerplexityCommand.Make(terminal), NeedleCommand.Make(terminal), ConvertCommand.Make(terminal), TrainCommand.Make(terminal), ServeCommand.Make(terminal),
        };
        root.SetAction(_ => { root.Parse("--help").Invoke(new() { Output = terminal.Out }); return Done; });
        return root;
    }

    static string Explain(ParseResult parsed)
    {
        string message = OneLine(parsed.Errors[0].Message).TrimEnd('.');
        if (parsed.UnmatchedTokens is not [{ } unknown, ..]) return message;
        var command = parsed.CommandResult.Command;
        var known = command.Subcommands.Select(c => c.Name).Concat(command.Options.Select(o => o.Name)).ToList();
        string near = known.MinBy(k => Mechanisms.Mechanism.Distance(k, unknown)) ?? "--help";
        return $"unknown {(unknown.StartsWith('-') ? "option" : "command or argument")} '{unknown}' of '{Name(parsed.CommandResult)}'; did you mean '{near}'?";
    }
    static string Name(CommandResult result) => result.Parent is CommandResult parent ? $"{Name(parent)} {result.Command.Name}" : "fovea";

    // ArgumentException puts the parameter's name behind the message, which means nothing to a user.
    static string OneLine(string message)
    {
        int parameter = message.LastIndexOf(" (Parameter '", StringComparison.Ordinal);
        if (parameter > 0) message = message[..parameter];
        return string.Join(' ', message.Split((char[])['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
    }
}
