namespace NotebookKit.Chat.Jinja;

/// <summary>A template that cannot be read or carried out. Kinds and messages are the reference implementation's.</summary>
/// <param name="kind">Name of the reference's exception, such as <c>TemplateError</c>.</param>
/// <param name="message">Its message.</param>
internal sealed class JinjaException(string kind, string message) : Exception(message)
{
    public string Kind { get; } = kind;

    /// <summary>The template's line, from 1; 0 until it is known.</summary>
    public int Line { get; set; }

    public static JinjaException Syntax(string message, int line) => new("TemplateSyntaxError", message) { Line = line };

    public static JinjaException Type(string message) => new("TypeError", message);

    public static JinjaException Undefined(string message) => new("UndefinedError", message);

    public static JinjaException Security(string message) => new("SecurityError", message);
}
