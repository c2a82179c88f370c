namespace Fovea.Models;

/// <summary>Another number format for the matrices of a GGUF file.</summary>
public static class GgufConversion
{
    const string FileType = "general.file_type", Version = "general.quantization_version", Alignment = "general.alignment", Architecture = "general.architecture";

    /// <summary>
    /// The same facts and tensors, with matrices as kind where their rows fill its blocks and else as they can be; vectors are F32. Rows that need blocks and do not fill them become F16. The file must stay open until the writer has saved.
    /// </summary>
    public static GgufWriter To(GgufFile file, GgufKind kind)
    {
        var w = new GgufWriter(file.Architecture);
        foreach (string key in file.Keys) if (key is not (FileType or Version or Alignment or Architecture)) w.Copy(file, key);
        // The numbers that files use for what most of their tensors are.
        w.Set(FileType, kind switch { GgufKind.F32 => 0u, GgufKind.F16 => 1u, GgufKind.Q4_0 => 2u, GgufKind.Q8_0 => 7u, _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "expected F32, F16, Q8_0 or Q4_0") }).Set(Version, 2u);
        foreach (var t in file.Tensors.Values)
        {
            var to = t.Shape.Count < 2 ? GgufKind.F32 : t.Columns % GgufKinds.Block(kind) == 0 ? kind : GgufKind.F16;
            w.Add(t.Name, to, [.. t.Shape], (row, numbers) => GgufNumbers.Read(file, t, row, 1, numbers));
        }
        return w;
    }
}
