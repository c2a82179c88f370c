using Fovea.Kernels;
namespace Fovea.Claims;

static class RandomBlocks
{
    /// <summary>A block list for n queries and keys in blocks of one size: each block of queries sees its own block of keys and count − 1 others drawn for it.</summary>
    public static BlockList Make(Rng rng, int heads, int n, int size, int count)
    {
        int blocks = (n + size - 1) / size; var start = new int[heads * blocks + 1]; var keys = new List<int>();
        for (int r = 0; r < heads * blocks; r++)
        {
            keys.AddRange(rng[r].Order(blocks).Where(j => j != r % blocks).Take(count - 1).Append(r % blocks).Order());
            start[r + 1] = keys.Count;
        }
        return new() { QueryBlock = size, KeyBlock = size, Start = start, Keys = [.. keys] };
    }

    /// <summary>Whether the list of query i of n, in row b·H + h, names the block of key j.</summary>
    public static bool Names(this BlockList list, int n, int row, int i, int j)
    {
        int at = row * ((n + list.QueryBlock - 1) / list.QueryBlock) + i / list.QueryBlock;
        return list.Keys.AsSpan(list.Start[at]..list.Start[at + 1]).Contains(j / list.KeyBlock);
    }
}
