using System.Text.Json;

namespace NotebookKit.Text.Reading;

/// <summary>A part of a tokenizer.json that knows where it stands, so that an error names file and field.</summary>
/// <param name="Element">The JSON.</param>
/// <param name="Where">File and path of fields.</param>
internal readonly record struct JsonField(JsonElement Element, string Where)
{
    public static JsonField Root(JsonElement element, string file) => new(element, $"'{file}'");

    public bool IsNull => Element.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    /// <summary>The <c>type</c> of a part; <paramref name="fallback"/> where it has none.</summary>
    public string Type(string fallback = "") => Text("type", fallback);

    public JsonField this[string name] => Element.ValueKind == JsonValueKind.Object && Element.TryGetProperty(name, out var value) ? new(value, $"{Where}: {name}") : new(default, $"{Where}: {name}");

    public bool Has(string name) => !this[name].IsNull;

    public string Text(string name, string? fallback = null) => this[name] is { IsNull: false } f
        ? f.Element.ValueKind == JsonValueKind.String ? f.Element.GetString()! : throw f.Wrong("a text") : fallback ?? throw this[name].Wrong("a text");

    public string? OptionalText(string name) => Has(name) ? Text(name) : null;

    public bool Flag(string name, bool? fallback = null) => this[name] is { IsNull: false } f
        ? f.Element.ValueKind is JsonValueKind.True or JsonValueKind.False ? f.Element.GetBoolean() : throw f.Wrong("true or false") : fallback ?? throw this[name].Wrong("true or false");

    public int Int(string name, int? fallback = null) => this[name] is { IsNull: false } f
        ? f.Element.ValueKind == JsonValueKind.Number && f.Element.TryGetInt32(out var n) ? n : throw f.Wrong("a whole number") : fallback ?? throw this[name].Wrong("a whole number");

    public IEnumerable<JsonField> Items(string name)
    {
        var list = this[name];
        if (list.Element.ValueKind != JsonValueKind.Array) throw list.Wrong("a list");
        return list.Items();
    }

    public IEnumerable<JsonField> Items()
    {
        var i = 0;
        foreach (var item in Element.EnumerateArray()) yield return new JsonField(item, $"{Where}[{i++}]");
    }

    public InvalidDataException Wrong(string wanted) =>
        new($"{Where} should be {wanted}; found {(Element.ValueKind == JsonValueKind.Undefined ? "nothing" : Short(Element.GetRawText()))}.");

    public InvalidDataException Unknown(string what, IEnumerable<string> known) =>
        new($"{Where} is the {what} '{Type("without a type")}', which the kit does not read. It reads {string.Join(", ", known)}.");

    private static string Short(string json) => json.Length <= 60 ? json : json[..57] + "…";
}
