using System.Text.Json;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;

namespace NotebookKit.Text.Vocabularies;

/// <summary>What is put around one or two texts: a tokenizer.json's <c>post_processor</c>. Immutable.</summary>
internal abstract class PostProcessor
{
    private static readonly string[] Known = ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"];

    /// <summary>Tokens added to one text, or two.</summary>
    public virtual int Added(bool pair) => 0;

    /// <summary>The parts in the order they follow one another.</summary>
    public abstract IReadOnlyList<TokenEncoding> Process(IReadOnlyList<TokenEncoding> texts, bool addSpecialTokens);

    public static PostProcessor? Read(JsonField json) => json.IsNull ? null : json.Type() switch
    {
        "Sequence" => new Chain([.. json.Items("processors").Select(p => Read(p) ?? throw p.Wrong("a post-processor"))]),
        "ByteLevel" => new Offsets(json.Flag("add_prefix_space", true), json.Flag("trim_offsets", true)),
        "BertProcessing" => new Around(Token(json["cls"]), Token(json["sep"]), doubled: false, secondType: 1, null),
        "RobertaProcessing" => new Around(Token(json["cls"]), Token(json["sep"]), doubled: true, secondType: 0,
            json.Flag("trim_offsets", true) ? new Offsets(json.Flag("add_prefix_space", true), true) : null),
        "TemplateProcessing" => Template.Parse(json),
        _ => throw json.Unknown("post-processor", Known),
    };

    private static (string, int) Token(JsonField json) => json.Element.ValueKind == JsonValueKind.Array && json.Element.GetArrayLength() == 2 && json.Element[1].ValueKind == JsonValueKind.Number
        ? (json.Element[0].GetString() ?? "", json.Element[1].GetInt32()) : throw json.Wrong("a token and its id");

    private static TokenEncoding Everywhere(TokenEncoding text, Func<TokenEncoding, TokenEncoding> change) => change(text.WithOverflowing(change));

    private sealed class Chain(PostProcessor[] steps) : PostProcessor
    {
        public override int Added(bool pair) => steps.Sum(s => s.Added(pair));

        public override IReadOnlyList<TokenEncoding> Process(IReadOnlyList<TokenEncoding> texts, bool addSpecialTokens) => steps.Aggregate(texts, (t, step) => step.Process(t, addSpecialTokens));
    }

    /// <summary>Leaves the space before a word out of its offsets.</summary>
    private sealed class Offsets(bool addsSpace, bool trims) : PostProcessor
    {
        public override IReadOnlyList<TokenEncoding> Process(IReadOnlyList<TokenEncoding> texts, bool addSpecialTokens) => trims ? [.. texts.Select(t => Everywhere(t, Trim))] : texts;

        public TokenEncoding Trim(TokenEncoding text) => text with
        {
            Offsets = [.. text.Offsets.Select((o, i) =>
            {
                var token = text.Tokens[i];
                static bool Space(char c) => c == ByteAlphabet.Characters[' '] || char.IsWhiteSpace(c);
                var (leading, trailing) = (token.TakeWhile(Space).Count(), token.Reverse().TakeWhile(Space).Count());
                var (start, end) = o;
                if (leading > 0)
                {
                    if ((i == 0 || start == 0) && addsSpace) leading = Math.Max(leading, 1) - 1;     // the space was put there
                    start = Math.Min(start + leading, end);
                }
                if (trailing > 0 && end >= trailing) end = Math.Max(end - trailing, start);
                return (start, end);
            })],
        };
    }

    /// <summary>BERT's and RoBERTa's: start A end, and for a pair B end, or end B end.</summary>
    private sealed class Around((string Token, int Id) start, (string Token, int Id) end, bool doubled, int secondType, Offsets? offsets) : PostProcessor
    {
        public override int Added(bool pair) => pair ? doubled ? 4 : 3 : 2;

        public override IReadOnlyList<TokenEncoding> Process(IReadOnlyList<TokenEncoding> texts, bool addSpecialTokens)
        {
            var parts = offsets is null ? texts : [.. texts.Select(t => Everywhere(t, offsets.Trim))];
            if (doubled) parts = [.. parts.Select(t => addSpecialTokens ? Everywhere(t, e => e.OfType(0)) : t.OfType(0))];   // bare windows keep theirs, as in the library
            if (!addSpecialTokens) return parts;
            TokenEncoding Part((string Token, int Id) token, int type) => TokenEncoding.Special([token.Id], [token.Token], type);
            return parts.Count == 1 ? [Part(start, 0), parts[0], Part(end, 0)]
                : [Part(start, 0), parts[0], Part(end, 0), .. doubled ? new[] { Part(end, 0) } : [], parts[1], Part(end, secondType)];
        }
    }

    /// <summary>A list of texts and tokens, one for a single text and one for a pair.</summary>
    private sealed class Template(Template.Part[] single, Template.Part[] pair) : PostProcessor
    {
        /// <summary>A text (<paramref name="Text"/> 0 or 1) or, where it is −1, tokens.</summary>
        internal readonly record struct Part(int Text, int Type, int[] Ids, string[] Tokens);

        public static Template Parse(JsonField json)
        {
            var known = json["special_tokens"];
            Part ReadPart(JsonField part)
            {
                if (part.Has("Sequence")) return new Part(part["Sequence"].Text("id") == "A" ? 0 : 1, part["Sequence"].Int("type_id", 0), [], []);
                var special = part["SpecialToken"];
                var token = known[special.Text("id")];
                if (token.IsNull) throw special["id"].Wrong("one of special_tokens");
                return new Part(-1, special.Int("type_id", 0), [.. token.Items("ids").Select(i => i.Element.GetInt32())], [.. token.Items("tokens").Select(t => t.Element.GetString() ?? "")]);
            }
            return new Template([.. json.Items("single").Select(ReadPart)], json.Has("pair") ? [.. json.Items("pair").Select(ReadPart)] : []);
        }

        public override int Added(bool isPair) => (isPair ? pair : single).Sum(p => p.Ids.Length);

        public override IReadOnlyList<TokenEncoding> Process(IReadOnlyList<TokenEncoding> texts, bool addSpecialTokens)
        {
            var template = texts.Count == 2 ? pair : single;
            if (texts.Count == 2 && template.Length == 0) throw new InvalidDataException("This tokenizer has no template for a pair of texts.");
            return [.. template.Where(p => p.Text >= 0 || addSpecialTokens).Select(p => p.Text >= 0 ? texts[p.Text].OfType(p.Type) : TokenEncoding.Special(p.Ids, p.Tokens, p.Type))];
        }
    }
}
