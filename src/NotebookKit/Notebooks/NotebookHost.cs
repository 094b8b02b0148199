namespace NotebookKit.Notebooks;

/// <summary>What a front end gives the library so that it can show live output without knowing the kernel.</summary>
public interface INotebookDisplay
{
    /// <summary>Appends an output to the running cell.</summary>
    IDisplayHandle Display(object value);
}

/// <summary>An output that can be replaced.</summary>
public interface IDisplayHandle
{
    /// <summary>Replaces the output.</summary>
    void Update(object value);
}

/// <summary>Where the running front end puts its display; <c>nbkit</c> sets it, elsewhere it is <c>null</c>.</summary>
public static class NotebookHost
{
    /// <summary>The front end's display, or <c>null</c>.</summary>
    public static INotebookDisplay? Display { get; set; }
}
