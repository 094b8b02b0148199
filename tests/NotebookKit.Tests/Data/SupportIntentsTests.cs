using NotebookKit.Data;

namespace NotebookKit.Tests.Data;

/// <summary>The promises of data/support-intents/README.md.</summary>
public sealed class SupportIntentsTests
{
    private static readonly DatasetSplits Data = DatasetCatalog.Load("support-intents");
    private static readonly Example[] All = [.. Data.Train, .. Data.Validation, .. Data.Test];

    [Fact]
    public void There_are_enough_intents_and_different_utterances_of_each()
    {
        Assert.Contains("out_of_scope", Data.Labels.Names);
        Assert.True(Data.Labels.Count >= 25);
        Assert.All(All.GroupBy(e => e.Label), g => Assert.True(g.Select(e => e.Text.ToLowerInvariant()).Distinct().Count() >= 60, g.Key));
        Assert.Equal(All.Length, All.Select(e => e.Text.ToLowerInvariant()).Distinct().Count());
    }

    [Fact]
    public void Parts_have_the_same_shares_of_every_intent()
    {
        foreach (var label in Data.Labels.Names)
        {
            var all = All.Count(e => e.Label == label);
            Assert.Equal(0.60, Data.Train.Count(e => e.Label == label) / (double)all, 0.03);
            Assert.Equal(0.15, Data.Validation.Count(e => e.Label == label) / (double)all, 0.03);
            Assert.Equal(0.25, Data.Test.Count(e => e.Label == label) / (double)all, 0.03);
        }
        foreach (var kind in All.GroupBy(e => e.Kind!))
        {
            Assert.Equal(0.60, Data.Train.Count(e => e.Kind == kind.Key) / (double)kind.Count(), 0.04);
            Assert.Equal(0.25, Data.Test.Count(e => e.Kind == kind.Key) / (double)kind.Count(), 0.04);
        }
    }

    [Fact]
    public void No_text_nearly_repeats_in_another_part()
    {
        Assert.Empty(NearDuplicates.Across(Data.Train.Texts, Data.Test.Texts, 0.6));
        Assert.Empty(NearDuplicates.Across(Data.Train.Texts, Data.Validation.Texts, 0.6));
        Assert.Empty(NearDuplicates.Across(Data.Validation.Texts, Data.Test.Texts, 0.6));
    }

    /// <summary>Template filling would show as the same opening again and again.</summary>
    [Fact]
    public void No_opening_of_three_words_is_used_often()
    {
        var openings = All.Where(e => e.Text.Count(c => c == ' ') >= 3)
            .GroupBy(e => string.Join(' ', e.Text.ToLowerInvariant().Split(' ', 4).Take(3))).MaxBy(g => g.Count())!;
        Assert.True(openings.Count() <= 0.01 * All.Length, $"'{openings.Key}' opens {openings.Count()} of {All.Length}");
    }

    [Fact]
    public void Checksums_in_the_card_are_those_of_the_files()
    {
        var card = File.ReadAllText(RepositoryFolder.Data("support-intents", "README.md"));
        foreach (var part in new[] { "train", "validation", "test" })
            Assert.Contains(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(RepositoryFolder.Data("support-intents", part + ".csv")))), card);
    }

    /// <summary>By hand: one letter changed in a sentence of 30 leaves most shingles; other sentences share few.</summary>
    [Fact]
    public void Near_duplicates_are_found_and_others_are_not()
    {
        var found = NearDuplicates.Across(["where is my parcel, it is late", "something else entirely"], ["Where is my parcel? It is late!", "where is my cat today"]);
        Assert.Equal(("where is my parcel, it is late", "Where is my parcel? It is late!"), (found.Single().First, found.Single().Second));
        Assert.Equal(1, found[0].Similarity);
    }
}
