namespace NotebookKit.Display;

/// <summary>Found by its name: .NET Interactive's formatting looks for an attribute so called, in any assembly, on the types it shows.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Interface)]
internal sealed class TypeFormatterSourceAttribute(Type formatterSourceType) : Attribute
{
    /// <summary>A type with a public parameterless constructor and <c>CreateTypeFormatters()</c>.</summary>
    public Type FormatterSourceType { get; } = formatterSourceType;

    /// <summary>What is shown where several are possible.</summary>
    public string[] PreferredMimeTypes { get; init; } = ["text/html", "text/plain"];
}

/// <summary>Formatters for everything that is <see cref="IShown"/>; made by the notebook's front end, by convention.</summary>
public sealed class ShownFormatterSource
{
    /// <summary>One formatter for HTML, one for plain text.</summary>
    public IEnumerable<object> CreateTypeFormatters() => [new ShownFormatter("text/html", s => s.ToHtml()), new ShownFormatter("text/plain", s => s.ToText())];

    private sealed class ShownFormatter(string mimeType, Func<IShown, string> show)
    {
        public string MimeType { get; } = mimeType;

        public bool Format(object instance, TextWriter writer)
        {
            if (instance is not IShown shown) return false;
            writer.Write(show(shown));
            return true;
        }
    }
}
