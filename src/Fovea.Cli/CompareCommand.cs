using System.CommandLine;
namespace Fovea.Cli;
static class CompareCommand { public static Command Make(Terminal terminal) => new("compare", ""); }
