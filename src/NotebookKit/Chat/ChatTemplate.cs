using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Chat.Jinja;

namespace NotebookKit.Chat;

/// <summary>A conversation as the text a model was taught on.</summary>
/// <param name="Text">The text, special tokens included: tokenize it without adding any.</param>
/// <param name="AssistantSpans">Code points [start, end) that the assistant wrote and a finetuned model should learn; empty where the template does not mark them.</param>
public sealed record RenderedChat(string Text, IReadOnlyList<(int Start, int End)> AssistantSpans);

/// <summary>A template could not be carried out: it refuses the conversation, or asks for what is not there.</summary>
public sealed class ChatTemplateException : Exception
{
    internal ChatTemplateException(JinjaException e, string source) : base($"{source}, line {e.Line}: {e.Message}", e) => (Kind, Reason, Line) = (e.Kind, e.Message, e.Line);

    /// <summary>The reference's name for the error, such as <c>TemplateError</c> where the template itself refuses.</summary>
    public string Kind { get; }

    /// <summary>What the template says.</summary>
    public string Reason { get; }

    /// <summary>Line of the template, from 1.</summary>
    public int Line { get; }
}

/// <summary>
/// Turns conversations into text by a model's own chat template, which is Jinja (https://jinja.palletsprojects.com), as transformers does: the same call serves training
/// and inference, so that the two cannot differ. Templates run in the kit's interpreter and reach nothing but their variables. Immutable and thread-safe.
/// </summary>
public sealed class ChatTemplate
{
    private readonly IReadOnlyList<Node> _nodes;
    private readonly string _source;
    private readonly IReadOnlyDictionary<string, object?> _variables;

    private ChatTemplate(string text, string source, IReadOnlyDictionary<string, object?> variables)
    {
        (Text, _source, _variables) = (text, source, variables);
        try { _nodes = Parser.Parse(text); }
        catch (JinjaException e) { throw new ChatTemplateException(e, source); }
    }

    /// <summary>The template as it was written.</summary>
    public string Text { get; }

    /// <summary>Whether the template marks what the assistant wrote.</summary>
    public bool MarksAssistant => Text.Contains("generation", StringComparison.Ordinal) && Any(_nodes);

    /// <summary>Reads a template.</summary>
    /// <exception cref="ChatTemplateException">It is no valid template, or needs what a chat template may not have.</exception>
    public static ChatTemplate Parse(string text) => new(text, "the chat template", new Dictionary<string, object?>());

    /// <summary>Reads the template of a model folder: <c>chat_template.jinja</c>, or <c>chat_template</c> in <c>tokenizer_config.json</c>; with the model's special tokens.</summary>
    /// <param name="folder">The model folder.</param>
    /// <param name="name">Which, where a model has several. Default <c>default</c>.</param>
    /// <exception cref="FileNotFoundException">The folder has no template, or none of that name.</exception>
    public static ChatTemplate Load(string folder, string name = "default")
    {
        var config = Path.Combine(folder, "tokenizer_config.json");
        JsonObject json = [];
        try
        {
            if (File.Exists(config)) json = JsonNode.Parse(File.ReadAllText(config)) as JsonObject ?? throw new InvalidDataException($"'{config}' holds no JSON object.");
        }
        catch (JsonException e) { throw new InvalidDataException($"'{config}' is not usable: {e.Message}", e); }
        var variables = new Dictionary<string, object?>(StringComparer.Ordinal);
        foreach (var (key, value) in json)
            if (key.EndsWith("_token", StringComparison.Ordinal) && (value is JsonObject o ? o["content"] : value) is JsonValue token && token.TryGetValue(out string? text)) variables[key] = text;
        foreach (var file in new[] { name == "default" ? Path.Combine(folder, "chat_template.jinja") : "", Path.Combine(folder, "additional_chat_templates", name + ".jinja") })
            if (File.Exists(file)) return new ChatTemplate(File.ReadAllText(file), $"'{file}'", variables);
        var own = json["chat_template"];
        var found = own is JsonValue single && name == "default" ? single.GetValue<string>() : (own as JsonArray)?.OfType<JsonObject>().FirstOrDefault(t => t["name"]?.GetValue<string>() == name)?["template"]?.GetValue<string>();
        if (found is not null) return new ChatTemplate(found, $"'{config}': chat_template", variables);
        var names = (own as JsonArray)?.OfType<JsonObject>().Select(t => t["name"]?.GetValue<string>());
        throw new FileNotFoundException($"'{folder}' has no chat template{(name == "default" ? "" : $" named '{name}'")}: no chat_template.jinja, and none in tokenizer_config.json"
            + (names is null ? "" : $" (it has {string.Join(", ", names)})") + ". A base model has none; give one with ChatTemplate.Parse.", Path.Combine(folder, "chat_template.jinja"));
    }

    /// <summary>The text of a conversation.</summary>
    /// <param name="messages">Its turns.</param>
    /// <param name="addGenerationPrompt">Whether to end with what the assistant's next turn begins with: yes to have the model answer, no to train on the turns.</param>
    /// <param name="tools">Descriptions of tools the model may call, as JSON schemas.</param>
    /// <param name="documents">Documents to answer from.</param>
    /// <param name="variables">Further variables, such as <c>enable_thinking</c>; they come before the model's own.</param>
    /// <param name="clock">The time for templates that say the date; by default the system's.</param>
    /// <exception cref="ChatTemplateException">The template refuses the conversation; the message says why.</exception>
    public RenderedChat Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = false, IReadOnlyList<JsonNode>? tools = null, IReadOnlyList<JsonNode>? documents = null,
        IReadOnlyDictionary<string, JsonNode?>? variables = null, TimeProvider? clock = null)
    {
        var all = new Dictionary<string, object?>(_variables, StringComparer.Ordinal)
        {
            ["messages"] = new Sequence([.. messages.Select(m => FromJson(m.ToJson()))]), ["add_generation_prompt"] = addGenerationPrompt,
            ["tools"] = tools is null ? null : new Sequence([.. tools.Select(FromJson)]), ["documents"] = documents is null ? null : new Sequence([.. documents.Select(FromJson)]),
        };
        foreach (var (key, value) in variables ?? new Dictionary<string, JsonNode?>()) all[key] = FromJson(value);
        try
        {
            var (text, spans) = Evaluator.Run(_nodes, all, (clock ?? TimeProvider.System).GetLocalNow());
            return new RenderedChat(text, [.. spans.Select(s => (Python.Characters(text[..s.Start]), Python.Characters(text[..s.End])))]);
        }
        catch (JinjaException e) { throw new ChatTemplateException(e, _source); }
    }

    private static bool Any(IEnumerable<Node> nodes) => nodes.Any(n => n switch
    {
        NotebookKit.Chat.Jinja.Generation => true, If i => i.Branches.Any(b => Any(b.Body)) || Any(i.Else), For f => Any(f.Body) || Any(f.Else), Macro m => Any(m.Body), With w => Any(w.Body), Scope s => Any(s.Body),
        SetBlock b => Any(b.Body), FilterBlock b => Any(b.Body), CallBlock c => Any(c.Caller.Body), _ => false,
    });

    private static object? FromJson(JsonNode? json) => json switch
    {
        null => null,
        JsonObject o => new Mapping(o.Select(f => KeyValuePair.Create((object?)f.Key, FromJson(f.Value)))),
        JsonArray a => new Sequence([.. a.Select(FromJson)]),
        _ => json.GetValueKind() switch
        {
            JsonValueKind.String => json.GetValue<string>(), JsonValueKind.True => true, JsonValueKind.False => false,
            JsonValueKind.Number => long.TryParse(json.ToJsonString(), System.Globalization.NumberStyles.AllowLeadingSign, System.Globalization.CultureInfo.InvariantCulture, out var n) ? (object)n : double.Parse(json.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture),
            _ => null,
        },
    };
}
