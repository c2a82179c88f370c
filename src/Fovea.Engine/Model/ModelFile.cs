using Fovea.Mechanisms;
namespace Fovea.Engine;

/// <summary>
/// What a model is read from: facts and tensors under the names that GGUF gives them, facts without the architecture's prefix. Facts that are missing or of another kind are an <see cref="InvalidDataException"/> that names the file and the key.
/// </summary>
public abstract class ModelFile : IDisposable
{
    /// <summary>Stands in messages.</summary>
    public abstract string Path { get; }
    public abstract string Architecture { get; }
    public abstract bool Has(string key);
    public abstract long Whole(string key);
    public abstract double Number(string key);
    public abstract string Text(string key);
    public abstract bool Flag(string key);
    /// <summary>Names of all tensors.</summary>
    public abstract IEnumerable<string> Tensors { get; }
    /// <summary>A tensor, or null.</summary>
    public abstract StoredTensor? Find(string name);
    /// <summary>How the rotary channels of queries and keys lie in files of this kind, for architectures where that differs between kinds.</summary>
    public abstract RotaryPairs Pairs { get; }
    public abstract void Dispose();

    public int Size(string key, long? otherwise = null)
    {
        long n = otherwise is { } o && !Has(key) ? o : Whole(key);
        return n is >= 1 and <= 1 << 28 ? (int)n : throw new InvalidDataException($"{Path}: {key} is {n}, expected 1 to {1 << 28}");
    }
    public double Number(string key, double otherwise) => Has(key) ? Number(key) : otherwise;
    public string? TextOrNull(string key) => Has(key) ? Text(key) : null;

    /// <summary>A GGUF file, or a folder with config.json and safetensors.</summary>
    public static ModelFile Open(string path) => Directory.Exists(path) ? HuggingFaceFolder.Open(path) : new GgufModelFile(path);
}

/// <summary>Tensors of a model file as an architecture asks for them. What is missing, misshapen or left over is gathered, and told in one message.</summary>
public sealed class TensorReader(ModelFile file)
{
    readonly HashSet<string> used = []; readonly List<string> missing = [], wrong = [];
    public long Numbers { get; private set; }
    public long Bytes { get; private set; }

    public bool Has(string name) => file.Find(name) is not null;

    public StoredTensor Need(string name, params int[] shape)
    {
        if (file.Find(name) is { } t) return Take(t, shape);
        missing.Add($"{name} [{string.Join(", ", shape)}]");
        return Nothing(name, shape);
    }
    public StoredTensor? Find(string name, params int[] shape) => file.Find(name) is { } t ? Take(t, shape) : null;

    StoredTensor Take(StoredTensor t, int[] shape)
    {
        if (used.Add(t.Name)) { Numbers += t.Shape.Aggregate(1L, (n, d) => n * d); Bytes += t.Bytes.Length; }
        if (t.Shape.SequenceEqual(shape))
        {
            if (t.Shape.Count == 0 || t.Shape[^1] % t.Format.Block == 0 || t.Shape.Count == 1) return t;
            // Rows that do not fill the blocks of kernels are brought into float32 rows that need not.
            wrong.Add($"{t} has rows that do not fill blocks of {t.Format.Block}");
        }
        else wrong.Add($"{t}, expected [{string.Join(", ", shape)}]");
        return Nothing(t.Name, shape);
    }
    static StoredTensor Nothing(string name, int[] shape) => new(name, Kernels.NumberFormat.For<Kernels.Float32>(), shape, default);
    /// <summary>A tensor that is there and is not used.</summary>
    public void Ignore(string name) => used.Add(name);

    /// <summary>The numbers of a vector; zeros where it is missing, which <see cref="Finish"/> tells.</summary>
    public float[] Vector(string name, int n) { var t = Need(name, n); return t.Bytes.IsEmpty ? new float[n] : t.Decode(); }
    public float[]? VectorOrNull(string name, int n) => Has(name) ? Vector(name, n) : null;
    public Matrix Matrix(string name, int @out, int @in) => new(Need(name, @out, @in));
    /// <summary>name.weight with name.bias, if there is one.</summary>
    public Projection Projection(string name, int @out, int @in) => new(Matrix(name + ".weight", @out, @in), VectorOrNull(name + ".bias", @out));
    /// <summary>The same where the bias is a part of the model.</summary>
    public Projection Biased(string name, int @out, int @in) => new(Matrix(name + ".weight", @out, @in), Vector(name + ".bias", @out));

    /// <summary>Throws an <see cref="InvalidDataException"/> that names what is missing, misshapen or left over, if anything is.</summary>
    public void Finish()
    {
        string[] surplus = [.. file.Tensors.Where(n => !used.Contains(n))];
        if (missing.Count + wrong.Count + surplus.Length == 0) return;
        static string List(IReadOnlyCollection<string> names) => string.Join("; ", names.Take(8)) + (names.Count > 8 ? $" and {names.Count - 8} more" : "");
        var parts = new List<string>();
        if (missing.Count > 0) parts.Add($"missing: {List(missing)}");
        if (wrong.Count > 0) parts.Add($"wrong: {List(wrong)}");
        if (surplus.Length > 0) parts.Add($"not part of the model: {List(surplus)}");
        throw new InvalidDataException($"{file.Path}: the tensors are not those of {file.Architecture}: {string.Join(". ", parts)}");
    }
}
