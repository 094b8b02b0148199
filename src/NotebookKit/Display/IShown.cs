namespace NotebookKit.Display;

/// <summary>A value that knows how it looks in a notebook and in a terminal.</summary>
public interface IShown
{
    /// <summary>HTML, everything escaped that came from data.</summary>
    string ToHtml();

    /// <summary>The same as plain text.</summary>
    string ToText();
}
