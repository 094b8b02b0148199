using NotebookKit.Pretraining.Corpora;
using NotebookKit.Pretraining;

namespace NotebookKit.Tests.Pretraining;

/// <summary>Expected values: by hand, small pieces in the formats that packages ship.</summary>
public sealed class PassageReaderTests
{
    [Theory]
    [InlineData(TextFormat.Markup, "<html><head><title>x</title></head><p>One &amp; two.</p><pre>code</pre><p>Three <b>four</b></p>", "One & two.|Three four")]
    [InlineData(TextFormat.WordNet, "  1 licence text | no\n0001 03 n 01 dog 0 | a domestic animal; \"the dog barked all night\"  \n", "a domestic animal|the dog barked all night")]
    [InlineData(TextFormat.PackageDescriptions, "Package: a\nDescription-en: a short line\n First part of it.\n Second part.\n .\n Another paragraph.\n  * a list\n\n", "a short line|First part of it. Second part.|Another paragraph.")]
    [InlineData(TextFormat.Pod, "=head1 NAME\n\nUse C<print> and B<care> here.\n\n", "Use print and care here.")]
    [InlineData(TextFormat.JsonStrings, "[\"One.\",\"Two.\"]", "One.|Two.")]
    [InlineData(TextFormat.Mail, "From: a\nTo: b\n\nHello there,\nmy friend.\n> quoted\n\nSecond part.\n-- \nsignature\n", "Hello there, my friend.|Second part.")]
    [InlineData(TextFormat.Plain, "first\nline\n%\nsecond\n", "first line|second")]
    public void Prose_is_read_out_of_markup(TextFormat format, string content, string expected) =>
        Assert.Equal(expected.Split('|'), PassageReader.Read(content, format).Where(p => p.Length > 0));

    [Theory]
    [InlineData("This is a sentence that people would write.", true)]
    [InlineData("x = foo(bar[3]) + baz{4}; // 17", false)]
    [InlineData("short", false)]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cc", false)]
    public void Only_prose_is_kept(string passage, bool kept) => Assert.Equal(kept, PassageReader.IsProse(passage));

    [Fact]
    public void A_recipe_with_an_unknown_setting_is_refused()
    {
        using var folder = TestData.NewFolder();
        File.WriteAllText(folder["recipe.json"], """{"Name":"x","Corpus":[],"Model":{},"Teacher":"t","Stepps":3}""");
        Assert.Contains("Stepps", Assert.Throws<InvalidDataException>(() => PretrainingRecipe.Load(folder["recipe.json"])).Message);
        var recipe = PretrainingRecipe.Load(Path.Combine(TestData.RepositoryRoot, "data", "models", "pocket-encoder", "recipe.json"));
        Assert.Equal("pocket-encoder", recipe.Name);
    }
}
