using System.Text.Json;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Text;

namespace NotebookKit.Tests.Text;

public sealed class TokenizerTests
{
    /// <summary>Expected ids: the embedded model's tokenizer.json as BERT's rules read it, by hand; the words are in its vocabulary.</summary>
    [Fact]
    public void Words_are_framed_and_cut()
    {
        var tokenizer = Tokenizer.FromVocabulary([.. WordPieceTrainer.SpecialTokens, "order", "my", "##s", "where", "?", "e"]);
        Assert.Equal(["[CLS]", "where", "my", "order", "##s", "?", "[SEP]"], tokenizer.Encode("WHERE my orders?").Select(tokenizer.TokenOf));
        Assert.Equal(["[CLS]", "where", "my", "[SEP]"], tokenizer.Encode("where my orders?", 4).Select(tokenizer.TokenOf));
        Assert.Equal(["[CLS]", "[UNK]", "e", "[SEP]"], tokenizer.Encode("zebra é").Select(tokenizer.TokenOf));
        Assert.Equal(["[CLS]", "[SEP]"], tokenizer.Encode(" \u0000\t ").Select(tokenizer.TokenOf));
        Assert.Equal(["[CLS]", "[UNK]", "[SEP]"], tokenizer.Encode(new string('e', 101)).Select(tokenizer.TokenOf));
    }

    /// <summary>Expected values: the tokenizers library 0.23 on bert-uncased (shared data; skipped where it is absent).</summary>
    [Fact]
    public void Ids_equal_the_reference_on_its_golden_texts()
    {
        var folder = TestData.RequireShared("reference/tokenizers/bert-uncased");
        var tokenizer = Tokenizer.Load(folder);
        var compared = 0;
        var wrong = new List<string>();
        foreach (var line in File.ReadAllText(Path.Combine(folder, "golden.jsonl")).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var json = JsonDocument.Parse(line);
            var (text, pair) = (json.RootElement.GetProperty("text"), json.RootElement.GetProperty("pair"));
            if (pair.ValueKind != JsonValueKind.Null || !json.RootElement.GetProperty("add_special_tokens").GetBoolean()) continue;
            var expected = json.RootElement.GetProperty("ids").EnumerateArray().Select(i => i.GetInt32()).ToArray();
            if (!expected.SequenceEqual(tokenizer.Encode(text.GetString()!, 100_000))) wrong.Add(text.GetString()!);
            compared++;
        }
        Assert.True(compared > 20);
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {compared}: {string.Join(" | ", wrong.Take(3).Select(w => w[..Math.Min(60, w.Length)]))}");
    }

    [Theory]
    [InlineData("{", "not a usable")]
    [InlineData("""{"model":{"type":"BPE","vocab":{}}}""", "BPE")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"a":0}},"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"BertPreTokenizer"}}""", "NFC")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"a":0,"b":2}},"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"}}""", "no token with id 1")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{"a":0,"b":1}},"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"}}""", "lacks [PAD]")]
    public void Unusable_files_are_refused_saying_why(string json, string says)
    {
        using var folder = TestData.NewFolder();
        File.WriteAllText(folder["tokenizer.json"], json);
        var error = Assert.Throws<InvalidDataException>(() => Tokenizer.Load(folder.Path));
        Assert.Contains("tokenizer.json", error.Message);
        Assert.Contains(says, error.Message);
    }

    /// <summary>By hand: "aab" ×10 and "ab" ×5 over the alphabet {a, b}. Pairs: (a,##a) 10, (##a,##b) 10, (a,##b) 5; the tie goes to the pair that sorts first.</summary>
    [Fact]
    public void Trainer_merges_the_most_frequent_pair_first()
    {
        var vocabulary = new WordPieceTrainer { VocabularySize = 11, MinimumCount = 1 }.Train(new Dictionary<string, long> { ["aab"] = 10, ["ab"] = 5 });
        Assert.Equal([.. WordPieceTrainer.SpecialTokens, "a", "b", "##a", "##b", "##ab", "aab"], vocabulary);
        Assert.Contains("alphabet", Assert.Throws<ArgumentException>(() => new WordPieceTrainer { VocabularySize = 6, MinimumCount = 1 }.Train(new Dictionary<string, long> { ["ab"] = 1 })).Message);
    }

    [Fact]
    public void A_vocabulary_that_does_not_fit_the_weights_is_refused()
    {
        using var folder = TestData.NewFolder();
        File.Copy(TestData.Fixture("checkpoints", "tiny", "bert-seqcls", "config.json"), folder["config.json"]);
        Tokenizer.FromVocabulary([.. WordPieceTrainer.SpecialTokens, .. Enumerable.Range(0, 200).Select(i => $"t{i}")]).Save(folder.Path);
        Assert.Contains("belongs to another model", Assert.Throws<InvalidDataException>(() => PretrainedEncoder.Open(folder.Path)).Message);
    }
}
