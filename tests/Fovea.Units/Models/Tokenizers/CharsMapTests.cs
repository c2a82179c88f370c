using System.Text;
using Fovea.Models;
namespace Fovea.Units;

public class CharsMapTests
{
    /// <summary>A double array over the rules: units at offset XOR label, every key with a child 0 that holds where its replacement stands.</summary>
    static byte[] Blob(params (string From, string To)[] rules)
    {
        var units = new uint[4096]; var texts = new MemoryStream(); var places = new Dictionary<string, int>(); uint free = 256;
        foreach (var (_, to) in rules) if (places.TryAdd(to, (int)texts.Length)) { texts.Write(Encoding.UTF8.GetBytes(to)); texts.WriteByte(0); }
        void Node(uint at, List<(byte[] Key, int Value)> keys, int depth)
        {
            uint offset = free; free += 256;      // one block of 256 per node: wasteful, and never in anyone's way
            units[at] |= (at ^ offset) << 10;
            foreach (var group in keys.GroupBy(k => k.Key.Length == depth ? -1 : k.Key[depth]))
                if (group.Key < 0) { units[at] |= 1 << 8; units[offset] = 1u << 31 | (uint)group.First().Value; }
                else { uint child = offset ^ (uint)group.Key; units[child] = (uint)group.Key; Node(child, [.. group], depth + 1); }
        }
        Node(0, [.. rules.Select(r => (Encoding.UTF8.GetBytes(r.From), places[r.To]))], 0);
        return [.. BitConverter.GetBytes(4 * units.Length), .. units.SelectMany(BitConverter.GetBytes), .. texts.ToArray()];
    }
    static string Apply(Normaliser n, string text) { var t = new PieceText(); t.Add(CodePoints.Of(text)); return Encoding.UTF8.GetString(CodePoints.Encode(n.Apply(t).All)); }

    static readonly CharsMap map = new(Blob(("ﬁ", "fi"), ("a", "A"), ("ab", "X"), ("\t", " ")));

    [Fact]
    public void The_longest_rule_or_the_shortest()
    {
        Assert.Equal(("X", 2), (Encoding.UTF8.GetString(map.Replace("abc"u8, shortest: false, out int n)), n));
        Assert.Equal(("A", 1), (Encoding.UTF8.GetString(map.Replace("abc"u8, shortest: true, out n)), n));
        Assert.True(map.Replace("xyz"u8, shortest: false, out n).IsEmpty);
        Assert.Equal(0, n);
    }

    [Theory]
    [InlineData(true, true, " a  b\tﬁx ", "▁A▁b▁fix")]
    [InlineData(true, false, " a  b", "▁▁A▁▁b")]
    [InlineData(false, true, "a b ", "▁A▁b")]
    [InlineData(false, false, "a b ", "A▁b▁")]
    public void Spaces_become_marks(bool prefix, bool merge, string text, string expected) => Assert.Equal(expected, Apply(new SentencePieceText(map, new([]), prefix, merge), text));

    [Fact]
    public void Maps_that_lie_are_refused()
    {
        Assert.Contains("says its table has", Assert.Throws<InvalidDataException>(() => new CharsMap([255, 255, 0, 0, 1])).Message);
        Assert.Contains("ends within a replacement", Assert.Throws<InvalidDataException>(() => new CharsMap([0, 0, 0, 0, 65])).Message);
        byte[] bad = Blob(("a", "A"));
        bad = bad[..^2];
        Assert.Contains("points at byte 0", Assert.Throws<InvalidDataException>(() => new CharsMap(bad).Replace("a"u8, false, out _)).Message);
    }
}
