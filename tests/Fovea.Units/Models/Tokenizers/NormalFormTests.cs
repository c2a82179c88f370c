using System.Text;
using Fovea.Models;
namespace Fovea.Units;

public class NormalFormTests
{
    static readonly UnicodeForms c = new(false, true), d = new(false, false), kc = new(true, true), kd = new(true, false);
    static string Apply(UnicodeForms form, string s)
    {
        var t = new PieceText();
        t.Add(CodePoints.Of(s));
        return Encoding.UTF8.GetString(CodePoints.Encode(form.Apply(t).All));
    }

    [Theory]     // the examples of Unicode Standard Annex 15, tables 1 to 4
    [InlineData("\u212b", "\u00c5", "A\u030a", "\u00c5", "A\u030a")]
    [InlineData("\u2126", "\u03a9", "\u03a9", "\u03a9", "\u03a9")]
    [InlineData("\u1e69", "\u1e69", "s\u0323\u0307", "\u1e69", "s\u0323\u0307")]
    [InlineData("\u1e0b\u0323", "\u1e0d\u0307", "d\u0323\u0307", "\u1e0d\u0307", "d\u0323\u0307")]
    [InlineData("q\u0307\u0323", "q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307")]
    [InlineData("a\u0313\u0301", "a\u0313\u0301", "a\u0313\u0301", "a\u0313\u0301", "a\u0313\u0301")]     // the second mark is blocked by the first
    [InlineData("\ufb01", "\ufb01", "\ufb01", "fi", "fi")]
    [InlineData("2\u2075", "2\u2075", "2\u2075", "25", "25")]
    [InlineData("\u1e9b\u0323", "\u1e9b\u0323", "\u017f\u0323\u0307", "\u1e69", "s\u0323\u0307")]
    [InlineData("한글", "한글", "\u1112\u1161\u11ab\u1100\u1173\u11af", "한글", "\u1112\u1161\u11ab\u1100\u1173\u11af")]
    [InlineData("\u0958", "\u0915\u093c", "\u0915\u093c", "\u0915\u093c", "\u0915\u093c")]
    public void The_forms_are_those_of_the_standard(string text, string nfc, string nfd, string nfkc, string nfkd) =>
        Assert.Equal((nfc, nfd, nfkc, nfkd), (Apply(c, text), Apply(d, text), Apply(kc, text), Apply(kd, text)));

    [Fact]
    public void Forms_of_forms_are_forms()
    {
        for (int i = 0; i < 300; i++)
        {
            string text = Vocabularies.Text(new Rng(12)[i], i);
            Assert.Equal(Apply(c, text), Apply(c, Apply(d, text)));
            Assert.Equal(Apply(c, text), Apply(c, Apply(c, text)));
            Assert.Equal(Apply(d, text), Apply(d, Apply(c, text)));
            Assert.Equal(Apply(kc, text), Apply(kc, Apply(kd, Apply(c, text))));
        }
    }
}
