using System.CommandLine;
namespace Fovea.Cli;
static class BenchCommand { public static Command Make(Terminal terminal) => new("bench", ""); }
