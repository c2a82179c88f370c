using Fovea.Models;
namespace Fovea.Engine;

/// <summary>A model in a GGUF file, mapped into memory or, where it is no file of its own, in bytes.</summary>
public sealed class GgufModelFile(GgufFile file, string path) : ModelFile
{
    public GgufModelFile(string path) : this(GgufFile.Open(path), path) { }
    /// <summary>The file itself, with the tokenizer's facts.</summary>
    public GgufFile File => file;
    public override string Path => path;
    public override string Architecture => file.Architecture;
    public override RotaryPairs Pairs => RotaryPairs.Neighbours;
    public override bool Has(string key) => file.Has(Full(key));
    public override long Whole(string key) => file.Whole(Full(key));
    public override double Number(string key) => file.Number(Full(key));
    public override string Text(string key) => file.Text(Full(key));
    public override bool Flag(string key) => file.Flag(Full(key));
    string Full(string key) => $"{Architecture}.{key}";
    public override IEnumerable<string> Tensors => file.Tensors.Keys;
    public override StoredTensor? Find(string name) => file.Tensors.TryGetValue(name, out var t) ? new(t.Name, GgufNumbers.Format(t.Kind), t.Shape, file.Memory(t)) : null;
    public override void Dispose() => file.Dispose();
}
