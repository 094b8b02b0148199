using System.Text.Json.Nodes;

namespace NotebookKit.Chat;

/// <summary>One turn of a conversation, as a chat template sees it. Immutable.</summary>
/// <param name="Role">Who speaks: <c>system</c>, <c>user</c>, <c>assistant</c>, <c>tool</c>, or what the template knows.</param>
/// <param name="Content">What is said; <c>null</c> for a turn that only calls tools.</param>
public sealed record ChatMessage(string Role, string? Content)
{
    /// <summary>What the model thought before it spoke; templates see it as <c>reasoning_content</c> and as <c>thinking</c>.</summary>
    public string? Reasoning { get; init; }

    /// <summary>Calls of tools, each in the form <c>{"type": "function", "function": {"name": …, "arguments": {…}}}</c>.</summary>
    public IReadOnlyList<JsonObject> ToolCalls { get; init; } = [];

    /// <summary>Further fields, such as <c>name</c> or <c>tool_call_id</c>.</summary>
    public IReadOnlyDictionary<string, JsonNode?> Fields { get; init; } = new Dictionary<string, JsonNode?>();

    /// <summary>A message with every field that JSON gives, those the kit does not know included.</summary>
    /// <exception cref="ArgumentException">It has no <c>role</c>.</exception>
    public static ChatMessage FromJson(JsonObject json)
    {
        if (json["role"] is not JsonValue role || !role.TryGetValue(out string? name)) throw new ArgumentException($"A message needs a role; found {json.ToJsonString()}.", nameof(json));
        return new ChatMessage(name, null) { Fields = json.ToDictionary(f => f.Key, f => f.Value?.DeepClone()) };
    }

    internal JsonObject ToJson()
    {
        var json = new JsonObject { ["role"] = Role };
        if (!Fields.ContainsKey("role")) json["content"] = Content;
        if (Reasoning is not null) json["reasoning_content"] = Reasoning;
        if (ToolCalls.Count > 0) json["tool_calls"] = new JsonArray([.. ToolCalls.Select(c => c.DeepClone())]);
        foreach (var (key, value) in Fields) json[key] = value?.DeepClone();
        // Whichever name the reasoning has, templates find it under both of theirs.
        var reasoning = json["reasoning_content"] ?? json["thinking"] ?? json["reasoning"];
        if (reasoning is null) return json;
        foreach (var name in new[] { "reasoning_content", "thinking" })
            if (json[name] is null) json[name] = reasoning.DeepClone();
        return json;
    }
}
