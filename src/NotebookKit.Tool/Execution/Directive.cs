namespace NotebookKit.Tool.Execution;

/// <summary>A line that speaks to the kernel rather than to the compiler.</summary>
/// <param name="Name">Such as <c>#r</c> or <c>#!import</c>.</param>
/// <param name="Argument">What follows, without quotes.</param>
/// <param name="Line">Line in the cell, from 1.</param>
public sealed record Directive(string Name, string Argument, int Line)
{
    /// <summary>Reads a line; <c>null</c> where it is none.</summary>
    public static Directive? Parse(string line, int number)
    {
        if (!line.StartsWith('#')) return null;
        var space = line.IndexOfAny([' ', '\t', '"']);
        var name = space < 0 ? line : line[..space];
        if (name is not ("#r" or "#i" or "#load") && !name.StartsWith("#!", StringComparison.Ordinal)) return null;
        return new Directive(name, space < 0 ? "" : line[space..].Trim().Trim('"'), number);
    }

    /// <summary>An error at this line.</summary>
    public DirectiveException Fail(string what) => new($"{Name}: {what}.", Line);
}

/// <summary>A directive could not be followed.</summary>
/// <param name="message">What was wanted and what came.</param>
/// <param name="line">Line in the cell, from 1.</param>
public sealed class DirectiveException(string message, int line) : Exception(message)
{
    /// <summary>Line in the cell, from 1.</summary>
    public int Line { get; } = line;
}
