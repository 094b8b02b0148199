using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;
using NotebookKit.Text.Splitting;

namespace NotebookKit.Text;

/// <summary>Cuts a text into the words a tokenizer spells, for counting them before a vocabulary is learnt. Immutable and thread-safe.</summary>
public sealed class WordSplitter
{
    private readonly Normalizer? _normalizer;
    private readonly PreTokenizer? _splitter;

    private WordSplitter(string tokenizerJson)
    {
        using var json = System.Text.Json.JsonDocument.Parse(tokenizerJson);
        var root = JsonField.Root(json.RootElement, "the splitter");
        (_normalizer, _splitter) = (Normalizer.Read(root["normalizer"]), PreTokenizer.Read(root["pre_tokenizer"]));
    }

    /// <summary>BERT's words: cleaned, without capitals and accents unless they are kept, split at white space and around punctuation.</summary>
    /// <param name="lowercase">Whether capitals and accents are dropped. Default yes.</param>
    public static WordSplitter Bert(bool lowercase = true) => new(TokenizerJson.Bert(["[UNK]", "[CLS]", "[SEP]"], lowercase));

    /// <summary>GPT-2's words in its alphabet of bytes: with the space before them, numbers and signs apart.</summary>
    public static WordSplitter ByteLevel() => new(TokenizerJson.Gpt2(new Dictionary<string, int>(), [], []));

    /// <summary>T5's words: each with a ▁ before it.</summary>
    public static WordSplitter Metaspace() => new(TokenizerJson.Unigram([("</s>", 0)], [], 0));

    /// <summary>The words of a text, in order.</summary>
    public IEnumerable<string> Words(string text)
    {
        var normalized = NormalizedText.Of(text);
        _normalizer?.Apply(normalized);
        if (normalized.Count == 0) yield break;
        foreach (var word in _splitter?.Split(normalized) ?? [normalized])
            if (word.Count > 0) yield return word.ToString();
    }
}
