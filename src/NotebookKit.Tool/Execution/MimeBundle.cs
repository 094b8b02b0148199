using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive.Formatting;
using NotebookKit.Tool.Documents;

namespace NotebookKit.Tool.Execution;

/// <summary>Formats values by Microsoft.DotNet.Interactive.Formatting's conventions into nbformat MIME bundles.</summary>
internal static class MimeBundle
{
    /// <summary>The preferred types of a value, and plain text as what is left where nothing else can be shown.</summary>
    public static JsonObject Of(object? value, string? mimeType = null)
    {
        if (value is RichValue rich) return new JsonObject { [rich.MimeType] = NotebookCell.Lines(rich.Content) };
        var type = value?.GetType() ?? typeof(object);
        string[] mimeTypes = mimeType is not null ? [mimeType]
            : value is null or string || type.IsPrimitive || value is decimal or Enum or DateTime or TimeSpan ? ["text/plain"]
            : [.. Formatter.GetPreferredMimeTypesFor(type).Append("text/plain").Distinct()];
        var bundle = new JsonObject();
        foreach (var mime in mimeTypes.Order(StringComparer.Ordinal))
            bundle[mime] = NotebookCell.Lines(value is string text && mime == "text/plain" ? text : value.ToDisplayString(mime).Replace("\r\n", "\n", StringComparison.Ordinal));
        return bundle;
    }
}

/// <summary>Content of a given MIME type that needs no formatting.</summary>
/// <param name="MimeType">Such as <c>text/html</c>.</param>
/// <param name="Content">As it is shown.</param>
public sealed record RichValue(string MimeType, string Content);
