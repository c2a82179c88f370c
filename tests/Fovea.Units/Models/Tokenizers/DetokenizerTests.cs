using System.Text;
using Fovea.Models;
namespace Fovea.Units;

public class DetokenizerTests
{
    [Fact]
    public void Characters_appear_with_their_last_byte()
    {
        var stream = new Detokenizer(new ByteTokenizer());
        Assert.Equal(["é", "漢", "😀", "x"], "é漢😀x"u8.ToArray().Select(b => stream.Push(b)).Where(s => s.Length > 0));
        Assert.True(stream.Waiting.IsEmpty);
    }

    [Fact]
    public void An_unfinished_character_waits_and_what_can_never_be_one_shows()
    {
        var stream = new Detokenizer(new ByteTokenizer());
        Assert.Equal("", stream.Push(0xf0) + stream.Push(0x9f) + stream.Push(0x98));
        Assert.Equal(3, stream.Waiting.Length);
        Assert.Equal("\ufffdx", stream.Push('x'));
        Assert.Equal("\ufffd", stream.Push(0x80));
        Assert.Equal("\ufffd", stream.Push(0xff));
    }
}
