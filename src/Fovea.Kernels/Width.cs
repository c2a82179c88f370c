namespace Fovea.Kernels;

/// <summary>Which register width a body runs at.</summary>
interface IWidth { void Run<TBody>(ref TBody body) where TBody : struct, IWide; }

/// <summary>What the machine has.</summary>
readonly struct Widest : IWidth
{
    public void Run<TBody>(ref TBody body) where TBody : struct, IWide => Wide.Run(ref body);
}

/// <summary>One given width, which the runtime emulates where the machine lacks it.</summary>
readonly struct Fixed<TLanes, V> : IWidth where TLanes : struct, ILanes<V> where V : struct
{
    public void Run<TBody>(ref TBody body) where TBody : struct, IWide => body.Run<TLanes, V>();
}
