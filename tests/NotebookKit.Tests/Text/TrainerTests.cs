using NotebookKit.Text;

namespace NotebookKit.Tests.Text;

/// <summary>Learnt vocabularies: by hand where the corpus is small enough, by properties where it is real.</summary>
public sealed class TrainerTests
{
    /// <summary>By hand: "aab" ×10 and "ab" ×5 over the alphabet {a, b}. Pairs: (a,##a) 10, (##a,##b) 10, (a,##b) 5; the tie goes to the pair that sorts first.</summary>
    [Fact]
    public void WordPiece_merges_the_most_frequent_pair_first()
    {
        var vocabulary = new WordPieceTrainer { VocabularySize = 11, MinimumCount = 1 }.Train(new Dictionary<string, long> { ["aab"] = 10, ["ab"] = 5 });
        Assert.Equal([.. WordPieceTrainer.SpecialTokens, "a", "b", "##a", "##b", "##ab", "aab"], vocabulary);
        Assert.Contains("alphabet", Assert.Throws<ArgumentException>(() => new WordPieceTrainer { VocabularySize = 6, MinimumCount = 1 }.Train(new Dictionary<string, long> { ["ab"] = 1 })).Message);
    }

    /// <summary>By hand: words "low" ×5, " low" ×4 (with the space), " lower" ×2. Pairs: (l,o) 11, (o,w) 11: the tie goes to "l","o"; then (lo,w) 11, then (Ġ,low) 6, then (Ġlow,e) 2 and (Ġlowe,r) 2.</summary>
    [Fact]
    public void Byte_pairs_are_merged_by_frequency()
    {
        var tokenizer = new BytePairTrainer { VocabularySize = 262, SpecialTokens = ["<|endoftext|>"] }.Train(["low low", "low low", "low low", "low low", "low lower lower"]);
        Assert.Equal(262, tokenizer.VocabularySize);
        Assert.Equal(["lo", "low", "Ġlow", "er", "Ġlower"], Enumerable.Range(257, 5).Select(tokenizer.TokenOf));
    }

    /// <summary>The embedded dataset as the corpus; every trainer's file is read back and must spell alike, and byte-level BPE must give every text back.</summary>
    [Fact]
    public void What_is_learnt_is_written_and_read_back_alike()
    {
        var data = NotebookKit.Data.DatasetCatalog.Load("support-intents");
        string[] texts = [.. data.Train.Texts], held = [.. data.Test.Texts.Take(200), "naïve café 👍 你好", "", "  two  spaces "];
        foreach (var tokenizer in new[]
        {
            new WordPieceTrainer { VocabularySize = 700, MinimumCount = 2 }.Train(texts), new BytePairTrainer { VocabularySize = 800 }.Train(texts), new UnigramTrainer { VocabularySize = 600 }.Train(texts),
        })
        {
            using var folder = TestData.NewFolder();
            tokenizer.Save(folder.Path);
            var again = Tokenizer.Load(folder.Path);
            foreach (var text in held) Assert.Equal(tokenizer.Encode(text), again.Encode(text));
            Assert.InRange(again.VocabularySize, 590, 800);
        }
        var bytes = new BytePairTrainer { VocabularySize = 800 }.Train(texts);
        foreach (var text in held) Assert.Equal(text, bytes.Decode(bytes.Encode(text)));
    }

    /// <summary>More pieces spell a text in fewer tokens, and the size asked for is reached.</summary>
    [Fact]
    public void Unigram_shrinks_to_the_size_asked_for_and_keeps_what_pays()
    {
        string[] texts = [.. NotebookKit.Data.DatasetCatalog.Load("support-intents").Train.Texts];
        Tokenizer small = new UnigramTrainer { VocabularySize = 150 }.Train(texts), large = new UnigramTrainer { VocabularySize = 1500 }.Train(texts);
        Assert.Equal((150, 1500), (small.VocabularySize, large.VocabularySize));
        Assert.True(texts.Sum(t => large.Encode(t).Length) < 0.7 * texts.Sum(t => small.Encode(t).Length));
        Assert.Contains("▁order", Enumerable.Range(0, 1500).Select(large.TokenOf));
        Assert.Equal("<unk>", large.EncodeWithOffsets("☃").Ids.Select(large.TokenOf).First(t => t != "▁"));
        Assert.Throws<ArgumentException>(() => new UnigramTrainer { ShrinkingFactor = 1 }.Train(texts));
        Assert.Throws<ArgumentException>(() => new UnigramTrainer { VocabularySize = 10 }.Train(texts));
    }

    /// <summary>Counts by hand: 4 words, "unhappy" in three pieces, "zq" unknown.</summary>
    [Fact]
    public void Fit_counts_words_pieces_and_what_cannot_be_spelled()
    {
        var tokenizer = Tokenizer.FromVocabulary([.. WordPieceTrainer.SpecialTokens, "i", "am", "un", "##hap", "##py", "."]);
        var fit = VocabularyFit.Of(tokenizer, ["I am unhappy.", "zq"]);
        Assert.Equal(new VocabularyFit(2, 4, 7, 1, 1, 8), fit);
        Assert.Equal(7 / 4.0, fit.Fragmentation);
        var html = TokenView.Of(tokenizer, "I am <b>unhappy</b> zq").ToHtml();
        Assert.Contains("##hap", html);
        Assert.Contains("id 8", html);
        Assert.Contains("&lt;", html);
        Assert.DoesNotContain("<b>", html);
    }
}
