namespace Fovea.Models;

/// <summary>One shape on an image: kind, centre and radius in pixels, colour in [0,1].</summary>
public readonly record struct Shown(int Kind, double X, double Y, double Radius, double Red, double Green, double Blue);

/// <summary>Images [Size,3,Side,Side] with numbers about 0, and what each of them shows.</summary>
public sealed record Images(Real[] Pixels, Shown[] Shows, int Side)
{
    public int Size => Shows.Length;
    /// <summary>The kind of each image's shape.</summary>
    public int[] Labels => [.. Shows.Select(s => s.Kind)];

    /// <summary>Squares of patch × patch pixels, row by row → [Size, (Side/patch)², 3·patch²].</summary>
    public Tensor Patches(int patch)
    {
        if (patch < 1 || Side % patch != 0) throw new ArgumentException($"{Side} pixels do not split into patches of {patch}");
        int across = Side / patch, width = 3 * patch * patch; var y = Tensor.Empty([Size, across * across, width]);
        for (int i = 0; i < y.Shape.Size; i++)
        {
            int c = i % width, token = i / width % (across * across), image = i / width / (across * across);
            int row = token / across * patch + c / patch % patch, column = token % across * patch + c % patch;
            y.Span[i] = Pixels[((image * 3 + c / (patch * patch)) * Side + row) * Side + column];
        }
        return y;
    }
}

/// <summary>
/// Coloured shapes on images of 32 × 32 pixels: disc, square, triangle, ring, plus, cross, bar, pillar, diamond, frame, half disc and chequers, anywhere and of any size from 5 to 10 pixels, on
/// a dim background with noise. Clutter are small blots of other colours that lie over everything.
/// </summary>
/// <param name="kinds">The first so many kinds are drawn.</param>
/// <param name="clutter">Blots per image.</param>
public sealed class Shapes(int kinds = 12, int clutter = 0)
{
    public const int Side = 32, Most = 12;
    public int Kinds { get; } = kinds is >= 1 and <= Most ? kinds : throw new ArgumentOutOfRangeException(nameof(kinds), kinds, $"kinds must be 1 to {Most}");
    readonly int clutter = clutter >= 0 ? clutter : throw new ArgumentOutOfRangeException(nameof(clutter), clutter, "must not be negative");

    /// <summary>Batch number index of a key: the same key and index always give the same images.</summary>
    public Images Batch(Rng rng, int index, int size)
    {
        var pixels = new Real[size * 3 * Side * Side]; var shows = new Shown[size];
        for (int i = 0; i < size; i++) shows[i] = Draw(new Dice(rng[index][i]), pixels.AsSpan(i * 3 * Side * Side, 3 * Side * Side));
        return new(pixels, shows, Side);
    }

    Shown Draw(Dice dice, Span<Real> image)
    {
        double radius = 5 + 5 * dice.Uniform();
        double Place() => radius + (Side - 2 * radius) * dice.Uniform();
        var shown = new Shown(dice.Next(Kinds), Place(), Place(), radius, Bright(dice), Bright(dice), Bright(dice)); double ground = 0.3 * dice.Uniform();
        for (int y = 0; y < Side; y++) for (int x = 0; x < Side; x++)
        {
            bool inside = Inside(shown.Kind, (x + 0.5 - shown.X) / radius, (y + 0.5 - shown.Y) / radius);
            for (int c = 0; c < 3; c++) image[(c * Side + y) * Side + x] = (Real)(2 * ((inside ? c == 0 ? shown.Red : c == 1 ? shown.Green : shown.Blue : ground) + 0.1 * dice.Uniform()) - 1);
        }
        for (int b = 0; b < clutter; b++)
        {
            double x0 = Side * dice.Uniform(), y0 = Side * dice.Uniform(), r = 1 + 1.5 * dice.Uniform();
            for (int c = 0; c < 3; c++)
            {
                var colour = (Real)(2 * dice.Uniform() - 1);
                for (int y = Math.Max(0, (int)(y0 - r)); y < Math.Min(Side, y0 + r); y++) for (int x = Math.Max(0, (int)(x0 - r)); x < Math.Min(Side, x0 + r); x++) image[(c * Side + y) * Side + x] = colour;
            }
        }
        return shown;
    }
    static double Bright(Dice dice) => 0.5 + 0.5 * dice.Uniform();

    // x and y count in radii from the centre.
    static bool Inside(int kind, double x, double y)
    {
        double far = Math.Max(Math.Abs(x), Math.Abs(y)), near = Math.Min(Math.Abs(x), Math.Abs(y)), r = Math.Sqrt(x * x + y * y);
        return kind switch
        {
            0 => r < 1,
            1 => far < 0.85,
            2 => y < 0.8 && y > 2 * Math.Abs(x) - 1,
            3 => r < 1 && r > 0.55,
            4 => far < 1 && near < 0.3,
            5 => far < 1 && Math.Abs(Math.Abs(x) - Math.Abs(y)) < 0.35,
            6 => far < 1 && Math.Abs(y) < 0.35,
            7 => far < 1 && Math.Abs(x) < 0.35,
            8 => Math.Abs(x) + Math.Abs(y) < 1,
            9 => far < 0.95 && far > 0.55,
            10 => r < 1 && y < 0.1,
            _ => far < 0.95 && x * y > 0,
        };
    }
}
