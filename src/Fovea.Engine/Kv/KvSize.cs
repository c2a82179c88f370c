using System.Globalization;
namespace Fovea.Engine;

/// <summary>What a size of a cache counts: entries per key head and layer; their share of the tokens of the text so far; or bytes of the whole cache of a text.</summary>
public enum KvUnit { Entries, Share, Bytes }

/// <summary>How much a cache may hold.</summary>
/// <param name="Amount">Entries (a whole number of at least 1), a share (above 0, at most 1), or bytes (at least 1).</param>
public readonly record struct KvSize(double Amount, KvUnit Unit = KvUnit.Entries)
{
    static readonly (string Name, double Bytes)[] Units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9)];

    public static implicit operator KvSize(int entries) => new(entries);

    /// <summary>Throws an <see cref="ArgumentException"/> if the amount is not one of its unit.</summary>
    public KvSize Checked() => Unit switch
    {
        KvUnit.Entries when Amount >= 1 && Amount <= int.MaxValue && Amount == Math.Floor(Amount) => this,
        KvUnit.Share when Amount > 0 && Amount <= 1 => this,
        KvUnit.Bytes when Amount >= 1 && Amount < long.MaxValue => this,
        KvUnit.Entries => throw new ArgumentException($"{this}: a cache keeps at least one entry, a whole number of them"),
        KvUnit.Share => throw new ArgumentException($"{this}: expected a share above 0 and at most 100%"),
        _ => throw new ArgumentException($"{this}: expected at least one byte"),
    };

    /// <summary>By text: entries, "1024"; a share, "25%"; or bytes, "64MB", "512KiB".</summary>
    public static KvSize Parse(string text)
    {
        bool Number(ReadOnlySpan<char> digits, out double x) => double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out x);
        if (text.EndsWith('%') && Number(text.AsSpan(..^1), out double share)) return new KvSize(share / 100, KvUnit.Share).Checked();
        foreach (var (name, bytes) in Units)
            if (text.EndsWith(name, StringComparison.OrdinalIgnoreCase) && Number(text.AsSpan(..^name.Length), out double n)) return new KvSize(n * bytes, KvUnit.Bytes).Checked();
        if (!text.Contains('.') && Number(text, out double entries)) return new KvSize(entries).Checked();
        throw new ArgumentException($"'{text}' is no size of a cache; expected entries like 1024, a share like 25%, or bytes like 64MB or 512KiB");
    }

    public override string ToString() => Unit switch { KvUnit.Share => (Amount * 100).ToString(CultureInfo.InvariantCulture) + "%", KvUnit.Bytes => Amount.ToString("0", CultureInfo.InvariantCulture) + " bytes", _ => Amount.ToString(CultureInfo.InvariantCulture) };
}
