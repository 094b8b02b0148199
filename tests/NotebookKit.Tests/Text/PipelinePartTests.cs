using System.Text.Json;
using NotebookKit.Text;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;
using NotebookKit.Text.Splitting;
using NotebookKit.Text.Vocabularies;

namespace NotebookKit.Tests.Text;

/// <summary>Parts of tokenizer.json one by one. Expected values: the examples of the tokenizers library's documentation (https://huggingface.co/docs/tokenizers/components) or by hand from its rules.</summary>
public sealed class PipelinePartTests
{
    [Theory]
    [InlineData("""{"type":"NFD"}""", "é", "e\u0301")]
    [InlineData("""{"type":"NFKC"}""", "ﬁ①", "fi1")]
    [InlineData("""{"type":"NFKD"}""", "ﬁé", "fie\u0301")]
    [InlineData("""{"type":"NFC"}""", "e\u0301q\u0307\u0323", "éq\u0323\u0307")]
    [InlineData("""{"type":"Lowercase"}""", "İSTANBUL ÄÖ", "i\u0307stanbul äö")]
    [InlineData("""{"type":"Strip","strip_left":true,"strip_right":false}""", " \t a ", "a ")]
    [InlineData("""{"type":"StripAccents"}""", "e\u0301a", "ea")]
    [InlineData("""{"type":"Nmt"}""", "a\u0001\u200bb\tc", "a b c")]
    [InlineData("""{"type":"Replace","pattern":{"String":"a"},"content":"bc"}""", "banana", "bbcnbcnbc")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":"\\s+"},"content":" "}""", "a \t\n b", "a b")]
    [InlineData("""{"type":"Prepend","prepend":"▁"}""", "a", "▁a")]
    [InlineData("""{"type":"Prepend","prepend":"▁"}""", "", "")]
    [InlineData("""{"type":"ByteLevel"}""", "a é", "aĠÃ©")]
    [InlineData("""{"type":"BertNormalizer","lowercase":true}""", "Héllo\u0000 你好\u00ad", "hello  你  好 ")]
    [InlineData("""{"type":"BertNormalizer","lowercase":false,"handle_chinese_chars":false}""", "Héllo\u2028你", "Héllo 你")]
    [InlineData("""{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Lowercase"}]}""", "ÀÇ", "ac")]
    public void Normalizers(string json, string text, string expected)
    {
        var normalized = NormalizedText.Of(text);
        Normalizer.Read(Field(json))!.Apply(normalized);
        Assert.Equal(expected, normalized.ToString());
    }

    [Theory]
    [InlineData("""{"type":"Whitespace"}""", "Hello there!", "Hello|there|!")]
    [InlineData("""{"type":"WhitespaceSplit"}""", "Hello there!", "Hello|there!")]
    [InlineData("""{"type":"Punctuation"}""", "Hello?", "Hello|?")]
    [InlineData("""{"type":"Punctuation","behavior":"MergedWithPrevious"}""", "a!!b", "a!|!|b")]
    [InlineData("""{"type":"Punctuation","behavior":"Contiguous"}""", "a!!b", "a|!!|b")]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "Hello123there", "Hello|1|2|3|there")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "Hello123there", "Hello|123|there")]
    [InlineData("""{"type":"CharDelimiterSplit","delimiter":"x"}""", "Helloxthere", "Hello|there")]
    [InlineData("""{"type":"FixedLength","length":3}""", "abcdefgh", "abc|def|gh")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","add_prefix_space":true}""", "Hello there", "▁Hello|▁there")]
    [InlineData("""{"type":"Metaspace","replacement":"_","prepend_scheme":"never"}""", "Hello there", "Hello|_there")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":true}""", "Hello my friend, how is", "ĠHello|Ġmy|Ġfriend|,|Ġhow|Ġis")]
    [InlineData("""{"type":"Split","pattern":{"String":"-"},"behavior":"Removed"}""", "the-final--countdown", "the|final|countdown")]
    [InlineData("""{"type":"Split","pattern":{"String":"-"},"behavior":"Isolated"}""", "the-final--countdown", "the|-|final|-|-|countdown")]
    [InlineData("""{"type":"Split","pattern":{"String":"-"},"behavior":"MergedWithPrevious"}""", "the-final--countdown", "the-|final-|-|countdown")]
    [InlineData("""{"type":"Split","pattern":{"String":"-"},"behavior":"MergedWithNext"}""", "the-final--countdown", "the|-final|-|-countdown")]
    [InlineData("""{"type":"Split","pattern":{"String":"-"},"behavior":"Contiguous"}""", "the-final--countdown", "the|-|final|--|countdown")]
    [InlineData("""{"type":"Split","pattern":{"Regex":"\\w+"},"behavior":"Removed","invert":true}""", "a b, c", "a|b|c")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Digits","individual_digits":true}]}""", "ab 12", "ab|1|2")]
    public void PreTokenizers(string json, string text, string expected) =>
        Assert.Equal(expected, string.Join('|', PreTokenizer.Read(Field(json))!.Split(NormalizedText.Of(text)).Where(p => p.Count > 0)));

    [Theory]
    [InlineData("""{"type":"BPEDecoder","suffix":"</w>"}""", "hello</w>|wor|ld</w>", "hello world")]
    [InlineData("""{"type":"WordPiece","prefix":"##","cleanup":true}""", "my|order|##s|do|n|'|t|.", "my orders do n ' t.")]
    [InlineData("""{"type":"WordPiece","prefix":"##","cleanup":false}""", "ok|.", "ok .")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}""", "▁Hello|▁there", "Hello there")]
    [InlineData("""{"type":"ByteLevel"}""", "ĠaÃ|©", " aé")]
    [InlineData("""{"type":"CTC","pad_token":"<pad>","word_delimiter_token":"|","cleanup":true}""", "<pad>,h,h,e,l,<pad>,l,o,o", "hello")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}""", "▁a|<0xC3>|<0xA9>|b|<0xC3>|<0xFF>", "aéb\uFFFD\uFFFD")]
    public void Decoders(string json, string tokens, string expected) =>
        Assert.Equal(expected, string.Concat(TokenDecoder.Read(Field(json))!.Decode(tokens.Split(tokens.Contains(',') && json.Contains("CTC") ? ',' : '|'))));

    /// <summary>Oniguruma's forms in .NET's; what they match, by hand.</summary>
    [Theory]
    [InlineData(@"\p{N}{1,3}+", "12345", "12345")]
    [InlineData(@"\p{N}{1,3}", "12345", "123|45")]
    [InlineData(@"[^\r\n\p{L}\p{N}]?+\p{L}++", " ab,cd", " ab|,cd")]
    [InlineData(@"a++b|a", "aaa", "a|a|a")]
    [InlineData(@"\p{Han}+|\h+", "你好ff", "你好|ff")]
    [InlineData(@"[[:digit:]]+", "a12", "12")]
    [InlineData(@"\p{^L}+", "ab12", "12")]
    [InlineData(@"(?i:'s|'t)| ?\p{L}+", "it'S", "it|'S")]
    [InlineData(@"^x|y$", "x\nx y\ny", "x|x|y|y")]
    [InlineData(@"\p{L}", "𝔘", "𝔘")]
    public void Patterns_of_Oniguruma(string regex, string text, string expected)
    {
        var normalized = NormalizedText.Of(text);
        Assert.Equal(expected, string.Join('|', Pattern.OfRegex(regex).Matches(normalized).Select(m => normalized.Text(m.Start, m.End))));
    }

    /// <summary>What stands for a character beyond the basic plane in a pattern must have its category.</summary>
    [Fact]
    public void Proxies_have_the_category_of_what_they_stand_for()
    {
        for (var c = 0x10000; c < 0x110000; c++)
            if (UnicodeClass.Category(c) is not (System.Globalization.UnicodeCategory.Surrogate or System.Globalization.UnicodeCategory.OtherNotAssigned or System.Globalization.UnicodeCategory.PrivateUse))
                Assert.Equal(UnicodeClass.Category(c), char.GetUnicodeCategory(UnicodeClass.Proxy(c)));
    }

    /// <summary>Offsets through insertions, deletions and compositions, by hand: code points of the text as given.</summary>
    [Fact]
    public void Offsets_point_into_the_text_as_given()
    {
        var tokenizer = TokenizerFiles.Parse("""
            {"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]},"pre_tokenizer":{"type":"WhitespaceSplit"},
             "model":{"type":"WordLevel","vocab":{"<unk>":0,"é":1,"😀b":2},"unk_token":"<unk>"}}
            """, "test");
        var encoding = tokenizer.EncodeWithOffsets(" E\u0301  😀B ?");
        Assert.Equal([1, 2, 0], encoding.Ids);
        Assert.Equal([(1, 2), (5, 7), (8, 9)], encoding.Offsets);                   // a composed letter keeps the place of its first part, as in the library
        Assert.Equal([0, 1, 2], encoding.WordIds.Select(w => w!.Value));
    }

    [Fact]
    public void Added_tokens_take_their_spaces_and_stand_alone_where_they_must()
    {
        var tokenizer = TokenizerFiles.Parse("""
            {"added_tokens":[{"id":1,"content":"<m>","special":true,"lstrip":true,"rstrip":true},{"id":2,"content":"ab","single_word":true,"normalized":false},{"id":3,"content":"<mm>","special":true}],
             "pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"<unk>":0,"x":4,"xab":5},"unk_token":"<unk>"}}
            """, "test");
        Assert.Equal([4, 1, 4, 2, 5, 3], tokenizer.Encode("x  <m>  x ab xab<mm>"));
        Assert.Equal("x x", tokenizer.Decode([4, 1, 4]));
        Assert.Equal("x <m> x", tokenizer.Decode([4, 1, 4], skipSpecialTokens: false));
        Assert.Equal(3, tokenizer.IdOf("<mm>"));
        Assert.Null(tokenizer.IdOf("nothing"));
    }

    private static JsonField Field(string json) => JsonField.Root(JsonDocument.Parse(json).RootElement, "test");
}
