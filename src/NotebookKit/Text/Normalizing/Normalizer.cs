using System.Text;
using NotebookKit.Text.Reading;
using NotebookKit.Text.Splitting;

namespace NotebookKit.Text.Normalizing;

/// <summary>What is done to a text before it is split: one step of a tokenizer.json's <c>normalizer</c>. Immutable.</summary>
internal abstract class Normalizer
{
    private static readonly string[] Known =
        ["BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend", "Replace", "Sequence", "Strip", "StripAccents"];

    public abstract void Apply(NormalizedText text);

    /// <summary>Whether a text in its composed form stays as it is.</summary>
    public bool OnlyComposes => this is Form { Composes: true };

    public static Normalizer? Read(JsonField json) => json.IsNull ? null : json.Type() switch
    {
        "Sequence" => new Chain([.. json.Items("normalizers").Select(n => Read(n) ?? throw n.Wrong("a normalizer"))]),
        "BertNormalizer" => new Bert(json.Flag("clean_text", true), json.Flag("handle_chinese_chars", true), json.Flag("strip_accents", json.Flag("lowercase", true)), json.Flag("lowercase", true)),
        "NFC" => new Form(NormalizationForm.FormC), "NFD" => new Form(NormalizationForm.FormD), "NFKC" => new Form(NormalizationForm.FormKC), "NFKD" => new Form(NormalizationForm.FormKD),
        "Lowercase" => new Small(),
        "Strip" => new Strip(json.Flag("strip_left", true), json.Flag("strip_right", true)),
        "StripAccents" => new NoAccents(),
        "Nmt" => new Nmt(),
        "Precompiled" => json.OptionalText("precompiled_charsmap") is { Length: > 0 } map ? new Mapped(CharacterMap.Parse(Bytes(json["precompiled_charsmap"], map), json.Where)) : null,
        "Replace" => new Replaced(Pattern.Read(json["pattern"]), json.Text("content")),
        "Prepend" => new Prepended(json.Text("prepend")),
        "ByteLevel" => new Bytewise(),
        _ => throw json.Unknown("normalizer", Known),
    };

    private static byte[] Bytes(JsonField json, string base64)
    {
        try { return Convert.FromBase64String(base64); }
        catch (FormatException) { throw json.Wrong("base64"); }
    }

    private sealed class Chain(Normalizer[] steps) : Normalizer
    {
        public override void Apply(NormalizedText text)
        {
            foreach (var step in steps) step.Apply(text);
        }
    }

    /// <summary>BERT's basic tokenisation (Devlin et al. 2019) up to where words are split.</summary>
    private sealed class Bert(bool clean, bool chinese, bool accents, bool lower) : Normalizer
    {
        public override void Apply(NormalizedText text)
        {
            if (clean)
            {
                text.Filter(static c => c is not (0 or 0xFFFD) && !UnicodeClass.IsControl(c));
                text.Map(static c => UnicodeClass.IsWhiteSpace(c) ? ' ' : c);
            }
            if (chinese && Any(text, UnicodeClass.IsChinese))
            {
                var changes = new List<(int, int)>(text.Count + 8);
                foreach (var c in text.Runes)
                {
                    if (UnicodeClass.IsChinese(c)) changes.AddRange([(' ', 0), (c, 1), (' ', 1)]);
                    else changes.Add((c, 0));
                }
                text.Transform(changes);
            }
            if (accents)
            {
                UnicodeForm.Apply(text, NormalizationForm.FormD);
                text.Filter(static c => c < 128 || UnicodeClass.Category(c) != System.Globalization.UnicodeCategory.NonSpacingMark);
            }
            if (lower) Lower(text);
        }
    }

    private sealed class Form(NormalizationForm form) : Normalizer
    {
        public bool Composes => form == NormalizationForm.FormC;

        public override void Apply(NormalizedText text) => UnicodeForm.Apply(text, form);
    }

    private sealed class Small : Normalizer
    {
        public override void Apply(NormalizedText text) => Lower(text);
    }

    private sealed class Strip(bool left, bool right) : Normalizer
    {
        public override void Apply(NormalizedText text)
        {
            var (start, end) = (0, text.Count);
            while (left && start < end && UnicodeClass.IsWhiteSpace(text[start])) start++;
            while (right && end > start && UnicodeClass.IsWhiteSpace(text[end - 1])) end--;
            if (end - start < text.Count) text.Keep(start, end);
        }
    }

    private sealed class NoAccents : Normalizer
    {
        public override void Apply(NormalizedText text) => text.Filter(static c => c < 128 || !UnicodeClass.IsMark(c));
    }

    /// <summary>What neural machine translation cleans away.</summary>
    private sealed class Nmt : Normalizer
    {
        public override void Apply(NormalizedText text)
        {
            text.Filter(static c => c is not (>= 1 and <= 8 or 0xB or >= 0xE and <= 0x1F or 0x7F or 0x8F or 0x9F));
            text.Map(static c => c is 9 or 0xA or 0xC or 0xD or 0x1680 or >= 0x200B and <= 0x200F or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD ? ' ' : c);
        }
    }

    private sealed class Mapped(CharacterMap map) : Normalizer
    {
        public override void Apply(NormalizedText text) => map.Apply(text);
    }

    private sealed class Replaced(Pattern pattern, string content) : Normalizer
    {
        public override void Apply(NormalizedText text) => text.Replace([.. pattern.Matches(text)], content);
    }

    private sealed class Prepended(string prefix) : Normalizer
    {
        public override void Apply(NormalizedText text) => text.Prepend(prefix);
    }

    private sealed class Bytewise : Normalizer
    {
        public override void Apply(NormalizedText text) => ByteAlphabet.Apply(text);
    }

    private static bool Any(NormalizedText text, Func<int, bool> test)
    {
        foreach (var c in text.Runes)
            if (c >= 0x2000 && test(c)) return true;
        return false;
    }

    private static void Lower(NormalizedText text)
    {
        if (text.Runes.Contains(0x130))
        {
            var changes = new List<(int, int)>(text.Count + 1);
            foreach (var c in text.Runes)
            {
                var (first, second) = UnicodeClass.ToLower(c);
                changes.Add((first, 0));
                if (second != 0) changes.Add((second, 1));
            }
            text.Transform(changes);
        }
        else text.Map(static c => UnicodeClass.ToLower(c).First);
    }
}
