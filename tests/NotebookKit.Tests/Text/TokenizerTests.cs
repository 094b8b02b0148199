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

    /// <summary>Expected ids: the tokenizers library 0.23 (shared data; skipped where it is absent). The plain files must say what tokenizer.json says.</summary>
    [Theory]
    [InlineData("bert-uncased", "vocab.txt")]
    [InlineData("bert-uncased", "tokenizer.json")]
    [InlineData("gpt2", "vocab.json")]
    [InlineData("gpt2", "merges.txt")]
    [InlineData("gpt2", "tokenizer.json.gz")]
    public void Ids_equal_the_reference_from_every_kind_of_file(string name, string file)
    {
        var folder = TestData.RequireShared($"reference/tokenizers/{name}");
        var tokenizer = Tokenizer.Load(Path.Combine(folder, file));
        var (compared, wrong) = (0, new List<string>());
        foreach (var line in File.ReadAllText(Path.Combine(folder, "golden.jsonl")).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var json = JsonDocument.Parse(line);
            var (text, pair) = (json.RootElement.GetProperty("text"), json.RootElement.GetProperty("pair"));
            if (pair.ValueKind != JsonValueKind.Null || !json.RootElement.GetProperty("add_special_tokens").GetBoolean()) continue;
            var expected = json.RootElement.GetProperty("ids").EnumerateArray().Select(i => i.GetInt32()).ToArray();
            if (!expected.SequenceEqual(tokenizer.Encode(text.GetString()!, 100_000))) wrong.Add(text.GetString()!);
            compared++;
        }
        Assert.True(compared > 100);
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {compared}: {string.Join(" | ", wrong.Take(3).Select(w => w[..Math.Min(60, w.Length)]))}");
    }

    [Theory]
    [InlineData("{", "not a usable")]
    [InlineData("""{"version":"1.0"}""", "model")]
    [InlineData("""{"model":{"type":"Syllables","vocab":{}}}""", "Syllables", "WordPiece")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"a":-1}}}""", "'a'", "-1")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":["a"]}}""", "vocab", "object")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"a":0}},"normalizer":{"type":"Magic"}}""", "normalizer", "Magic", "NFKC")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"UnicodeScripts"}}""", "pre_tokenizer", "UnicodeScripts", "Metaspace")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"a&&[b"},"behavior":"Isolated"}}""", "pattern", "a&&[b")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Isolated"}}""", "&&")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"Split","pattern":{"String":"a"},"behavior":"Melted"}}""", "behavior", "MergedWithNext")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"a":0}},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]"}}],"special_tokens":{}}}""", "[CLS]", "special_tokens")]
    [InlineData("""{"model":{"type":"WordLevel","vocab":{"a":0}},"decoder":{"type":"Morse"}}""", "decoder", "Morse", "ByteFallback")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a","b"]]}}""", "merges[0]", "'b'")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}""", "merges[0]", "two tokens")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"<unk>"}}""", "unk_token", "<unk>")]
    [InlineData("""{"model":{"type":"Unigram","vocab":[["a","high"]],"unk_id":0}}""", "vocab[0]", "score")]
    [InlineData("""{"model":{"type":"Unigram","vocab":[["a",-1]],"unk_id":7}}""", "unk_id", "7")]
    [InlineData("""{"model":{"type":"Unigram","vocab":[["a",-1]]},"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA!"}}""", "base64")]
    [InlineData("""{"model":{"type":"Unigram","vocab":[["a",-1]]},"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="}}""", "character map")]
    public void Unusable_files_are_refused_saying_why(string json, params string[] says)
    {
        using var folder = TestData.NewFolder();
        File.WriteAllText(folder["tokenizer.json"], json);
        var error = Assert.Throws<InvalidDataException>(() => Tokenizer.Load(folder.Path));
        Assert.Contains("tokenizer.json", error.Message);
        foreach (var part in says) Assert.Contains(part, error.Message);
    }

    [Fact]
    public void A_vocabulary_that_does_not_fit_the_weights_is_refused()
    {
        using var folder = TestData.NewFolder();
        File.Copy(TestData.Fixture("checkpoints", "tiny", "bert-seqcls", "config.json"), folder["config.json"]);
        Tokenizer.FromVocabulary([.. WordPieceTrainer.SpecialTokens, .. Enumerable.Range(0, 200).Select(i => $"t{i}")]).Save(folder.Path);
        Assert.Contains("belongs to another model", Assert.Throws<InvalidDataException>(() => PretrainedEncoder.Open(folder.Path)).Message);
        Tokenizer.FromVocabulary(["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "a"]).Save(folder.Path);
        Assert.Contains("pads with id 1", Assert.Throws<InvalidDataException>(() => PretrainedEncoder.Open(folder.Path)).Message);
    }

    [Fact]
    public void Half_a_character_is_refused_naming_its_place()
    {
        var tokenizer = Tokenizer.FromVocabulary([.. WordPieceTrainer.SpecialTokens, "a"]);
        var error = Assert.Throws<ArgumentException>(() => tokenizer.Encode("a \uD83D b"));
        foreach (var part in new[] { "U+D83D", "index 2", "U+FFFD" }) Assert.Contains(part, error.Message);
        Assert.Throws<ArgumentException>(() => tokenizer.EncodeWithOffsets("\uDE00"));
    }

    /// <summary>No text may take more than a few seconds, whatever its form: megabytes of one letter, of spaces, of marks on one letter.</summary>
    [Theory]
    [InlineData("a", 2_000_000)]
    [InlineData(" ", 2_000_000)]
    [InlineData("e\u0301", 300_000)]
    [InlineData("\u0301\u0327", 500_000)]
    [InlineData("ab ", 700_000)]
    [InlineData("😀", 500_000)]
    [InlineData("'", 1_000_000)]
    public void Texts_of_megabytes_end(string part, int times)
    {
        var text = string.Concat(Enumerable.Repeat(part, times));
        var alphabet = Enumerable.Range(0, 256).Select(i => NotebookKit.Text.Normalizing.ByteAlphabet.Characters[i].ToString()).ToArray();
        var ids = alphabet.Append("aa").Append("aaaa").Select((t, i) => (t, i)).ToDictionary(p => p.t, p => p.i);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        foreach (var tokenizer in new[]
        {
            Tokenizer.FromVocabulary([.. WordPieceTrainer.SpecialTokens, "a", "b", "##a"]),
            TokenizerFiles.Parse(TokenizerJson.Gpt2(ids, [("a", "a"), ("aa", "aa")], []), "test"),
            TokenizerFiles.Parse(TokenizerJson.Unigram([("</s>", 0), ("<unk>", 0), ("▁", -2), ("a", -1), ("aa", -1.5), ("▁ab", -1)], ["</s>"], 1), "test"),
        })
            Assert.NotEmpty(tokenizer.EncodeWithOffsets(text).Ids.Concat(tokenizer.Encode(text, int.MaxValue)).Append(0));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60), $"{clock.Elapsed}");
    }
}
