using System.Runtime.InteropServices;
using Fovea.Cli;

using var cancel = new CancellationTokenSource();
// The first signal asks; work that has not stopped after most of a second is ended. Files are written atomically, so none is half there.
void Stop(PosixSignalContext signal)
{
    signal.Cancel = true;
    if (cancel.IsCancellationRequested) Environment.Exit(Cli.Cancelled);
    cancel.Cancel();
    new Thread(() => { Thread.Sleep(850); Environment.Exit(Cli.Cancelled); }) { IsBackground = true }.Start();
}
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
Console.OutputEncoding = new System.Text.UTF8Encoding(false);
return Cli.Run(args, Terminal.OfConsole(cancel.Token));
