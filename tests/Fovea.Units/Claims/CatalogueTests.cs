using System.Text;
using Fovea.Claims;
namespace Fovea.Units;

public class CatalogueTests
{
    [Fact]
    public void It_holds_219_papers_with_everything_a_table_needs()
    {
        var catalogue = Catalogue.Open();
        Assert.Equal(219, catalogue.Papers.Count);
        Assert.Equal(["applications", "inference", "lens", "multimodal", "sequence", "vision"], catalogue.Families.Order());
        Assert.All(catalogue.Papers, p =>
        {
            Assert.Matches("^[a-z0-9-]+$", p.Id); Assert.NotEmpty(p.Name); Assert.NotEmpty(p.Title); Assert.InRange(p.Year, 2014, 2026);
            Assert.InRange(p.Tier, 1, 3); Assert.InRange(p.Claim.Length, 20, 230); Assert.NotEmpty(p.Kind);
        });
    }

    [Fact]
    public void A_paper_is_found_by_its_id_and_by_its_arxiv_number()
    {
        var catalogue = Catalogue.Open();
        Assert.Equal("hedgehog", catalogue.Find("hedgehog")!.Id);
        Assert.Same(catalogue.Find("hedgehog"), catalogue.Find(catalogue.Find("hedgehog")!.Arxiv!));
        Assert.Null(catalogue.Find("9999.99999"));
    }

    [Fact]
    public void Two_papers_of_one_id_are_refused()
    {
        const string one = """{"id":"a","name":"A","title":"T","year":2020,"arxiv":null,"family":"f","kind":"k","tier":1,"claim":"c"}""";
        Assert.Single(Catalogue.Read(new MemoryStream(Encoding.UTF8.GetBytes($"[{one}]"))).Papers);
        Assert.Throws<InvalidDataException>(() => Catalogue.Read(new MemoryStream(Encoding.UTF8.GetBytes($"[{one},{one}]"))));
    }
}
